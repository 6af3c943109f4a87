//! What a run means in numbers.

pub mod account;
pub mod critical;
pub(crate) mod energy;
pub mod measure;
pub mod network;
mod overlap;
mod sent;

pub use account::{Account, GpuMetrics, accounts};
pub use critical::{CriticalPath, critical_path};
pub use measure::{Metrics, Request, measure};
pub use sent::network_use;
