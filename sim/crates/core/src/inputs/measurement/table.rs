//! Families of measurements and their tables.

use super::communication::{CollectiveWork, PairsWork};
use super::kernel::{DecodeWork, ElementwiseWork, GemmWork, MoeWork, PrefillWork};
use crate::inputs::topology::Dtype;

/// A column and what is wrong with its field.
pub type Mistake = (&'static str, String);

/// A kind of work that is measured and modelled by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A product with weights.
    Gemm,
    /// Causal attention of many tokens.
    AttentionPrefill,
    /// Attention of one token of each sequence.
    AttentionDecode,
    /// The experts of one rank, with their routing.
    Moe,
    /// Norms, rotations, activations and sums.
    Elementwise,
    /// A group of GPUs does something together.
    Collective,
    /// Pairs of GPUs send at the same time.
    P2p,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Gemm,
        Self::AttentionPrefill,
        Self::AttentionDecode,
        Self::Moe,
        Self::Elementwise,
        Self::Collective,
        Self::P2p,
    ];

    /// The name in files, which is that of its table too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gemm => "gemm",
            Self::AttentionPrefill => "attention_prefill",
            Self::AttentionDecode => "attention_decode",
            Self::Moe => "moe",
            Self::Elementwise => "elementwise",
            Self::Collective => "collective",
            Self::P2p => "p2p",
        }
    }

    /// The family of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// True if its times are of transfers, not of kernels.
    pub const fn is_communication(self) -> bool {
        match self {
            Self::Collective | Self::P2p => true,
            Self::Gemm | Self::AttentionPrefill | Self::AttentionDecode | Self::Moe | Self::Elementwise => {
                false
            }
        }
    }

    /// The columns of what was done, in every table of the family.
    pub const fn work_columns(self) -> &'static [&'static str] {
        match self {
            Self::Gemm => &["dtype", "m", "n", "k"],
            Self::AttentionPrefill => {
                &["dtype", "batch", "q_len", "kv_len", "n_heads", "n_kv_heads", "head_dim"]
            }
            Self::AttentionDecode => &["dtype", "batch", "kv_len", "n_heads", "n_kv_heads", "head_dim"],
            Self::Moe => &[
                "dtype",
                "tokens",
                "hidden",
                "expert_hidden",
                "top_k",
                "n_experts",
                "tp",
                "ep",
                "distribution",
            ],
            Self::Elementwise => &["dtype", "kind", "tokens", "width"],
            Self::Collective => &["kind", "bytes", "n_gpus"],
            Self::P2p => &["scope", "bytes_per_pair", "n_pairs"],
        }
    }

    /// The columns that may be missing.
    pub const fn optional_columns(self) -> &'static [&'static str] {
        match self {
            Self::Collective => &["n_nodes"],
            Self::Gemm
            | Self::AttentionPrefill
            | Self::AttentionDecode
            | Self::Moe
            | Self::Elementwise
            | Self::P2p => &[],
        }
    }

    /// The columns whose values together name a group of shapes, which is fitted or held out as a whole.
    pub const fn group_columns(self) -> &'static [&'static str] {
        match self {
            Self::Gemm => &["n", "k"],
            Self::AttentionPrefill | Self::AttentionDecode => &["n_heads", "n_kv_heads", "head_dim"],
            Self::Moe => &["hidden", "expert_hidden", "top_k", "n_experts", "tp", "ep"],
            Self::Elementwise => &["kind", "width"],
            Self::Collective => &["kind", "n_gpus", "n_nodes"],
            Self::P2p => &["scope", "n_pairs"],
        }
    }

    /// The group columns of a set that has fewer than ten groups by [`Family::group_columns`].
    pub const fn coarse_group_columns(self) -> &'static [&'static str] {
        match self {
            Self::Collective => &["n_gpus"],
            Self::Gemm
            | Self::AttentionPrefill
            | Self::AttentionDecode
            | Self::Moe
            | Self::Elementwise
            | Self::P2p => self.group_columns(),
        }
    }
}

/// The rows of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Family of the measured work.
    pub family: Family,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// At least one.
    pub rows: Vec<Row>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: u64,
    /// Measured work.
    pub work: Work,
    /// Measured time in microseconds.
    pub time_us: f64,
    /// The values of the family's group columns as the file spells them.
    pub group: Vec<String>,
}

/// Measured work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A product with weights.
    Gemm(GemmWork),
    /// Causal attention of many tokens.
    Prefill(PrefillWork),
    /// Attention of one token of each sequence.
    Decode(DecodeWork),
    /// The experts of one rank.
    Moe(MoeWork),
    /// Something element by element.
    Elementwise(ElementwiseWork),
    /// A collective.
    Collective(CollectiveWork),
    /// Sends between disjoint pairs.
    Pairs(PairsWork),
}

impl Work {
    /// Its number format; none for communication.
    pub const fn dtype(&self) -> Option<Dtype> {
        match self {
            Self::Gemm(work) => Some(work.dtype),
            Self::Prefill(work) => Some(work.dtype),
            Self::Decode(work) => Some(work.dtype),
            Self::Moe(work) => Some(work.dtype),
            Self::Elementwise(work) => Some(work.dtype),
            Self::Collective(_) | Self::Pairs(_) => None,
        }
    }

    /// Its family.
    pub const fn family(&self) -> Family {
        match self {
            Self::Gemm(_) => Family::Gemm,
            Self::Prefill(_) => Family::AttentionPrefill,
            Self::Decode(_) => Family::AttentionDecode,
            Self::Moe(_) => Family::Moe,
            Self::Elementwise(_) => Family::Elementwise,
            Self::Collective(_) => Family::Collective,
            Self::Pairs(_) => Family::P2p,
        }
    }
}
