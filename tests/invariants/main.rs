//! Invariants of every run, whatever the scenario.
#![expect(clippy::unwrap_used, reason = "a test whose input cannot be read has failed")]

mod bandwidth;
mod drawn;
mod held;
mod jitter;
mod physics;
mod prompts;
mod repeated;
mod together;
mod touched_links;
mod traffic;
