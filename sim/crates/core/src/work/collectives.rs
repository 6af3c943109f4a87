//! Operations that a group of GPUs does together, and the buffers of those that travel in 8 bits.

use masim_units::Bytes;

use crate::inputs::measurement::Operation;

/// An operation that a group of GPUs does together.
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

    /// Its name in measurement sets; a reduction is a broadcast backwards.
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
    pub const fn n_passes(self) -> u64 {
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

/// Values that share a scale.
const N_PER_SCALE: u64 = 256;

/// Bytes of a scale (fp32).
const SCALE_BYTES: u64 = 4;

/// Bytes of `n_values` quantised values with their scales.
pub const fn quantised(n_values: u64) -> Bytes {
    Bytes(n_values + n_values.div_ceil(N_PER_SCALE) * SCALE_BYTES)
}

/// Buffers of a compressed sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantised {
    /// The buffer as it is summed without compression.
    pub wide: Bytes,
    /// The quantised shard of one member, scales included.
    pub shard: Bytes,
    /// The shards of all members.
    pub all: Bytes,
}

impl Quantised {
    /// A buffer of `wide` in all, of values of `value_bytes`, reduced by `n` members.
    pub const fn new(wide: Bytes, value_bytes: u64, n: u64) -> Self {
        let shard = quantised(wide.0.div_ceil(value_bytes).div_ceil(n));
        Self { wide, shard, all: Bytes(shard.0 * n) }
    }

    /// Traffic of the kernels: quantise the own buffer; add `n` shards in fp32 and quantise the sum; turn all
    /// sums into wide values.
    pub const fn traffic(self) -> [Bytes; 3] {
        let Self { wide, shard, all } = self;
        [Bytes(wide.0 + all.0), Bytes(all.0 + shard.0), Bytes(all.0 + wide.0)]
    }
}
