//! Attention of one new token for each sequence.

use super::heads::{Heads, TILE_ROWS};
use super::{Chip, Demand};
use crate::inputs::measurement::DecodeWork;
use crate::timing::params::params;

/// Keys that a block multiplies in one step.
///
/// # Source
///
/// The kernel of FlashAttention-2 over paged caches: 128 keys up to head dimension 128.
const KEYS_PER_STEP: f64 = 128.0;

/// Blocks that run at once on an SM.
const BLOCKS_PER_SM: f64 = 2.0;

/// A sequence is split until this share of the places for blocks is taken, into no more than [`SPLITS_MAX`] parts.
///
/// # Source
///
/// `num_splits_heuristic` of FlashAttention-2: no split from 0.8 of the places on; below, the fewest parts that fill rounds
/// of blocks to 85 % of the best that 1 to 128 parts reach. Here their mean, without the steps.
const FILL: f64 = 0.8;
const SPLITS_MAX: f64 = 128.0;

/// With this much more than a block for each SM, some SM has two and takes twice as long.
const SECOND_ROUND: f64 = 0.15;

/// Between these shares of the places, a last round of blocks that start late appears.
const LATE_FROM: f64 = 0.7;
const LATE_TO: f64 = 1.2;

params! {
    /// Parameters of decode attention.
    ///
    /// # Units
    ///
    /// Times are microseconds; the others are shares of the chip's figures, or counts.
    ///
    /// # Source
    ///
    /// The values to start from: fitted to vLLM 0.14 (FlashAttention-2) on an A100 of 80 GB, head dimension 128.
    DecodeParams {
        /// From the call to the kernel's start and back.
        launch_us: 7.65,
        /// Time of a block before and after its keys.
        prologue_us: 0.57,
        /// Share of an SM's matrix rate that a block reaches, rows that carry no query included.
        matrix_share: 0.567,
        /// Share of the memory's rate.
        memory_share: 0.845,
        /// The last, late round of blocks as a share of a block's time.
        tail: 0.66,
        /// Passes of queries and outputs through memory while no keys do.
        query_passes: 2.46,
        /// Time to bring the query heads of a group together.
        grouped_us: 1.75,
        /// The same where queries and outputs are copied for it: more than one sequence and more than one key/value head.
        regroup_us: 5.5,
        /// Passes of the queries through memory in these copies.
        regroup_passes: 8.15,
        /// Start of the kernel that merges the parts of split sequences.
        merge_us: 4.5,
        /// Time of the merge for each part.
        merge_split_us: 0.19,
        /// Parts at most of a sequence whose query heads share no keys: FlashAttention-2 does not split it.
        ungrouped_splits: 1.0,
    }
}

/// Sequences of which each has one new token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeBatch {
    /// Sequences.
    pub n_sequences: f64,
    /// Keys of all of them together.
    pub kv_tokens: f64,
    /// Keys of the longest.
    pub kv_len_max: f64,
    /// Bytes of an element of queries and outputs.
    pub query_bytes: f64,
    /// Bytes of an element of the cache.
    pub cache_bytes: f64,
}

impl DecodeBatch {
    /// Sequences of one length, with queries and cache in one format.
    pub fn new(work: &DecodeWork) -> Self {
        let (n_sequences, kv_len) = (work.batch as f64, work.kv_len as f64);
        let bytes = work.dtype.bytes() as f64;
        let kv_tokens = n_sequences * kv_len;
        Self { n_sequences, kv_tokens, kv_len_max: kv_len, query_bytes: bytes, cache_bytes: bytes }
    }

    /// Bytes that memory must carry at least.
    fn traffic(self, heads: Heads) -> f64 {
        let queries = self.n_sequences * heads.n_query() * self.query_bytes;
        self.kv_tokens * heads.n_read * self.cache_bytes + queries
    }
}

/// Microseconds of decode attention over sequences of equal length, launch included.
pub fn decode_us(params: &DecodeParams, work: &DecodeWork, chip: &Chip) -> f64 {
    let heads = Heads::grouped(work.n_heads, work.n_kv_heads, work.head_dim);
    decode_batch_us(params, &DecodeBatch::new(work), heads, chip)
}

