//! Files as people write them: what is wrong with them, what they mean, and what they expand to.

mod bad_input;
mod mutated;
mod patches;
mod schemas;
mod shipped;
mod sweeps;
