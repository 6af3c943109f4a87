//! Programs: written and read, in the order of every queue, and run by an interpreter as the engine runs them.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod cases;
mod file;
mod interpreter;
mod order;
