//! What a group of GPUs does together, and by which algorithm.

use masim_units::Bytes;

use crate::inputs::measurement::Operation;

/// What a group of GPUs does together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CollectiveKind {
    /// Everyone gets every shard.
    AllGather,
    /// Everyone gets the sum of one shard.
    ReduceScatter,
    /// Everyone gets the sum of everything.
    AllReduce,
    /// Everyone gets what the first member has.
    Broadcast,
    /// The first member gets the sum of everything.
    Reduce,
    /// Everyone sends another shard to everyone.
    AllToAll,
}

impl CollectiveKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AllReduce,
        Self::AllGather,
        Self::ReduceScatter,
        Self::Broadcast,
        Self::Reduce,
        Self::AllToAll,
    ];

    /// The name in files, reports and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllGather => "all_gather",
            Self::ReduceScatter => "reduce_scatter",
            Self::AllReduce => "all_reduce",
            Self::Broadcast => "broadcast",
            Self::Reduce => "reduce",
            Self::AllToAll => "all_to_all",
        }
    }

    /// As measurement sets name it; a reduction is a broadcast backwards.
    pub const fn operation(self) -> Operation {
        match self {
            Self::AllGather => Operation::AllGather,
            Self::ReduceScatter => Operation::ReduceScatter,
            Self::AllReduce => Operation::AllReduce,
            Self::Broadcast | Self::Reduce => Operation::Broadcast,
            Self::AllToAll => Operation::AllToAll,
        }
    }

    /// An all-reduce is a reduce-scatter and an all-gather.
    pub(super) const fn n_passes(self) -> u64 {
        match self {
            Self::AllReduce => 2,
            Self::AllGather | Self::ReduceScatter | Self::Broadcast | Self::Reduce | Self::AllToAll => 1,
        }
    }

    /// Bytes that one of `n` members sends in all, the busiest where they differ: the factor between
    /// nccl-tests' algorithm bandwidth and its bus bandwidth, times `bytes`.
    pub fn sent(self, bytes: Bytes, n: usize) -> Bytes {
        let n = n as u64;
        match self {
            Self::Broadcast | Self::Reduce => bytes,
            Self::AllGather | Self::ReduceScatter | Self::AllReduce | Self::AllToAll => {
                let moved = u128::from(bytes.0) * u128::from(self.n_passes() * (n - 1));
                let moved = moved.div_ceil(u128::from(n));
                Bytes(u64::try_from(moved).expect("a buffer is far below 2^63 bytes"))
            }
        }
    }
}

/// How it is done.
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
