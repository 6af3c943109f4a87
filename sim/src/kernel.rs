//! How long kernels take alone on a chip: physical models with few parameters, which measurements determine.
//!
//! Parameters are efficiencies, microseconds and ratios beside the figures of the chip, so that what was fitted on
//! one card says something about another.

mod chip;
pub mod moe;

pub use chip::Chip;
