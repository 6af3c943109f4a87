//! The work of a model: operations with their shapes, the experts of each token, and the time of each operation.

pub mod ops;
pub mod routing;
pub mod batch;
pub mod cost;
pub mod collectives;
