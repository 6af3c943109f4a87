//! Split of the vocabulary over GPUs.

/// Split of the vocabulary's tables and scores over a tensor-parallel group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// The embedding table.
    pub embedding: EmbeddingTable,
    /// The scores from which the next token is chosen.
    pub logits: Logits,
}

/// Placement of the rows of the embedding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingTable {
    /// Every GPU has all of them.
    Replicated,
    /// Each rank has its share; what they look up is summed over the group.
    Sharded,
}

/// Place where the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// Each rank chooses among its share of the vocabulary, and the candidates are compared.
    Local,
    /// All scores are gathered, normalised and searched on every rank.
    Gathered,
}
