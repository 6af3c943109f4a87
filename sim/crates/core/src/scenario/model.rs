//! The shape of a transformer.

use crate::inputs::topology::Dtype;

/// A transformer of equal layers.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Its name, which is also the stem of its card.
    pub name: String,
    /// Transformer layers.
    pub n_layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// The attention half of each layer.
    pub attention: AttentionSpec,
    /// The other half.
    pub ffn: FfnSpec,
    /// Normalisation at the beginning of each half.
    pub norm: Norm,
    /// Vocabulary; `None` leaves out embedding and LM head.
    pub vocab: Option<u32>,
    /// Number formats.
    pub dtype: Dtypes,
    /// Keys that the source of the card does not state.
    pub assumed: Vec<String>,
    /// Keys of which the source states another value, because what it states is not modelled.
    pub simplified: Vec<String>,
}

/// Attention with `n_heads` query heads that share `n_kv_heads` key/value heads, or one latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSpec {
    /// Query heads.
    pub n_heads: u32,
    /// Key/value heads; divides `n_heads`, equal for multi-head attention, 1 where a latent stands for all of them.
    pub n_kv_heads: u32,
    /// Width of a head; that of its queries where keys come from a latent.
    pub head_dim: u32,
    /// Encoding of positions.
    pub position: Position,
    /// Latent that the cache keeps instead of keys and values, in latent attention.
    pub latent: Option<LatentSpec>,
}

/// Encoding of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Queries and keys are rotated in every layer.
    Rope,
    /// Scores have a bias that grows with the distance; it costs the attention kernel nothing that was measured.
    Alibi,
    /// Positions are part of the embedding, or there are none.
    None,
}

/// Widths of multi-head latent attention.
///
/// # Source
///
/// DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentSpec {
    /// Width of the latent that queries come from; `None` takes them from the hidden state.
    pub q_lora_rank: Option<u32>,
    /// Width of the latent that keys and values come from.
    pub kv_lora_rank: u32,
    /// Width of the rotated part of a key, shared by all heads.
    pub rope_dim: u32,
    /// Width of the part of a head's key that is not rotated.
    pub nope_dim: u32,
    /// Width of a head's value.
    pub v_dim: u32,
}

/// Normalisation of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// By the root of the mean square; serving stacks add the residual stream in the same kernel.
    Rms,
    /// By mean and variance; serving stacks add the residual stream in a kernel of its own.
    Layer,
}

impl AttentionSpec {
    /// Elements that the cache keeps of a token in one layer, on a GPU with `n_kv_heads` of its key/value heads.
    pub fn n_kept(&self, n_kv_heads: u32) -> u64 {
        match self.latent {
            // Every head reads the whole latent, so that each GPU of a tensor group keeps a copy.
            Some(latent) => u64::from(latent.kv_lora_rank) + u64::from(latent.rope_dim),
            None => 2 * u64::from(n_kv_heads) * u64::from(self.head_dim),
        }
    }

    /// Elements of the weights between the residual streams of one layer, for a share of the heads.
    pub fn n_weights(&self, hidden: u32, n_heads: u32, n_kv_heads: u32) -> u128 {
        let (hidden, n_heads) = (u128::from(hidden), u128::from(n_heads));
        let Some(latent) = self.latent else {
            return (2 * n_heads + 2 * u128::from(n_kv_heads)) * u128::from(self.head_dim) * hidden;
        };
        let (kv_rank, value) = (u128::from(latent.kv_lora_rank), u128::from(latent.v_dim));
        let queries = n_heads * u128::from(self.head_dim);
        let of_queries =
            latent.q_lora_rank.map_or(hidden * queries, |rank| u128::from(rank) * (hidden + queries));
        of_queries
            + hidden * (kv_rank + u128::from(latent.rope_dim))
            + kv_rank * n_heads * (u128::from(latent.nope_dim) + value)
            + n_heads * value * hidden
    }
}

/// The feed-forward half of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FfnSpec {
    /// Every token passes the same matrices.
    Dense {
        /// A third, gating matrix beside up and down.
        gated: bool,
        /// Width between up and down projection.
        hidden: u32,
    },
    /// Every token passes the experts that a gate chooses.
    Moe(MoeSpec),
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MoeSpec {
    /// A third, gating matrix beside up and down in each expert.
    pub gated: bool,
    /// Experts that the gate chooses from.
    pub n_routed_experts: u32,
    /// Experts that every token passes, beside those that it chooses.
    pub n_shared_experts: u32,
    /// Experts chosen per token, all different.
    pub experts_per_token: u32,
    /// Width between up and down projection of one expert.
    pub expert_hidden: u32,
}

/// Number formats by use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtypes {
    /// Weights.
    pub weights: Dtype,
    /// Activations.
    pub activations: Dtype,
    /// Key/value cache.
    pub kv: Dtype,
    /// Tokens on their way to the experts.
    pub dispatch: Dtype,
    /// Expert outputs on their way back.
    pub combine: Dtype,
}

impl FfnSpec {
    /// The feed-forward half as experts: a dense one is a single expert that every token passes.
    pub fn as_moe(self) -> MoeSpec {
        match self {
            Self::Dense { gated, hidden } => MoeSpec {
                gated,
                n_routed_experts: 1,
                n_shared_experts: 0,
                experts_per_token: 1,
                expert_hidden: hidden,
            },
            Self::Moe(moe) => moe,
        }
    }
}

impl MoeSpec {
    /// Weight matrices of one expert: up and down, and the gating one.
    pub fn n_matrices(self) -> u32 {
        if self.gated { 3 } else { 2 }
    }

    /// Width of the shared experts, which are one feed-forward network for all tokens.
    pub fn shared_width(self) -> u32 {
        self.n_shared_experts * self.expert_hidden
    }

    /// A gate is computed only where there is a choice.
    pub fn has_gate(self) -> bool {
        self.n_routed_experts > 1
    }
}
