//! Instructions: kernels of one rank, messages, collectives, the host's work and joins.

use std::ops::Range;

use crate::inputs::topology::GpuIdx;
use crate::program::size::{Fill, Rows, Sizes};
use crate::program::value::{GroupIdx, ValueIdx};
use crate::work::collectives::CollectiveKind;
use crate::work::ops::Op;
use masim_units::Bytes;

/// The purpose of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// The attention half of a layer.
    Attention,
    /// The expert half of a layer.
    Experts,
    /// Rows of the embedding table, before the first layer.
    Embedding,
    /// LM head and sampling, after the last layer.
    Head,
    /// Kernels around a compressed collective.
    Quantise,
    /// Tokens to their experts.
    Dispatch,
    /// Expert outputs back.
    Combine,
    /// Queries and partial outputs among GPUs that share a cache.
    CacheExchange,
    /// A collective of a tensor-parallel group.
    Collective(CollectiveKind),
    /// Hidden states to the next stage, or token ids to the first.
    StageSend,
    /// The host schedules or launches.
    Host,
    /// No work: others wait for it.
    Barrier,
}

impl Activity {
    /// The name in reports and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Experts => "experts",
            Self::Embedding => "embedding",
            Self::Head => "head",
            Self::Quantise => "quantise",
            Self::Dispatch => "dispatch",
            Self::Combine => "combine",
            Self::CacheExchange => "cache_exchange",
            Self::Collective(kind) => kind.name(),
            Self::StageSend => "stage_send",
            Self::Host => "host",
            Self::Barrier => "barrier",
        }
    }

    /// True if data is on its way.
    pub const fn is_communication(self) -> bool {
        match self {
            Self::Attention
            | Self::Experts
            | Self::Embedding
            | Self::Head
            | Self::Quantise
            | Self::Host
            | Self::Barrier => false,
            Self::Dispatch | Self::Combine | Self::CacheExchange | Self::Collective(_) | Self::StageSend => {
                true
            }
        }
    }
}

/// The place of an instruction in the model and in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer; the number of layers for what follows the last one.
    pub layer: u32,
    /// The micro-batch.
    pub micro_batch: u32,
}

/// Purpose and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The purpose.
    pub activity: Activity,
    /// The place.
    pub place: Place,
}

impl Label {
    /// `activity` at `place`.
    pub const fn new(activity: Activity, place: Place) -> Self {
        Self { activity, place }
    }
}

/// Position of an instruction in its skeleton.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstrIdx(pub u32);

/// A condition under which an instruction may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A value that it reads.
    Value(ValueIdx),
    /// The end of an instruction from which it takes no data.
    After(InstrIdx),
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instr {
    /// Purpose and place.
    pub label: Label,
    /// The work.
    pub does: Does,
    /// Values and ends that it waits for, in the needs of the skeleton.
    pub needs: Range<u32>,
    /// The value that it makes; the messages of an exchange make one each.
    pub writes: Option<ValueIdx>,
}

/// The work of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// Kernels of one rank, one after the other.
    Kernels {
        /// The rank.
        rank: GpuIdx,
        /// Their range in the kernels of the skeleton.
        kernels: Range<u32>,
    },
    /// Messages that one rank posts together; every receiver goes on with its own.
    Exchange {
        /// The sender.
        from: GpuIdx,
        /// Their range in the messages of the skeleton.
        messages: Range<u32>,
        /// Their order among the sender's other messages.
        posted: Posted,
    },
    /// An operation of all members of a group, which all go on when it has ended.
    Collective {
        /// The operation.
        kind: CollectiveKind,
        /// The members.
        group: GroupIdx,
        /// The bytes that it moves.
        counts: Counts,
        /// True if the hosts of all members wait for the result, as they do for counts of rows.
        is_awaited: bool,
    },
    /// The host's work before the launches of a pass.
    HostStep {
        /// The rank whose host works.
        rank: GpuIdx,
        /// The ranks that take part in the pass; launches of their hosts follow.
        group: GroupIdx,
        /// Sequences of the pass.
        n_sequences: u64,
    },
    /// A point that others wait for.
    Join {
        /// The rank that waits there; none for a point of several.
        rank: Option<GpuIdx>,
    },
}

/// The order of an exchange among the other messages of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// After the sender's earlier groups have arrived, those of the step before included.
    InGroups,
    /// At once when its data is there, by a relay that hands it on.
    Relayed,
    /// On the sender's queue of single sends, one after the other.
    InTurn,
}

/// The bytes of a collective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counts {
    /// A buffer of so many rows in all, as nccl-tests count it.
    Even {
        /// Its rows.
        rows: Rows,
        /// Bytes of a row.
        row_bytes: u64,
    },
    /// Messages between pairs of members: their range in the messages of the skeleton.
    ByPair(Range<u32>),
}

/// A message to one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender.
    pub from: GpuIdx,
    /// The receiver.
    pub to: GpuIdx,
    /// Its rows.
    pub rows: Rows,
    /// Bytes of a row.
    pub row_bytes: u64,
    /// The value that the receiver gets; none where all members of a group go on together.
    pub writes: Option<ValueIdx>,
}

impl Message {
    /// Its size; an empty message is not sent, and its receiver waits for the sender alone.
    pub fn bytes(&self, sizes: &Sizes) -> Bytes {
        Bytes(self.rows.of(sizes) * self.row_bytes)
    }
}

/// A kernel: an operation, and the part of its shape that follows from routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The operation; a size that follows from routing stands at 0.
    pub op: Op,
    /// Its size of the step.
    pub fill: Fill,
}

impl Kernel {
    /// The operation with the sizes of a step.
    pub fn op(&self, sizes: &Sizes) -> Op {
        self.fill.applied(self.op, sizes)
    }
}

impl From<Op> for Kernel {
    fn from(op: Op) -> Self {
        Self { op, fill: Fill::Fixed }
    }
}
