//! Steps under contention: collectives as flows, tasks with durations, and the loop over steps.

pub mod replay;
pub mod collective;
pub mod price;
pub mod jitter;
pub mod run;
