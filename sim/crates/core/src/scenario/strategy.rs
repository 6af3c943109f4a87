//! The three strategies, which lay a model over GPUs.

use crate::inputs::topology::GpuIdx;

/// A count that is given or left to the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best is looked for.
    Auto,
    /// Given.
    Fixed(u32),
}

impl Choice {
    /// True if `value` is allowed.
    pub fn admits(self, value: u32) -> bool {
        match self {
            Self::Auto => true,
            Self::Fixed(fixed) => fixed == value,
        }
    }
}

/// Strategy: the layout of a model over the GPUs of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// Attention and experts on different GPUs.
    MaSeparation(MaSeparation),
    /// Every layer split, layers in stages.
    TpPp(TpPp),
    /// Attention replicated, experts spread over the same GPUs.
    DpEp(DpEp),
}

impl Strategy {
    /// The name of its kind in files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MaSeparation(_) => MaSeparation::KIND,
            Self::TpPp(_) => "tp_pp",
            Self::DpEp(_) => "dp_ep",
        }
    }
}

impl MaSeparation {
    /// The name of this kind of strategy in files.
    pub const KIND: &'static str = "ma_separation";
}

/// Attention and experts on different GPUs, in any whole-number ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct MaSeparation {
    /// GPUs that do attention.
    pub n_attention_gpus: u32,
    /// GPUs that do experts.
    pub n_expert_gpus: u32,
    /// Split of the attention pool.
    pub attention: AttentionSplit,
    /// Split of the expert pool.
    pub experts: ExpertSplit,
    /// Dispatch of tokens to their experts.
    pub dispatch: Dispatch,
    /// Forwarding inside a node of copies that travel once.
    pub forward: Forward,
    /// Which GPUs play which role.
    pub placement: Placement,
    /// When a micro-batch may move on.
    pub schedule: Schedule,
    /// Shares of the batch that move through the pools one after the other.
    pub n_micro_batches: Choice,
}

/// Attention pool = heads x sequences x replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSplit {
    /// GPUs among which the heads of a layer are split.
    pub heads: Choice,
    /// GPUs among which the cache of one sequence is split.
    pub sequences: Choice,
    /// Groups with sequences of their own.
    pub replicas: Choice,
}

/// Expert pool = ep x tp, plus redundant copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertSplit {
    /// Groups among which whole experts are spread.
    pub ep: Choice,
    /// GPUs among which the hidden width of each expert is split.
    pub tp: Choice,
    /// Extra instances of the most popular experts, per layer, in total.
    pub copies: u32,
    /// Sum of the partial outputs of the GPUs that split an expert.
    pub reduce: ExpertReduce,
}

/// Place of the sum over the GPUs that split the hidden width of an expert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpertReduce {
    /// Among those GPUs: each then sends a share of the rows, and of a broadcast gets a share.
    #[default]
    Inside,
    /// On the attention GPU, to which each sends all its partial rows.
    None,
}

impl ExpertReduce {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::None => "none",
        }
    }
}

/// Dispatch of tokens to their experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// The gate runs on the attention GPUs; each token travels once to each GPU that it needs.
    M2n,
    /// Every expert GPU gets all tokens, gates them and keeps its own.
    Broadcast,
}

/// Forwarding inside a node of copies of a token that travel once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// One copy per destination GPU.
    None,
    /// One copy per destination node.
    Node,
}

/// Which GPUs play which role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Attention first, experts last.
    Blocked,
    /// Each node in the ratio of the whole, as nearly as whole GPUs allow.
    Interleaved,
    /// Given.
    List {
        /// GPUs that do attention.
        attention: Vec<GpuIdx>,
        /// GPUs that do experts.
        expert: Vec<GpuIdx>,
    },
}

/// When a micro-batch may move on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// The micro-batch moves on as soon as its data is there.
    Dataflow,
    /// Both pools join at each slot.
    Lockstep,
}

/// Every layer split `tp` ways, layers in `pp` stages, `dp` copies of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TpPp {
    /// GPUs among which each layer is split.
    pub tp: u32,
    /// Stages.
    pub pp: u32,
    /// Copies.
    pub dp: u32,
    /// Micro-batches under way at once.
    pub n_in_flight: Choice,
}

/// Data-parallel attention and expert parallelism on the same GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpEp {
    /// Groups with sequences of their own.
    pub dp: u32,
    /// GPUs among which the heads of each group are split; `dp x tp` is the cluster.
    pub tp: u32,
    /// Groups among which whole experts are spread; each of `dp x tp / ep` GPUs.
    pub ep: u32,
    /// Sum of the partial outputs of the GPUs that split an expert.
    pub reduce: ExpertReduce,
    /// Shares of the batch whose communication hides behind each other's computation.
    pub n_overlapped: u32,
}
