//! Many runs: the points of a sweep and one row of results for each point and strategy.

pub mod row;
pub mod file;
mod condition;
mod plan;
mod expand;
pub mod result;
mod written;
pub mod results;
pub mod execute;

pub use execute::{network_of, run_sweep, simulate, simulate_plan, simulate_row};
pub use expand::{Expanded, SweepRow};
pub use plan::{BEST_OF, Sweep, load_sweep};
pub use result::{Asked, Chosen, Failure, Figures, Row, steady_in_words};
pub use results::Outcome;

pub use row::{CriticalJson, GpuAccountJson, GpuJson, GpuMemoryJson, RowJson, Side};
