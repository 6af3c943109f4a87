//! Rules for collectives.

/// Algorithm, protocol and compression that a scenario forces upon collectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectiveRules {
    /// The algorithm, where a group has the shape for it.
    pub algorithm: AlgorithmRule,
    /// NCCL's protocol, where a profile says what it costs.
    pub protocol: ProtocolRule,
    /// Number format of all-reduces on the way.
    pub compressed: Compression,
}

impl CollectiveRules {
    /// Nothing is forced.
    pub const AUTO: Self =
        Self { algorithm: AlgorithmRule::Auto, protocol: ProtocolRule::Auto, compressed: Compression::None };
}

/// An algorithm of collectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlgorithmRule {
    /// NCCL's choice, or the fastest on wires alone.
    Auto,
    /// Rings, as many as the links have room for.
    Ring,
    /// Two binary trees over the nodes.
    Tree,
    /// Everyone to everyone.
    Direct,
    /// Each GPU its share over its own rail.
    Rail,
    /// One GPU of each node speaks for it.
    Leader,
}

/// A protocol of NCCL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolRule {
    /// NCCL's choice.
    Auto,
    /// A flag beside every 4 bytes.
    Ll,
    /// A flag beside every 120 bytes.
    Ll128,
    /// A flag for a whole slice.
    Simple,
}

/// Number format of all-reduces on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// The values that are summed.
    None,
    /// 8-bit integers with a scale for each 256; kernels before, between and after.
    Int8,
}
