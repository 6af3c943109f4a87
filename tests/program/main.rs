//! Programs: written and read, in the order of every queue, and run by an interpreter as the engine runs them.
#![forbid(unsafe_code)]

mod cases;
mod file;
mod interpreter;
mod order;
mod sizes;
