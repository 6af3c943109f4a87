//! The instructions of every rank in one step, in their order, with shapes and peers: no times, no links, no paths.
//!
//! A [`Program`] is built once for a plan and a batch. Its skeleton is equal in every step; sizes that follow from the
//! choices of tokens are filled in anew for each. `running::price` alone gives it durations.

pub mod size;
pub mod value;
pub mod instr;
pub mod skeleton;
mod pieces;
mod traffic;
pub mod sizing;
pub mod order;
pub mod weights;
pub mod file;
pub mod build;
pub mod memory;

pub use build::{Rules, build};
pub use file::{ProgramError, RecordedProgram};
pub use instr::{Activity, Counts, Does, Instr, InstrIdx, Kernel, Label, Message, Need, Place, Posted};
pub use order::{Order, Queue, Unrunnable};
pub use size::{Fill, Rows, Sizes};
pub use sizing::Sizing;
pub use skeleton::{Mark, Port, Skeleton};
pub use value::{Data, GroupIdx, Holder, Value, ValueIdx, What};

/// One step of the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Ranks of the cluster, idle ones included.
    pub n_ranks: u32,
    /// Values, instructions and edges.
    pub skeleton: Skeleton,
    /// Points that wait for the step before.
    pub ins: Vec<Port>,
    /// Points that the next step waits for.
    pub outs: Vec<Port>,
    /// The point at which each micro-batch has its token.
    pub done: Vec<Need>,
    /// Starts of the passes through layers in the skeleton; none where the last of several ends.
    layers: Vec<(Option<u32>, Mark)>,
}
