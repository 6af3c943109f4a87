//! The attention pool: heads x sequences x replicas.

use std::ops::Range;

use super::{placement, share};
use crate::inputs::topology::{Cluster, GpuIdx};
use crate::scenario::AttentionSpec;

/// Layout of attention over its GPUs.
#[derive(Clone, Debug)]
pub struct AttentionLayout {
    /// GPUs among which the heads are split.
    pub heads: u32,
    /// GPUs among which the cache of one sequence is split.
    pub sequences: u32,
    /// Groups with sequences of their own.
    pub replicas: Vec<Replica>,
    /// Heads of each head rank, by its index.
    pub head_shares: Vec<HeadShare>,
}

/// The GPUs that serve the same sequences.
#[derive(Clone, Debug)]
pub struct Replica {
    /// `[sequence rank, head rank]`
    pub gpus: Vec<GpuIdx>,
}

/// Heads on one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadShare {
    /// Query heads.
    pub n_heads: u32,
    /// Key/value heads, in part or whole.
    pub n_kv_heads: u32,
}

/// A share of the batch that moves through the layers as one.
#[derive(Clone, Debug)]
pub struct MicroBatch {
    /// Its tokens (one for each sequence).
    pub tokens: Range<u32>,
    /// The tokens whose residual stream lives on each GPU: `[replica][member]`.
    pub owned: Vec<Vec<Range<u32>>>,
}

/// Heads of each of `n_ranks`: whole key/value heads where there are enough, else shared ones.
pub fn head_shares(spec: &AttentionSpec, n_ranks: u32) -> Vec<HeadShare> {
    let per_kv_head = spec.n_heads / spec.n_kv_heads;
    if n_ranks <= spec.n_kv_heads {
        return share::sizes(spec.n_kv_heads, n_ranks, 0)
            .map(|n_kv_heads| HeadShare { n_heads: n_kv_heads * per_kv_head, n_kv_heads })
            .collect();
    }
    share::split(&(0..spec.n_heads), n_ranks)
        .map(|heads| {
            let n_kv_heads = (heads.end - 1) / per_kv_head - heads.start / per_kv_head + 1;
            HeadShare { n_heads: heads.end - heads.start, n_kv_heads }
        })
        .collect()
}

impl AttentionLayout {
    /// Lays `heads x sequences x replicas` over `gpus`, the first two inside a node where they can.
    ///
    /// # Panics
    ///
    /// Unless the product of the three is the number of GPUs and every rank has a head.
    pub fn new(gpus: &[GpuIdx], heads: u32, sequences: u32, spec: &AttentionSpec, cluster: &Cluster) -> Self {
        assert!(heads <= spec.n_heads, "every head rank has a head");
        let replicas = placement::groups(gpus, heads * sequences, cluster);
        Self {
            heads,
            sequences,
            replicas: replicas.into_iter().map(|gpus| Replica { gpus }).collect(),
            head_shares: head_shares(spec, heads),
        }
    }

    /// Groups of sequences in which `n_micro_batches` of `batch` sequences can be under way: as many, or, where every
    /// replica would not have one in each, as there can be.
    pub fn n_groups(&self, batch: u32, n_micro_batches: u32) -> u32 {
        let n_replicas = u32::try_from(self.replicas.len()).expect("fewer replicas than GPUs");
        n_micro_batches.min(batch / n_replicas)
    }

    /// Divides the batch: micro-batches are consecutive, and so are replicas and members inside each.
    pub fn micro_batches(&self, batch: u32, n_micro_batches: u32) -> Vec<MicroBatch> {
        let n_replicas = u32::try_from(self.replicas.len()).expect("fewer replicas than GPUs");
        let mut first_larger = 0;
        let mut micro_batches = Vec::new();
        for tokens in share::split(&(0..batch), n_micro_batches) {
            let n_tokens = tokens.end - tokens.start;
            let by_replica = share::ranges(tokens.start, share::sizes(n_tokens, n_replicas, first_larger));
            // The next micro-batch gives its remainder to the next replicas.
            first_larger = (first_larger + n_tokens % n_replicas) % n_replicas;
            let owned =
                by_replica.map(|range| share::split(&range, self.heads * self.sequences).collect()).collect();
            micro_batches.push(MicroBatch { tokens, owned });
        }
        micro_batches
    }

    /// All GPUs of the pool with their place: replica, member, GPU.
    pub fn members(&self) -> impl Iterator<Item = (usize, usize, GpuIdx)> {
        let replicas = self.replicas.iter().enumerate();
        replicas
            .flat_map(|(idx, replica)| replica.gpus.iter().enumerate().map(move |(at, &gpu)| (idx, at, gpu)))
    }
}

impl Replica {
    /// The GPUs that split the heads for the tokens of sequence rank `idx`.
    pub fn head_group(&self, idx: u32, heads: u32) -> &[GpuIdx] {
        &self.gpus[(idx * heads) as usize..((idx + 1) * heads) as usize]
    }

    /// The GPUs that hold the same heads for other parts of the cache.
    pub fn sequence_group(&self, head_rank: u32, heads: u32) -> Vec<GpuIdx> {
        self.gpus.iter().copied().skip(head_rank as usize).step_by(heads as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Position;

    const fn spec(n_kv_heads: u32, head_dim: u32) -> AttentionSpec {
        AttentionSpec { n_heads: 32, n_kv_heads, head_dim, position: Position::Rope, latent: None }
    }

    const MHA: AttentionSpec = spec(32, 64);
    const GQA: AttentionSpec = spec(8, 128);

    #[test]
    fn heads_split_unevenly_over_twelve() {
        let shares = head_shares(&MHA, 12);
        assert_eq!(shares.iter().filter(|share| share.n_heads == 3).count(), 8);
        assert_eq!(shares.iter().map(|share| share.n_heads).sum::<u32>(), 32);
    }

    #[test]
    fn key_value_heads_are_copied_only_beyond_their_number() {
        assert!(head_shares(&GQA, 8).iter().all(|share| share.n_heads == 4 && share.n_kv_heads == 1));
        assert!(head_shares(&GQA, 16).iter().all(|share| share.n_heads == 2 && share.n_kv_heads == 1));
        // 32 over 12: shares of 3 and 2 that cut groups of 4, so some touch two key/value heads.
        assert!(head_shares(&GQA, 12).iter().any(|share| share.n_kv_heads == 2));
    }

    #[test]
    fn every_token_has_one_owner_and_remainders_go_round() {
        let replica = |gpu| Replica { gpus: vec![GpuIdx(gpu)] };
        let layout = AttentionLayout {
            heads: 1,
            sequences: 1,
            replicas: (0..15).map(replica).collect(),
            head_shares: head_shares(&MHA, 1),
        };
        let mut per_replica = [0; 15];
        let mut next = 0;
        for micro_batch in layout.micro_batches(64, 4) {
            for (replica, members) in micro_batch.owned.iter().enumerate() {
                assert_eq!(members[0].start, next);
                next = members[0].end;
                per_replica[replica] += members[0].end - members[0].start;
            }
        }
        assert_eq!(next, 64);
        assert_eq!((per_replica.iter().min(), per_replica.iter().max()), (Some(&4), Some(&5)));
    }
}
