//! The heads of attention on one GPU, as far as FLOPs and traffic follow from them.

use crate::timing::kernel_model::Heads;
use crate::timing::kernel_model::mla::Latent;

/// The heads of one GPU over its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheHeads {
    /// Query heads that share the keys and values of `n_kv_heads`.
    Grouped {
        /// Query heads.
        n_heads: u64,
        /// Key/value heads.
        n_kv_heads: u64,
        /// Width of a head.
        head_dim: u64,
    },
    /// Queries moved into the space of the latents, which are key and value of all heads at once.
    Absorbed(Latent),
    /// Keys and values of every head, expanded from the latents before.
    Expanded(Latent),
}

impl CacheHeads {
    /// Query heads.
    pub fn n_heads(self) -> u64 {
        match self {
            Self::Grouped { n_heads, .. } => n_heads,
            Self::Absorbed(latent) | Self::Expanded(latent) => latent.n_heads,
        }
    }

    /// Width of a query and a key.
    pub fn score_dim(self) -> u64 {
        match self {
            Self::Grouped { head_dim, .. } => head_dim,
            Self::Absorbed(latent) => latent.kv_lora_rank + latent.rope_dim,
            Self::Expanded(latent) => latent.nope_dim + latent.rope_dim,
        }
    }

    /// Width of a value, and so of a head's output.
    pub fn value_dim(self) -> u64 {
        match self {
            Self::Grouped { head_dim, .. } => head_dim,
            Self::Absorbed(latent) => latent.kv_lora_rank,
            Self::Expanded(latent) => latent.v_dim,
        }
    }

    /// Elements of the queries and outputs of one token.
    pub fn n_query(self) -> u64 {
        self.n_heads() * (self.score_dim() + self.value_dim())
    }

    /// Elements that are read for each token before, of all heads together.
    pub fn n_read(self) -> u64 {
        match self {
            Self::Grouped { .. } | Self::Absorbed(_) => self.n_kept(),
            Self::Expanded(_) => self.n_query(),
        }
    }

    /// Elements that the cache keeps of each token.
    pub fn n_kept(self) -> u64 {
        match self {
            Self::Grouped { n_kv_heads, head_dim, .. } => 2 * n_kv_heads * head_dim,
            Self::Absorbed(latent) | Self::Expanded(latent) => latent.kv_lora_rank + latent.rope_dim,
        }
    }

    /// The same heads as a kernel sees them.
    pub fn of_kernel(self) -> Heads {
        match self {
            Self::Grouped { n_heads, n_kv_heads, head_dim } => Heads::grouped(n_heads, n_kv_heads, head_dim),
            Self::Absorbed(latent) => latent.absorbed(),
            Self::Expanded(latent) => latent.expanded(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DeepSeek-V2-Lite: a latent of 512 and a rotated key of 64, 16 heads of 128 + 64 and values of 128.
    const LITE: Latent = Latent { n_heads: 16, kv_lora_rank: 512, rope_dim: 64, nope_dim: 128, v_dim: 128 };

    #[test]
    fn whole_numbers_agree_with_those_of_the_kernel() {
        let grouped = CacheHeads::Grouped { n_heads: 32, n_kv_heads: 8, head_dim: 128 };
        for heads in [grouped, CacheHeads::Absorbed(LITE), CacheHeads::Expanded(LITE)] {
            let kernel = heads.of_kernel();
            let both = [
                (heads.n_heads() as f64, kernel.n_heads),
                (heads.score_dim() as f64, kernel.score_dim),
                (heads.value_dim() as f64, kernel.value_dim),
                (heads.n_read() as f64, kernel.n_read),
                (heads.n_kept() as f64, kernel.n_kept),
            ];
            assert!(
                both.iter().all(|(ours, of_kernel)| (ours - of_kernel).abs() < 1e-9),
                "{heads:?}: {both:?}"
            );
        }
    }
}
