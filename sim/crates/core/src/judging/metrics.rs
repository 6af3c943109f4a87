//! Figures of a run.

pub mod account;
pub mod critical;
pub(crate) mod energy;
mod ledger;
pub mod measure;
mod need;
pub mod network;
mod overlap;
mod sent;

pub use account::{Account, GpuMetrics};
pub use critical::CriticalPath;
pub use ledger::Ledger;
pub use measure::{Metrics, Request, measure, measure_folded};
pub use sent::network_use;
