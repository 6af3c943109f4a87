//! The classical plan: every layer split over a group of GPUs, layers in stages, copies of the whole.

use std::ops::Range;

use super::attention::{HeadShare, head_shares};
use super::{Role, share};
use crate::inputs::topology::GpuIdx;
use crate::scenario::{AttentionSpec, TpPp};

/// `dp` copies of `pp` stages of `tp` GPUs.
#[derive(Clone, Debug)]
pub struct PipelinePlan {
    /// Independent copies, each with its share of the batch.
    pub copies: Vec<PipelineCopy>,
    /// Heads of each tensor-parallel rank.
    pub head_shares: Vec<HeadShare>,
    /// Micro-batches under way at once, per copy.
    pub n_in_flight: u32,
}

/// One copy.
#[derive(Clone, Debug)]
pub struct PipelineCopy {
    /// Its stages in order.
    pub stages: Vec<Stage>,
    /// Its sequences.
    pub tokens: Range<u32>,
}

/// Some layers on a group of GPUs.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The tensor-parallel group.
    pub gpus: Vec<GpuIdx>,
    /// Its layers.
    pub layers: Range<u32>,
}

impl PipelinePlan {
    /// Consecutive GPUs form a stage, consecutive stages a copy.
    ///
    /// # Panics
    ///
    /// When a stage would have no layer or a rank no head, which input validation excludes.
    pub fn new(spec: TpPp, n_in_flight: u32, attention: &AttentionSpec, n_layers: u32, batch: u32) -> Self {
        assert!(spec.pp <= n_layers && spec.tp <= attention.n_heads, "every GPU has work");
        let stage = |copy: u32, idx: u32, layers| {
            let first = (copy * spec.pp + idx) * spec.tp;
            Stage { gpus: (first..first + spec.tp).map(GpuIdx).collect(), layers }
        };
        let copies = share::split(&(0..batch), spec.dp).zip(0..).map(|(tokens, copy)| PipelineCopy {
            stages: share::split(&(0..n_layers), spec.pp)
                .zip(0..)
                .map(|(layers, idx)| stage(copy, idx, layers))
                .collect(),
            tokens,
        });
        Self { copies: copies.collect(), head_shares: head_shares(attention, spec.tp), n_in_flight }
    }

    /// The role of each GPU.
    pub(super) fn roles(&self) -> Vec<(GpuIdx, Role)> {
        let stages = self.copies.iter().flat_map(|copy| (0..).zip(&copy.stages));
        stages.flat_map(|(idx, stage)| stage.gpus.iter().map(move |&gpu| (gpu, Role::Stage(idx)))).collect()
    }
}
