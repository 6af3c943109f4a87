//! Values: named data on ranks, from the instruction that makes it to those that read it.

use super::size::Rows;
use crate::inputs::topology::GpuIdx;

/// Position of a value in its skeleton.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueIdx(pub u32);

/// Position of a group of ranks in its skeleton.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupIdx(pub u32);

/// The ranks that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// One rank.
    Rank(GpuIdx),
    /// Every rank of a group.
    Group(GroupIdx),
}

/// The meaning of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Rows of the residual stream.
    Residual,
    /// Queries of the heads of a rank, and new rows of keys and values.
    Queries,
    /// Keys and values of other ranks.
    KeysValues,
    /// Partial attention outputs with their log-sum-exp.
    Partials,
    /// Attention outputs after the output projection, not yet summed over the heads of other ranks.
    AttentionOutputs,
    /// Rows that go to experts.
    ExpertRows,
    /// Rows that come from experts, summed over those of one rank.
    ExpertOutputs,
    /// Scores of a share of the vocabulary.
    Logits,
    /// The ids of new tokens.
    TokenIds,
    /// Counts of rows by sender and receiver.
    Counts,
    /// Buffers in 8 bits with their scales.
    Quantised,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Residual,
        Self::Queries,
        Self::KeysValues,
        Self::Partials,
        Self::AttentionOutputs,
        Self::ExpertRows,
        Self::ExpertOutputs,
        Self::Logits,
        Self::TokenIds,
        Self::Counts,
        Self::Quantised,
    ];

    /// The name in program files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Residual => "residual",
            Self::Queries => "queries",
            Self::KeysValues => "keys_values",
            Self::Partials => "partials",
            Self::AttentionOutputs => "attention_outputs",
            Self::ExpertRows => "expert_rows",
            Self::ExpertOutputs => "expert_outputs",
            Self::Logits => "logits",
            Self::TokenIds => "token_ids",
            Self::Counts => "counts",
            Self::Quantised => "quantised",
        }
    }
}

/// Meaning and size of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// The meaning.
    pub what: What,
    /// Its rows.
    pub rows: Rows,
    /// Bytes of a row.
    pub row_bytes: u64,
}

/// Named data on one rank or on every rank of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Meaning and size.
    pub data: Data,
    /// The ranks that have it.
    pub on: Holder,
}
