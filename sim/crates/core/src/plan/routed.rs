//! Plans in which tokens travel to their experts: separated pools, or both roles on the same GPUs.

use super::Role;
use super::attention::AttentionLayout;
use super::experts::ExpertLayout;
use crate::inputs::topology::GpuIdx;
use crate::scenario::{Dispatch, Forward, Schedule};

/// Attention on some GPUs, experts on others or on the same ones.
#[derive(Clone, Debug)]
pub struct RoutedPlan {
    /// Attention GPUs and their shares.
    pub attention: AttentionLayout,
    /// Expert GPUs and their shares.
    pub experts: ExpertLayout,
    /// True if both pools are the same GPUs.
    pub colocated: bool,
    /// Dispatch of tokens to their experts.
    pub dispatch: Dispatch,
    /// Forwarding inside a node of copies that travel once.
    pub forward: Forward,
    /// When a micro-batch may move on.
    pub schedule: Schedule,
    /// Micro-batches.
    pub n_micro_batches: u32,
}

impl RoutedPlan {
    /// The role of each GPU.
    pub(super) fn roles(&self) -> Vec<(GpuIdx, Role)> {
        let attention_role = if self.colocated { Role::Both } else { Role::Attention };
        let attention = self.attention.members().map(|(_, _, gpu)| (gpu, attention_role));
        let experts = self.experts.members().filter(|_| !self.colocated).map(|(_, gpu)| (gpu, Role::Expert));
        attention.chain(experts).collect()
    }
}
