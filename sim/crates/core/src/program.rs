//! The instructions of every rank in one step, and the memory that they need.

pub mod memory;
