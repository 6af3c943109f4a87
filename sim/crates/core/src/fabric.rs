//! The wires of a cluster: what every link carries, every route, and the machine that a group of GPUs is.

pub mod comm;
pub mod wires;
