//! Plans in which tokens travel to their experts: separated pools, or both roles on the same GPUs.

use super::Role;
use super::attention::AttentionLayout;
use super::experts::ExpertLayout;
use crate::inputs::topology::GpuIdx;
use crate::scenario::{Dispatch, ExpertReduce, Forward, Schedule};

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
    /// Place of the sum over the GPUs that split an expert.
    pub reduce: ExpertReduce,
    /// Forwarding inside a node of copies that travel once.
    pub forward: Forward,
    /// When a micro-batch may move on.
    pub schedule: Schedule,
    /// Micro-batches.
    pub n_micro_batches: u32,
}

impl RoutedPlan {
    /// Members of an expert group that send a share of its rows each, after they have summed them; 1 where each sends all.
    pub fn n_shares(&self) -> u32 {
        match self.reduce {
            ExpertReduce::Inside => self.experts.tp(),
            ExpertReduce::None => 1,
        }
    }

    /// True if every member of an expert group gets a share of a broadcast, and the group gathers it.
    pub fn gathers_inside(&self) -> bool {
        self.dispatch == Dispatch::Broadcast && self.forward == Forward::None && self.n_shares() > 1
    }

    /// The role of each GPU.
    pub(super) fn roles(&self) -> Vec<(GpuIdx, Role)> {
        let attention_role = if self.colocated { Role::Both } else { Role::Attention };
        let attention = self.attention.members().map(|(_, _, gpu)| (gpu, attention_role));
        let experts = self.experts.members().filter(|_| !self.colocated).map(|(_, gpu)| (gpu, Role::Expert));
        attention.chain(experts).collect()
    }
}
