//! Helpers shared by the tests that cross layers.
#![forbid(unsafe_code)]

mod pair;
mod scenario;
mod shipped;
mod simulated;

pub use pair::{Pair, TwoKernels};
pub use scenario::{decode, scenario, try_decode};
pub use shipped::Shipped;
pub use simulated::{cold_time, only_plan, routing, steady_time, windows};
