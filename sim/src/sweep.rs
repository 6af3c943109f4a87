//! Many runs: the points of a sweep and one row of results for each point and strategy.

pub mod row;
pub mod file;
mod condition;
mod plan;
mod expand;

pub use expand::{Expanded, SweepRow};
pub use plan::{Sweep, load_sweep};

pub use row::{CriticalJson, GpuAccountJson, GpuJson, GpuMemoryJson, RowJson};
