//! The time of a kernel or a collective alone, and how well it is known.

mod params;
pub mod regime;
pub mod provenance;
pub mod kernel_model;
pub mod nccl_model;
pub mod accuracy;
pub mod uncertainty;
pub mod predictor;
pub mod fitted;
