//! Kernels that were measured.

use std::cmp::Ordering;

use crate::inputs::topology::Dtype;

/// `C[m, n] = A[m, k] B[k, n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GemmWork {
    /// Number format.
    pub dtype: Dtype,
    /// Rows (tokens).
    pub m: u64,
    /// Columns of the weights.
    pub n: u64,
    /// Depth.
    pub k: u64,
}

/// Causal attention of the last `q_len` of `kv_len` tokens of each sequence, on one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefillWork {
    /// Number format.
    pub dtype: Dtype,
    /// Sequences.
    pub batch: u64,
    /// New tokens of each.
    pub q_len: u64,
    /// Tokens of each, new ones included.
    pub kv_len: u64,
    /// Query heads.
    pub n_heads: u64,
    /// Key/value heads.
    pub n_kv_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
}

/// One query token of each sequence against its cache, on one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecodeWork {
    /// Number format.
    pub dtype: Dtype,
    /// Sequences.
    pub batch: u64,
    /// Cached tokens of each.
    pub kv_len: u64,
    /// Query heads.
    pub n_heads: u64,
    /// Key/value heads.
    pub n_kv_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
}

/// The gated experts of one rank, routing included: of the hottest rank where the load is skewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MoeWork {
    /// Number format.
    pub dtype: Dtype,
    /// Tokens of all expert-parallel ranks together.
    pub tokens: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Hidden width of an expert before it is split.
    pub expert_hidden: u64,
    /// Experts that each token chooses.
    pub top_k: u64,
    /// Experts of all ranks together.
    pub n_experts: u64,
    /// Ranks that share each expert.
    pub tp: u64,
    /// Ranks among which experts are divided.
    pub ep: u64,
    /// Distribution of tokens over experts.
    pub distribution: Distribution,
}

/// Distribution of tokens over experts.
#[derive(Clone, Copy, Debug)]
pub enum Distribution {
    /// Every expert gets as many.
    Balanced,
    /// Every expert is equally likely.
    Uniform,
    /// Tokens of each expert drawn from a density in proportion to `x^-exponent` between 1 and 0.8 x tokens, then scaled.
    PowerLaw {
        /// Skew.
        exponent: f64,
    },
}

impl Distribution {
    /// Kind and skew, which order it among others.
    fn rank(self) -> (u8, f64) {
        match self {
            Self::Balanced => (0, 0.0),
            Self::Uniform => (1, 0.0),
            Self::PowerLaw { exponent } => (2, exponent),
        }
    }

    /// The distribution of that name: `balanced`, `uniform`, `power_law_1.2`.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "balanced" => Some(Self::Balanced),
            "uniform" => Some(Self::Uniform),
            _ => {
                let exponent = name.strip_prefix("power_law_")?.parse().ok()?;
                (0.0 < exponent && exponent <= 10.0).then_some(Self::PowerLaw { exponent })
            }
        }
    }
}

impl Ord for Distribution {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((kind, skew), (other_kind, other_skew)) = (self.rank(), other.rank());
        kind.cmp(&other_kind).then(skew.total_cmp(&other_skew))
    }
}

impl PartialOrd for Distribution {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Distribution {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Distribution {}

/// Something element by element over `[tokens, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElementwiseWork {
    /// Number format.
    pub dtype: Dtype,
    /// Kind of the kernel.
    pub kind: ElementwiseKind,
    /// Rows.
    pub tokens: u64,
    /// Columns.
    pub width: u64,
}

/// Kinds of elementwise kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElementwiseKind {
    /// Sum with the residual stream.
    Add,
    /// Rotation of queries and keys by position.
    AttnRope,
    /// Normalisation before attention.
    InputLayernorm,
    /// Normalisation after attention.
    PostAttentionLayernorm,
    /// Activation between the two products of a feed-forward layer.
    MlpAct,
}

impl ElementwiseKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Add, Self::AttnRope, Self::InputLayernorm, Self::PostAttentionLayernorm, Self::MlpAct];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::AttnRope => "attn_rope",
            Self::InputLayernorm => "input_layernorm",
            Self::PostAttentionLayernorm => "post_attention_layernorm",
            Self::MlpAct => "mlp_act",
        }
    }
}
