//! The YAML of the attention of a model card, word for word.

use schemars::JsonSchema;
use serde::de::MapAccess;
use serde::{Deserialize, Serialize};

use crate::inputs::text::kind::{Kinds, deserialize_kinds, deserialize_names, rest_of};

/// Attention of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AttentionFile {
    /// Multi-head: each query head has its own keys and values.
    Mha(HeadsFile),
    /// Grouped-query: groups of query heads share keys and values.
    Gqa(HeadsFile),
    /// Multi-head latent: keys and values of all heads come from one latent, which is what the cache keeps.
    Mla(LatentFile),
}

/// Heads with keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadsFile {
    /// Query heads.
    pub n_heads: u32,
    /// Key/value heads.
    pub n_kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Encoding of positions.
    #[serde(default)]
    pub position: PositionFile,
}

/// Heads over a latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatentFile {
    /// Query heads.
    pub n_heads: u32,
    /// Width of the latent that queries come from; `null` takes them from the hidden state.
    #[serde(default)]
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

/// Encoding of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PositionFile {
    /// Queries and keys are rotated in every layer.
    #[default]
    Rope,
    /// Scores have a bias that grows with the distance.
    Alibi,
    /// Positions are part of the embedding, or there are none.
    None,
}

deserialize_names!(PositionFile { "rope" => Self::Rope, "alibi" => Self::Alibi, "none" => Self::None } planned []);

impl Kinds for AttentionFile {
    const KINDS: &'static [&'static str] = &["mha", "gqa", "mla"];

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        match kind {
            "mha" => rest_of(rest).map(Self::Mha),
            "gqa" => rest_of(rest).map(Self::Gqa),
            _ => rest_of(rest).map(Self::Mla),
        }
    }
}

deserialize_kinds!(AttentionFile);
