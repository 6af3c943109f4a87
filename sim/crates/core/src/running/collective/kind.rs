//! The algorithms of a collective.

/// An algorithm of a collective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Shards go round, pipelined, one way through the group.
    OneRing,
    /// Shards go round, pipelined, by as many rings as the wires have room for.
    Ring,
    /// Two binary trees over the nodes, each for one half, and a chain inside each node.
    Tree,
    /// Everyone sends to everyone at once.
    Direct,
    /// Inside the node, then each GPU its share over its own rail, then inside the node.
    Rail,
    /// Inside the node to one GPU, then among those, then inside the node from it.
    Leader,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::OneRing, Self::Ring, Self::Tree, Self::Direct, Self::Rail, Self::Leader];

    /// The name in files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneRing => "one_ring",
            Self::Ring => "ring",
            Self::Tree => "tree",
            Self::Direct => "direct",
            Self::Rail => "rail",
            Self::Leader => "leader",
        }
    }
}
