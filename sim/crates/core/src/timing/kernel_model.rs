//! Times of kernels alone on a chip: physical models with few parameters, which measurements determine.
//!
//! Parameters are efficiencies, microseconds and ratios beside the figures of the chip, so that what was fitted on
//! one card says something about another.

mod chip;
mod demand;
mod heads;
pub mod gemm;
pub mod elementwise;
pub mod decode;
pub mod prefill;
pub mod mla;
pub mod moe;

pub use chip::Chip;
pub use demand::{Demand, roofline_us};
pub use heads::Heads;
