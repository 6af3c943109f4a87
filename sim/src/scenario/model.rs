//! The shape of a transformer.

use crate::topology::Dtype;

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
    /// Vocabulary; `None` leaves out embedding and LM head.
    pub vocab: Option<u32>,
    /// Number formats.
    pub dtype: Dtypes,
    /// Keys that the source of the card does not state.
    pub assumed: Vec<String>,
}

/// Attention with `n_heads` query heads that share `n_kv_heads` key/value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSpec {
    /// Query heads.
    pub n_heads: u32,
    /// Key/value heads; divides `n_heads`, equal for multi-head attention.
    pub n_kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoeSpec {
    /// A third, gating matrix beside up and down in each expert.
    pub gated: bool,
    /// Experts that the gate chooses from.
    pub n_routed_experts: u32,
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
            Self::Dense { gated, hidden } => {
                MoeSpec { gated, n_routed_experts: 1, experts_per_token: 1, expert_hidden: hidden }
            }
            Self::Moe(moe) => moe,
        }
    }
}

impl MoeSpec {
    /// Weight matrices of one expert: up and down, and the gating one.
    pub fn n_matrices(self) -> u32 {
        if self.gated { 3 } else { 2 }
    }

    /// A gate is computed only where there is a choice.
    pub fn has_gate(self) -> bool {
        self.n_routed_experts > 1
    }
}
