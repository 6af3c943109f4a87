//! GPUs, their roles, and the share of the batch and of the weights that each one has.

pub mod attention;
pub mod experts;
pub mod pipeline;
pub mod placement;
pub mod routed;
pub mod share;

pub use attention::{AttentionLayout, HeadShare, MicroBatch, Replica};
pub use experts::ExpertLayout;
pub use pipeline::{PipelineCopy, PipelinePlan, Stage};
pub use routed::RoutedPlan;

use std::fmt;

use crate::inputs::topology::GpuIdx;

/// A strategy with every choice made.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Tokens travel to the GPUs of their experts and back: `ma_separation` and `dp_ep`.
    Routed(RoutedPlan),
    /// Every layer split over a group, layers in stages: `tp_pp`.
    Pipeline(PipelinePlan),
}

/// Role of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Attention alone.
    Attention,
    /// Experts alone.
    Expert,
    /// Attention and experts.
    Both,
    /// All work of some layers.
    Stage(u32),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attention => f.write_str("attention"),
            Self::Expert => f.write_str("expert"),
            Self::Both => f.write_str("both"),
            Self::Stage(idx) => write!(f, "stage {idx}"),
        }
    }
}

impl Plan {
    /// The role of each GPU that has one, in order of GPUs.
    pub fn roles(&self) -> Vec<(GpuIdx, Role)> {
        let mut roles = match self {
            Self::Routed(plan) => plan.roles(),
            Self::Pipeline(plan) => plan.roles(),
        };
        roles.sort_unstable();
        roles
    }

    /// Micro-batches that are under way at once.
    pub fn n_micro_batches(&self) -> u32 {
        match self {
            Self::Routed(plan) => plan.n_micro_batches,
            Self::Pipeline(plan) => plan.n_in_flight,
        }
    }
}
