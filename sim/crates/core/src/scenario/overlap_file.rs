//! The YAML of the overlap of communication with computation.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::MapAccess;

use crate::inputs::text::kind::{Kinds, deserialize_kinds, nothing_else, rest_of};

/// Overlap of communication with the computation before and after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OverlapFile {
    /// It begins when all kernels before it have ended, and the kernels after it wait for all of it.
    #[default]
    None,
    /// Both are cut: products before a communication by columns of their output, experts after one by expert.
    Chunks(ChunksFile),
    /// Nothing is cut; a fixed share of every communication takes time and the rest none, as the paper assumes it.
    Literal(LiteralFile),
}

/// Communication in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChunksFile {
    /// Pieces of every communication that a product precedes or follows, 2 to 64.
    pub n_chunks: u32,
}

/// An overlap that is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiteralFile {
    /// The share that takes time, more than 0 and at most 1; the paper's overlap factor of 0.75 leaves 0.25.
    pub exposed: f64,
}

impl Kinds for OverlapFile {
    const KINDS: &'static [&'static str] = &["none", "chunks", "literal"];

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        match kind {
            "none" => nothing_else(rest).map(|()| Self::None),
            "chunks" => rest_of(rest).map(Self::Chunks),
            _ => rest_of(rest).map(Self::Literal),
        }
    }
}

deserialize_kinds!(OverlapFile);
