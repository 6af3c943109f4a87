//! Multi-head latent attention: the cache keeps one latent vector for all heads.
//!
//! Only the heads differ from other attention: decode works on the latents themselves, so that every head shares one key;
//! prefill expands them to keys and values of each head. No measurement of it went into any parameter.

use super::Chip;
use super::decode::{DecodeBatch, DecodeParams, decode_batch_us};
use super::heads::Heads;
use super::prefill::{PrefillBatch, PrefillParams, prefill_batch_us};

/// Widths of latent attention on one GPU.
///
/// # Source
///
/// DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Latent {
    /// Query heads.
    pub n_heads: u64,
    /// Width of the latent that the cache keeps.
    pub kv_lora_rank: u64,
    /// Width of the rotated part of a key, kept beside it and shared by all heads.
    pub rope_dim: u64,
    /// Width of the part of a head's key that is not rotated.
    pub nope_dim: u64,
    /// Width of a head's value.
    pub v_dim: u64,
}

impl Latent {
    /// Queries moved into the space of the latents, which are key and value of all heads at once.
    pub fn absorbed(&self) -> Heads {
        let kept = (self.kv_lora_rank + self.rope_dim) as f64;
        Heads {
            n_heads: self.n_heads as f64,
            n_kv_heads: 1.0,
            score_dim: kept,
            value_dim: self.kv_lora_rank as f64,
            n_read: kept,
            n_kept: kept,
        }
    }

    /// Keys and values of every head, expanded from the latents by a product that is not counted here.
    pub fn expanded(&self) -> Heads {
        let n_heads = self.n_heads as f64;
        let (score_dim, value_dim) = ((self.nope_dim + self.rope_dim) as f64, self.v_dim as f64);
        let n_read = n_heads * (score_dim + value_dim);
        let n_kept = (self.kv_lora_rank + self.rope_dim) as f64;
        Heads { n_heads, n_kv_heads: n_heads, score_dim, value_dim, n_read, n_kept }
    }
}

/// Microseconds of latent attention in decode, launch included.
pub fn mla_decode_us(params: &DecodeParams, batch: &DecodeBatch, latent: &Latent, chip: &Chip) -> f64 {
    decode_batch_us(params, batch, latent.absorbed(), chip)
}

/// Microseconds of latent attention in prefill, launch and write to the cache included, expansion of the latents not.
pub fn mla_prefill_us(params: &PrefillParams, batch: &PrefillBatch, latent: &Latent, chip: &Chip) -> f64 {
    prefill_batch_us(params, batch, latent.expanded(), chip)
}

#[cfg(test)]
mod tests;
