//! Turns a scenario into a task graph, runs it, and reports what happened.
//!
//! The order of the `mod` lines is the dependency order: a module names only modules above it.
#![forbid(unsafe_code)]

// Inputs, already valid.
pub mod input;
pub mod topology;
pub mod scenario;

// What happened.
pub mod sweep;
pub mod report;
