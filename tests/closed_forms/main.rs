//! Simulated times against what theory says, where nothing contends: equal to the picosecond where theory
//! is exact.
#![expect(clippy::unwrap_used, reason = "a test whose input cannot be read has failed")]

mod collectives;
mod copies;
mod expert_reduce;
mod latent;
mod nccl;
mod overlap;
mod pingpong;
mod policies;
mod pipeline;
mod prompts;
mod ranks;
mod whole_experts;
