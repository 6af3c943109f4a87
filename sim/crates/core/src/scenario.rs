//! Scenarios, the input of a simulation: a cluster, a model, a workload and a strategy.

pub mod model;
pub mod strategy;
pub mod workload;
pub mod collectives;
pub mod vocabulary;
pub mod jitter;
pub mod overlap;
pub mod steps;

pub mod count_file;
pub mod collectives_file;
pub mod vocabulary_file;
pub mod jitter_file;
pub mod overlap_file;
pub mod steps_file;
pub mod strategy_file;
pub mod attention_file;
pub mod model_file;
pub mod file;
pub mod profiles;
mod resolve;
mod warnings;
pub mod trace;
pub mod load;
pub mod patch;

pub use collectives::{AlgorithmRule, CollectiveRules, Compression, ProtocolRule};
pub use file::ScenarioFile;
pub use jitter::{FamilyJitter, Jitter, JitterOrigin, Width};
pub use load::{
    Loader, load_model, load_scenario, read_model, read_scenario, resolved_yaml, scenario_file_of,
};
pub use model_file::ModelFile;
pub use overlap::{Overlap, PAPER_OVERLAP};
pub use patch::Patcher;
pub use profiles::Profiles;
pub use steps::StepCount;

pub use model::{AttentionSpec, Dtypes, FfnSpec, LatentSpec, ModelSpec, MoeSpec, Norm, Position};
pub use strategy::{
    AttentionSplit, Choice, Dispatch, DpEp, ExpertReduce, ExpertSplit, Forward, MaSeparation, Placement,
    Schedule, Strategy, TpPp,
};
pub use trace::RequestTrace;
pub use vocabulary::{EmbeddingTable, Logits, Vocabulary};
pub use workload::{ContextLen, ExpertLoad, HandOver, HostOverhead, Launch, Workload};

use std::sync::Arc;

use crate::inputs::topology::Cluster;

/// Everything a simulation needs to know, already valid: pools add up to the cluster, names resolve.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The machines.
    pub cluster: Arc<Cluster>,
    /// The model.
    pub model: Arc<ModelSpec>,
    /// The requests.
    pub workload: Workload,
    /// Calibrated models of its cards.
    pub profiles: Arc<Profiles>,
    /// Strategy: which GPUs do which work.
    pub strategy: Strategy,
    /// Distribution of tokens over experts.
    pub load: ExpertLoad,
    /// Launch of kernels by the host.
    pub launch: Launch,
    /// Rules for collectives.
    pub collectives: CollectiveRules,
    /// Split of the vocabulary's tables and scores over GPUs.
    pub vocabulary: Vocabulary,
    /// Overlap of communication with computation.
    pub overlap: Overlap,
    /// Time that the host spends; `None` leaves all of it to the launch costs of the cards.
    pub host_overhead: Option<HostOverhead>,
    /// Variation of times from run to run.
    pub jitter: Jitter,
    /// The origin of all randomness.
    pub seed: u64,
    /// Steps that are measured.
    pub n_steps: StepCount,
}

impl Scenario {
    /// Launch of kernels on a GPU: where the host's launches are modelled by themselves, kernels are there already.
    pub fn device_launch(&self) -> Launch {
        if self.host_overhead.is_some() { Launch::Graph } else { self.launch }
    }

    /// Rows of a decode step of `n_sequences`: those of the smallest captured graph that holds them.
    ///
    /// # Source
    ///
    /// vLLM captures graphs for 1, 2 and 4 sequences and multiples of 8 (`_get_graph_batch_size`).
    pub fn graph_rows(&self, n_sequences: u32) -> u32 {
        let multiple = self.host_overhead.and_then(|host| host.graph_batch);
        match (self.launch, multiple) {
            (Launch::Graph, Some(multiple)) if n_sequences >= multiple => {
                n_sequences.next_multiple_of(multiple)
            }
            (Launch::Graph, Some(multiple)) => n_sequences.next_power_of_two().min(multiple),
            (Launch::Graph | Launch::Eager, _) => n_sequences,
        }
    }
}
