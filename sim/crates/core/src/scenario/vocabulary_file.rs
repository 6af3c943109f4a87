//! The YAML of the vocabulary, word for word.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::{EmbeddingTable, Logits, Vocabulary};
use crate::inputs::text::kind::deserialize_names;

/// Split of the vocabulary's tables and scores over a tensor-parallel group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VocabularyFile {
    /// Placement of the rows of the embedding table.
    #[serde(default)]
    pub embedding: EmbeddingTableFile,
    /// Place where the next token is chosen.
    #[serde(default)]
    pub logits: LogitsFile,
}

/// Placement of the rows of the embedding table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingTableFile {
    /// Every GPU has all of them.
    #[default]
    Replicated,
    /// Each rank has its share; what they look up is summed over the group.
    Sharded,
}

/// Place where the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogitsFile {
    /// Each rank chooses among its share of the vocabulary, and the candidates are compared.
    #[default]
    Local,
    /// All scores are gathered, normalised and searched on every rank.
    Gathered,
}

deserialize_names!(EmbeddingTableFile { "replicated" => Self::Replicated, "sharded" => Self::Sharded } planned []);
deserialize_names!(LogitsFile { "local" => Self::Local, "gathered" => Self::Gathered } planned []);

impl From<VocabularyFile> for Vocabulary {
    fn from(file: VocabularyFile) -> Self {
        Self {
            embedding: match file.embedding {
                EmbeddingTableFile::Replicated => EmbeddingTable::Replicated,
                EmbeddingTableFile::Sharded => EmbeddingTable::Sharded,
            },
            logits: match file.logits {
                LogitsFile::Local => Logits::Local,
                LogitsFile::Gathered => Logits::Gathered,
            },
        }
    }
}