/// Microseconds of decode attention, launch included: never below the bound of arithmetic and memory.
///
/// Total keys make the work of all SMs and the traffic, the longest sequence makes the time below which no number of SMs
/// brings it.
pub fn decode_batch_us(params: &DecodeParams, batch: &DecodeBatch, heads: Heads, chip: &Chip) -> f64 {
    let demand = Demand { flops: heads.pair_flop() * batch.kv_tokens, bytes: batch.traffic(heads) };
    (params.launch_us + kernels_us(params, batch, heads, chip)).max(demand.bound_us(chip))
}

/// All but the launch.
pub(super) fn kernels_us(params: &DecodeParams, batch: &DecodeBatch, heads: Heads, chip: &Chip) -> f64 {
    let pass_us = 0.5 * batch.n_sequences * heads.n_query() * batch.query_bytes / chip.memory;
    let mut time_us = rising_us(params, batch, heads, chip) + params.query_passes * pass_us;
    if heads.group() > 1.0 {
        time_us += params.grouped_us;
        if batch.n_sequences > 1.0 && heads.n_kv_heads > 1.0 {
            time_us += params.regroup_us + params.regroup_passes * pass_us;
        }
    }
    time_us
}

/// The longest that the batch or a part of it takes.
///
/// Fewer sequences are split into more parts, and merging these can cost more than further sequences would: a time that falls
/// where work is added tempts whoever searches for splits. It is highest where sequences begin to be split into fewer
/// parts than they could be, where they are split in two, or in the end.
fn rising_us(params: &DecodeParams, batch: &DecodeBatch, heads: Heads, chip: &Chip) -> f64 {
    let cap = if heads.group() > 1.0 { SPLITS_MAX } else { params.ungrouped_splits };
    let n_splits_max = (batch.kv_len_max / KEYS_PER_STEP).min(cap).max(1.0);
    let n_tiles = batch.n_sequences * heads.n_kv_heads * (heads.group() / TILE_ROWS).ceil();
    let n_filled = FILL * BLOCKS_PER_SM * chip.n_sms;
    let share_split_in = |n_splits: f64| (n_filled / (n_splits * n_tiles)).min(1.0);
    let part_us = |share: f64| {
        let n_splits = (n_filled / (share * n_tiles)).min(n_splits_max).max(1.0);
        let n_blocks = share * n_tiles * n_splits;
        attention_us(params, &Part { batch, heads, share, n_splits, n_blocks }, chip)
    };
    part_us(1.0).max(part_us(share_split_in(n_splits_max))).max(part_us(share_split_in(2.0)))
}

/// A share of a batch whose sequences are split.
struct Part<'a> {
    batch: &'a DecodeBatch,
    heads: Heads,
    share: f64,
    n_splits: f64,
    n_blocks: f64,
}

/// The kernel over the cache, and the merge of parts.
fn attention_us(params: &DecodeParams, part: &Part<'_>, chip: &Chip) -> f64 {
    let Part { batch, heads, share, n_splits, n_blocks } = *part;
    let key_us = heads.tile_key_us(params.matrix_share, chip);
    let block_us = |keys: f64| params.prologue_us + key_us * keys.max(KEYS_PER_STEP) / n_splits;
    let mean_us = block_us(batch.kv_tokens / batch.n_sequences);
    let compute_us = block_us(batch.kv_len_max).max(mean_us * rounds(n_blocks / chip.n_sms));
    let memory_us = share * batch.traffic(heads) / (chip.memory * params.memory_share);

    let taken = n_blocks / (BLOCKS_PER_SM * chip.n_sms);
    let late = ((taken - LATE_FROM) / (LATE_TO - LATE_FROM)).clamp(0.0, 1.0);
    let merge_us = (params.merge_us + params.merge_split_us * n_splits) * (n_splits - 1.0).min(1.0);
    both(compute_us, memory_us) + params.tail * late * mean_us + merge_us
}

/// Rounds in which SMs work through so many blocks each: whole at first, when all start together.
fn rounds(blocks_per_sm: f64) -> f64 {
    if blocks_per_sm < 2.0 {
        (1.0 + (blocks_per_sm - 1.0) / SECOND_ROUND).clamp(1.0, 2.0)
    } else {
        blocks_per_sm
    }
}

/// The longer of two times that overlap, and a little more where they are alike.
fn both(a: f64, b: f64) -> f64 {
    let (long, short) = (a.max(b), a.min(b));
    let ratio = (short / long) * (short / long);
    long * (1.0 + ratio * ratio).sqrt().sqrt()
}

#[cfg(test)]
mod tests;
