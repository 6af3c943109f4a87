//! Communication that was measured.

/// A collective of `n_gpus` GPUs that fill `n_nodes` nodes evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectiveWork {
    /// Operation of the group.
    pub operation: Operation,
    /// The whole buffer, as nccl-tests counts it.
    pub bytes: u64,
    /// Number of GPUs that take part.
    pub n_gpus: u32,
    /// In how many nodes.
    pub n_nodes: u32,
}

/// Sends of `bytes_per_pair` from one GPU to another in each of `n_pairs` pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PairsWork {
    /// Over which network.
    pub scope: Scope,
    /// Bytes that each sender sends.
    pub bytes_per_pair: u64,
    /// Number of pairs that send at the same time.
    pub n_pairs: u32,
}

/// Position of the two GPUs of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// In one node.
    IntraNode,
    /// In two.
    InterNode,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::IntraNode, Self::InterNode];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IntraNode => "intra_node",
            Self::InterNode => "inter_node",
        }
    }
}

/// Operations of a group of GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Everyone gets the sum of everything.
    AllReduce,
    /// Everyone gets every shard.
    AllGather,
    /// Everyone gets the sum of one shard.
    ReduceScatter,
    /// Everyone gets what one has.
    Broadcast,
    /// Everyone sends another part to everyone.
    AllToAll,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AllReduce, Self::AllGather, Self::ReduceScatter, Self::Broadcast, Self::AllToAll];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllReduce => "all_reduce",
            Self::AllGather => "all_gather",
            Self::ReduceScatter => "reduce_scatter",
            Self::Broadcast => "broadcast",
            Self::AllToAll => "all_to_all",
        }
    }
}
