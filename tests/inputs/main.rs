//! Files as people write them: what is wrong with them, what they mean, and what they expand to.
#![expect(clippy::unwrap_used, reason = "a test whose input cannot be read has failed")]

mod bad_input;
mod limits;
mod models;
mod mutated;
mod patches;
mod schemas;
mod shipped;
mod sweeps;
