//! How long kernels take alone on a chip: physical models with few parameters, which measurements determine.
//!
//! Parameters are efficiencies, microseconds and ratios beside the figures of the chip, so that what was fitted on
//! one card says something about another.

mod chip;
mod demand;

pub use chip::Chip;
pub use demand::{Demand, roofline_us};
