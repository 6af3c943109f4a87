//! Causal attention of many new tokens.

use super::decode::{self, DecodeBatch, DecodeParams};
use super::heads::{Heads, TILE_ROWS};
use super::{Chip, Demand};
use crate::inputs::measurement::PrefillWork;
use crate::timing::params::params;

/// Threads that an SM holds, and those of the block that writes one token to the cache at most.
///
/// # Source
///
/// CUDA programming guide (2048 for data-center GPUs); vLLM's `reshape_and_cache_flash` (a block for each token, a thread
/// for each element of its keys up to 512).
const THREADS_PER_SM: f64 = 2048.0;
const WRITE_THREADS_MAX: f64 = 512.0;

/// Share of the memory's rate at which cached keys arrive: what decode reaches, as no chunked row was measured.
const MEMORY_SHARE: f64 = 0.85;

params! {
    /// Parameters of prefill attention, with the write to the cache.
    ///
    /// # Units
    ///
    /// Times are microseconds; the others are shares of the chip's figures, or counts.
    ///
    /// # Source
    ///
    /// The values to start from: fitted to TensorRT-LLM 1.0 and vLLM 0.14 together, on an A100 of 80 GB, head dimension 128.
    PrefillParams {
        /// From the call to the kernel's start and back.
        launch_us: 8.4,
        /// Share of the matrix rate that full SMs reach, with masked and unused parts of tiles counted as work.
        matrix_share: 0.613,
        /// Time of a block before and after its keys.
        block_us: 2.44,
        /// Keys that a tile of queries is multiplied with at least.
        keys_min: 27.4,
        /// Time of a block that sets the pace, as a multiple of its share of a full SM.
        alone: 1.15,
        /// Part of the longest block that runs when others are done.
        tail: 0.59,
        /// Passes of each query element through memory outside of the products.
        query_passes: 2.13,
        /// Time that a block takes to write a token to the cache.
        write_us: 2.12,
        /// Passes of each key and value through memory outside of the products.
        cache_passes: 2.24,
    }
}

/// Sequences of which each has `q_len` new tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefillBatch {
    /// Sequences.
    pub n_sequences: f64,
    /// New tokens of each.
    pub q_len: f64,
    /// Tokens of each, new ones included.
    pub kv_len: f64,
    /// Bytes of an element of queries, new keys and outputs.
    pub query_bytes: f64,
    /// Bytes of an element of the cache.
    pub cache_bytes: f64,
}

impl PrefillBatch {
    /// Queries and cache in one format.
    pub fn new(work: &PrefillWork) -> Self {
        let bytes = work.dtype.bytes() as f64;
        let (q_len, kv_len) = (work.q_len as f64, work.kv_len as f64);
        Self { n_sequences: work.batch as f64, q_len, kv_len, query_bytes: bytes, cache_bytes: bytes }
    }

    /// Bytes of keys and values that memory must carry at least.
    fn cache_traffic(self, heads: Heads) -> f64 {
        self.n_sequences * self.kv_len * heads.n_read * self.cache_bytes
    }

    /// The causal half alone, and everything that crosses memory once.
    fn demand(self, heads: Heads) -> Demand {
        let pairs = self.q_len * self.kv_len - 0.5 * self.q_len * (self.q_len - 1.0);
        let query_bytes = self.n_sequences * self.q_len * heads.n_query() * self.query_bytes;
        Demand {
            flops: self.n_sequences * pairs * heads.pair_flop(),
            bytes: self.cache_traffic(heads) + query_bytes,
        }
    }

    /// The same batch in the terms of decode.
    fn decode(self) -> DecodeBatch {
        DecodeBatch {
            n_sequences: self.n_sequences,
            kv_tokens: self.n_sequences * self.kv_len,
            kv_len_max: self.kv_len,
            query_bytes: self.query_bytes,
            cache_bytes: self.cache_bytes,
        }
    }
}

/// Microseconds of causal attention, launch and write to the cache included.
pub fn prefill_us(params: &PrefillParams, work: &PrefillWork, chip: &Chip) -> f64 {
    let heads = Heads::grouped(work.n_heads, work.n_kv_heads, work.head_dim);
    prefill_batch_us(params, &PrefillBatch::new(work), heads, chip)
}

/// Microseconds of causal attention, launch and write to the cache included: never below the bound of arithmetic and memory.
pub fn prefill_batch_us(params: &PrefillParams, batch: &PrefillBatch, heads: Heads, chip: &Chip) -> f64 {
    let mut time_us = attention_us(params, batch, heads, chip);
    if batch.q_len < 2.0 {
        // One query is what decode is made for; it takes the kernel that is faster.
        let decode = DecodeParams::from_values(DecodeParams::START);
        time_us = time_us.min(decode::kernels_us(&decode, &batch.decode(), heads, chip));
    }
    (params.launch_us + traffic_us(params, batch, heads, chip) + time_us)
        .max(batch.demand(heads).bound_us(chip))
}

/// The products: blocks of 64 queries over all keys before them.
fn attention_us(params: &PrefillParams, batch: &PrefillBatch, heads: Heads, chip: &Chip) -> f64 {
    let n_tiles = (batch.q_len / TILE_ROWS).ceil();
    let key_us = heads.tile_key_us(params.matrix_share, chip);
    let tiles_us = tile_keys(batch, params.keys_min) * key_us + n_tiles * params.block_us;
    let compute_us = batch.n_sequences * heads.n_heads * tiles_us / chip.n_sms;
    let memory_us = batch.cache_traffic(heads) / (chip.memory * MEMORY_SHARE);
    let longest_us = (batch.kv_len.max(params.keys_min) * key_us + params.block_us) * params.alone;
    longest_us.max(compute_us.max(memory_us) + params.tail * longest_us)
}

/// Keys that all tiles of a sequence visit.
///
/// Tile `i` from the end visits `kv_len - 64 i` keys, but no fewer than `keys_min`.
fn tile_keys(batch: &PrefillBatch, keys_min: f64) -> f64 {
    let n_tiles = (batch.q_len / TILE_ROWS).ceil();
    let before = |n: f64| TILE_ROWS * n * (n - 1.0) / 2.0;
    let fewest = batch.kv_len - (n_tiles - 1.0) * TILE_ROWS;
    let n_short = ((keys_min - fewest) / TILE_ROWS).ceil().clamp(0.0, n_tiles);
    let lacking = n_short * (keys_min - fewest) - before(n_short);
    n_tiles * batch.kv_len - before(n_tiles) + lacking
}

/// Time to move queries, outputs and new keys outside of the products.
fn traffic_us(params: &PrefillParams, batch: &PrefillBatch, heads: Heads, chip: &Chip) -> f64 {
    let n_tokens = batch.n_sequences * batch.q_len;
    let query_bytes = 0.5 * n_tokens * heads.n_query() * batch.query_bytes;
    let kept_bytes = n_tokens * heads.n_kept * batch.cache_bytes;
    // A block writes a token, and few fit on an SM: small tokens are written no faster.
    let threads = (0.5 * heads.n_kept).min(WRITE_THREADS_MAX);
    let blocks_us = n_tokens * params.write_us * threads / (THREADS_PER_SM * chip.n_sms);
    let bytes_us = params.cache_passes * kept_bytes / chip.memory;
    let write_us = (blocks_us * blocks_us + bytes_us * bytes_us).sqrt();
    params.query_passes * query_bytes / chip.memory + write_us
}

#[cfg(test)]
mod tests;
