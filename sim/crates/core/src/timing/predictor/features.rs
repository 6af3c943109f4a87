//! Features of work, the inputs of a network.

use crate::inputs::measurement::{Family, MoeWork, Work};
use crate::inputs::topology::Dtype;
use crate::timing::kernel_model::moe::hottest::hottest_rank;
use crate::timing::kernel_model::moe::params::MoeParams;
use crate::timing::kernel_model::moe::rows::ExpertRows;

/// Kinds of work, one network each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Head {
    /// Attention, of prompts and of single tokens.
    Attention,
    /// The experts of the hottest rank.
    Moe,
}

impl Head {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Attention, Self::Moe];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Moe => "moe",
        }
    }

    /// The network of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|head| head.name() == name)
    }

    /// The network that predicts `family`, if there is one.
    pub const fn of(family: Family) -> Option<Self> {
        match family {
            Family::AttentionPrefill | Family::AttentionDecode => Some(Self::Attention),
            Family::Moe => Some(Self::Moe),
            Family::Gemm | Family::Elementwise | Family::Collective | Family::P2p => None,
        }
    }

    /// Features of its network that differ between rows.
    pub(crate) const fn features(self) -> &'static [Feature] {
        match self {
            Self::Attention => &[
                Feature::SequenceLen,
                Feature::Batch,
                Feature::Hidden,
                Feature::KvWidth,
                Feature::LoadTokens,
            ],
            Self::Moe => &[
                Feature::Batch,
                Feature::Hidden,
                Feature::ExpertWidth,
                Feature::NExperts,
                Feature::ActiveExperts,
                Feature::LoadTokens,
            ],
        }
    }
}

/// A positive number that a network sees as a logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Tokens of a sequence, cached ones included.
    SequenceLen,
    /// Sequences; for experts, tokens of all ranks together.
    Batch,
    /// Width of the residual stream; for attention, of the query heads of the GPU.
    Hidden,
    /// Width of the key/value heads of the GPU.
    KvWidth,
    /// Tokens in flight on the GPU: new tokens of all sequences, or rows of all experts of the hottest rank.
    LoadTokens,
    /// Experts of the rank that have at least one row.
    ActiveExperts,
    /// Experts of the rank.
    NExperts,
    /// Hidden width of an expert on the rank.
    ExpertWidth,
}

impl Feature {
    /// The name in files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SequenceLen => "sequence_len",
            Self::Batch => "batch",
            Self::Hidden => "hidden",
            Self::KvWidth => "kv_width",
            Self::LoadTokens => "load_tokens",
            Self::ActiveExperts => "active_experts",
            Self::NExperts => "n_experts",
            Self::ExpertWidth => "expert_width",
        }
    }

    /// The feature of `work`.
    ///
    /// # Panics
    ///
    /// For work of a family that no network predicts.
    pub(crate) fn value(self, work: &Work) -> f64 {
        match work {
            Work::Prefill(it) => {
                self.of_attention(it.batch, (it.q_len, it.kv_len), (it.n_heads, it.n_kv_heads), it.head_dim)
            }
            Work::Decode(it) => {
                self.of_attention(it.batch, (1, it.kv_len), (it.n_heads, it.n_kv_heads), it.head_dim)
            }
            Work::Moe(it) => self.of_experts(it),
            Work::Gemm(_) | Work::Elementwise(_) | Work::Collective(_) | Work::Pairs(_) => {
                unreachable!("no network predicts {:?}", work.family())
            }
        }
    }

    fn of_attention(
        self,
        batch: u64,
        (q_len, kv_len): (u64, u64),
        (n_heads, n_kv_heads): (u64, u64),
        head_dim: u64,
    ) -> f64 {
        let count = match self {
            Self::SequenceLen => kv_len,
            Self::Batch => batch,
            Self::Hidden => n_heads * head_dim,
            Self::KvWidth => n_kv_heads * head_dim,
            Self::LoadTokens => batch * q_len,
            Self::ActiveExperts | Self::NExperts | Self::ExpertWidth => 1,
        };
        count as f64
    }

    fn of_experts(self, work: &MoeWork) -> f64 {
        let count = match self {
            Self::Batch => work.tokens,
            Self::Hidden => work.hidden,
            Self::NExperts => work.n_experts.div_ceil(work.ep),
            Self::ExpertWidth => work.expert_hidden.div_ceil(work.tp),
            // A rank without rows has no logarithm.
            Self::LoadTokens => return hottest(work).rows.max(1.0),
            Self::ActiveExperts => return hottest(work).n_activated.max(1.0),
            Self::SequenceLen | Self::KvWidth => 1,
        };
        count as f64
    }
}

/// Expected rows of the hottest rank: on a running system, the counts of its gate.
fn hottest(work: &MoeWork) -> ExpertRows {
    hottest_rank(work, MoeParams::from_values(MoeParams::START).leftover_idle)
}

/// True if a network may be asked: its rows have formats of two bytes, which it cannot tell from others.
pub fn covers(work: &Work) -> bool {
    let is_known = |dtype: Dtype| dtype.bytes() == 2;
    match work {
        Work::Prefill(it) => is_known(it.dtype),
        Work::Decode(it) => is_known(it.dtype),
        Work::Moe(it) => is_known(it.dtype),
        Work::Gemm(_) | Work::Elementwise(_) | Work::Collective(_) | Work::Pairs(_) => false,
    }
}
