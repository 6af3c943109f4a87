//! What moves through the layers of a routed plan at once.

use std::ops::Range;

use super::pass::{Pass, Tokens};
use crate::plan::{AttentionLayout, MicroBatch, share};
use crate::scenario::Workload;

/// Some sequences of every replica, and which of their tokens.
#[derive(Clone, Debug)]
pub(super) struct Wave {
    /// The tokens, by their positions among those that choose experts.
    pub(super) batch: MicroBatch,
    /// The sequences of each replica.
    pub(super) sequences: Vec<Range<u32>>,
    /// Which of their tokens.
    pub(super) tokens: Tokens,
}

impl Wave {
    /// All waves of one step, in order: micro-batch after micro-batch; of prompts, chunk after chunk of all of them.
    ///
    /// Where a batch has fewer sequences than `n_micro_batches` times the replicas, chunks of one prompt are under way together.
    pub(super) fn all(workload: &Workload, layout: &AttentionLayout, n_micro_batches: u32) -> Vec<Self> {
        let n_groups = layout.n_groups(workload.batch(), n_micro_batches);
        let groups = layout.micro_batches(workload.batch(), n_groups);
        let passes: Vec<Vec<Self>> =
            groups.into_iter().map(|group| passes(workload, layout, &group)).collect();
        let n_passes = passes.first().map_or(0, Vec::len);
        (0..n_passes).flat_map(|idx| passes.iter().map(move |group| group[idx].clone())).collect()
    }

    /// Tokens of `replica` that are made at the end, by its sequence rank `rank`.
    pub(super) fn n_next(&self, replica: usize, rank: u32, layout: &AttentionLayout) -> u64 {
        match self.tokens {
            Tokens::Newest => {
                let heads = layout.heads as usize;
                let members = rank as usize * heads..(rank as usize + 1) * heads;
                self.batch.owned[replica][members].iter().map(n_of).sum()
            }
            Tokens::Chunk { .. } => {
                let of_rank = share::split(&self.sequences[replica], layout.sequences).nth(rank as usize);
                n_of(&of_rank.expect("the rank is below their number"))
            }
        }
    }
}

/// The passes of one group of sequences, in order.
fn passes(workload: &Workload, layout: &AttentionLayout, group: &MicroBatch) -> Vec<Wave> {
    let sequences: Vec<Range<u32>> =
        group.owned.iter().map(|owned| owned[0].start..owned[owned.len() - 1].end).collect();
    let wave = |pass: Pass| {
        let batch = match pass.tokens {
            Tokens::Newest => group.clone(),
            Tokens::Chunk { .. } => {
                let positions = |sequences: &Range<u32>| {
                    Pass { sequences: sequences.clone(), tokens: pass.tokens }.choosing()
                };
                let n_members = layout.heads * layout.sequences;
                let owned = sequences.iter().map(|of| share::split(&positions(of), n_members).collect());
                MicroBatch { tokens: positions(&group.tokens), owned: owned.collect() }
            }
        };
        Wave { batch, sequences: sequences.clone(), tokens: pass.tokens }
    };
    Pass::all(workload, &group.tokens).into_iter().map(wave).collect()
}

fn n_of(range: &Range<u32>) -> u64 {
    u64::from(range.end - range.start)
}
