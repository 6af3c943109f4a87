//! Sequences that move through the layers of a routed plan together.

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
    /// Chunks of one prompt are under way together where a batch has fewer sequences than `n_micro_batches` times the replicas.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::topology::GpuIdx;
    use crate::plan::Replica;
    use crate::scenario::{Choice, ContextLen};

    fn layout(n_replicas: u32) -> AttentionLayout {
        let replica = |gpu| Replica { gpus: vec![GpuIdx(2 * gpu), GpuIdx(2 * gpu + 1)] };
        AttentionLayout {
            heads: 1,
            sequences: 2,
            replicas: (0..n_replicas).map(replica).collect(),
            head_shares: Vec::new(),
        }
    }

    fn prompts(batch: u32) -> Workload {
        Workload::Prefill { batch, prompt_len: 10, chunk_len: Choice::Fixed(4) }
    }

    /// Three sequences for two replicas: one group. Chunks of 4, 4 and 2 tokens, two sequences first; each replica's tokens
    /// lie on two members.
    #[test]
    fn chunks_follow_each_other_where_sequences_are_few() {
        let waves = Wave::all(&prompts(3), &layout(2), 3);
        let sizes: Vec<_> = waves.iter().map(|wave| wave.batch.tokens.clone()).collect();
        assert_eq!(sizes, [0..12, 0..12, 0..6]);
        assert_eq!(waves[0].sequences, [0..2, 2..3]);
        assert_eq!(waves[2].batch.owned, [[0..2, 2..4], [4..5, 5..6]]);
        assert_eq!([0, 1].map(|rank| waves[2].n_next(0, rank, &layout(2))), [1, 1]);
        assert_eq!([0, 1].map(|rank| waves[2].n_next(1, rank, &layout(2))), [1, 0]);
    }

    #[test]
    fn groups_of_sequences_come_before_the_next_chunk() {
        let waves = Wave::all(&prompts(4), &layout(2), 2);
        let sequences: Vec<_> = waves.iter().map(|wave| wave.sequences[0].clone()).collect();
        assert_eq!(sequences, [0..1, 2..3, 0..1, 2..3, 0..1, 2..3]);
        let step =
            Wave::all(&Workload::Decode { batch: 4, context_len: ContextLen::Fixed(9) }, &layout(2), 2);
        assert_eq!((step.len(), step[1].n_next(1, 0, &layout(2))), (2, 1));
    }
}
