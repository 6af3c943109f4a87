//! Families of measurements, and what one row of each says.

/// A kind of work that is measured and modelled by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A group of GPUs does something together.
    Collective,
    /// Pairs of GPUs send at the same time.
    P2p,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Collective, Self::P2p];

    /// The name in files, which is that of its table too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collective => "collective",
            Self::P2p => "p2p",
        }
    }

    /// The columns that every table of the family has.
    pub(super) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Collective => &["kind", "bytes", "n_gpus", "time_us"],
            Self::P2p => &["scope", "bytes_per_pair", "n_pairs", "time_us"],
        }
    }

    /// The columns that may be missing.
    pub(super) const fn optional_columns(self) -> &'static [&'static str] {
        match self {
            Self::Collective => &["n_nodes"],
            Self::P2p => &[],
        }
    }

    /// The columns whose values together name a group of shapes, which is fitted or held out as a whole.
    pub const fn group_columns(self) -> &'static [&'static str] {
        match self {
            Self::Collective => &["kind", "n_gpus", "n_nodes"],
            Self::P2p => &["scope", "n_pairs"],
        }
    }

    /// The group columns of a set that has fewer than ten groups by [`Family::group_columns`].
    pub const fn coarse_group_columns(self) -> &'static [&'static str] {
        match self {
            Self::Collective => &["n_gpus"],
            Self::P2p => self.group_columns(),
        }
    }
}

/// The rows of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What was measured.
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
    /// What was measured.
    pub work: Work,
    /// How long it took, in microseconds.
    pub time_us: f64,
    /// The values of the family's group columns as the file spells them.
    pub group: Vec<String>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A collective.
    Collective(CollectiveWork),
    /// Sends between disjoint pairs.
    Pairs(PairsWork),
}

impl Work {
    /// Bytes as the family counts them, by which it is divided into bands.
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Collective(work) => work.bytes,
            Self::Pairs(work) => work.bytes_per_pair,
        }
    }
}

/// A collective of `n_gpus` GPUs that fill `n_nodes` nodes evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectiveWork {
    /// What they do.
    pub operation: Operation,
    /// The whole buffer, as nccl-tests counts it.
    pub bytes: u64,
    /// How many take part.
    pub n_gpus: u32,
    /// In how many nodes.
    pub n_nodes: u32,
}

/// Sends of `bytes_per_pair` from one GPU to another in each of `n_pairs` pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairsWork {
    /// Over which network.
    pub scope: Scope,
    /// What each sender sends.
    pub bytes_per_pair: u64,
    /// How many pairs send at the same time.
    pub n_pairs: u32,
}

/// Where the two GPUs of a pair are.
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

/// What a group of GPUs does together.
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
