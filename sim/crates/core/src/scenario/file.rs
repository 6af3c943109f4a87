//! The YAML of a scenario, word for word.

use std::collections::BTreeMap;
use std::fmt;

use masim_units::SimDuration;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::collectives_file::CollectivesFile;
use super::count_file::CountFile;
use super::jitter_file::JitterFile;
use super::model_file::ModelFile;
use super::overlap_file::OverlapFile;
use super::steps_file::StepsFile;
use super::strategy_file::StrategyFile;
use super::vocabulary_file::VocabularyFile;
use crate::inputs::text::kind::{Kinds, deserialize_kinds, deserialize_names, nothing_else, rest_of};
use crate::inputs::topology::{ClusterFile, ReferenceFile};

/// A scenario, `scenarios/<name>.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioFile {
    /// Version of the format; 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// A file stem in `topologies/`, a path with a `/`, or the cluster itself.
    pub cluster: ReferenceFile<ClusterFile>,
    /// Calibrated profiles: a file stem in `topologies/profiles/`, one for each card, or `none`.
    #[serde(default)]
    pub profile: ProfileFile,
    /// A file stem in `scenarios/models/`, a path with a `/`, or the model itself.
    pub model: ReferenceFile<ModelFile>,
    /// Phase, sequences and their lengths.
    pub workload: WorkloadFile,
    /// Strategy: which GPUs do which work.
    pub strategy: StrategyFile,
    /// Distribution of tokens over experts.
    #[serde(default)]
    pub load: LoadFile,
    /// Launch of kernels by the host.
    #[serde(default)]
    pub launch: LaunchFile,
    /// Algorithm, protocol and compression of collectives.
    #[serde(default)]
    pub collectives: CollectivesFile,
    /// Split of the vocabulary's tables and scores over GPUs.
    #[serde(default)]
    pub vocabulary: VocabularyFile,
    /// Overlap of communication with computation.
    #[serde(default)]
    pub overlap: OverlapFile,
    /// Time that the host spends on a step beside the GPUs; without it, launches cost what the cards say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_overhead: Option<HostOverheadFile>,
    /// Variation of times from run to run.
    #[serde(default)]
    pub jitter: JitterFile,
    /// The origin of all randomness.
    #[serde(default = "one")]
    pub seed: u64,
    /// Resources that become slow or fail; none is modelled yet.
    #[serde(default)]
    pub faults: Vec<FaultFile>,
    /// Steps that are measured: at most so many, or exactly.
    #[serde(default)]
    pub n_steps: StepsFile,
}

const fn one() -> u64 {
    1
}

/// `none`, one profile for all cards, or one for each card.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ProfileFile {
    /// One for all, or `none`.
    Name(String),
    /// A profile's stem for each card.
    PerCard(BTreeMap<String, String>),
}

impl Default for ProfileFile {
    fn default() -> Self {
        Self::Name("none".to_owned())
    }
}

impl<'de> Deserialize<'de> for ProfileFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ProfileVisitor)
    }
}

struct ProfileVisitor;

impl<'de> Visitor<'de> for ProfileVisitor {
    type Value = ProfileFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`none`, a profile, or a profile for each card")
    }

    fn visit_str<E>(self, name: &str) -> Result<ProfileFile, E> {
        Ok(ProfileFile::Name(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ProfileFile, A::Error> {
        rest_of(map).map(ProfileFile::PerCard)
    }
}

/// The phase and its size.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "phase", rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkloadFile {
    /// Every sequence gains one token a step.
    Decode(DecodeFile),
    /// Every sequence gets its first token.
    Prefill(PrefillFile),
    /// Prompt and tokens of every sequence.
    Inference(InferenceFile),
}

/// The size of a decode step.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeFile {
    /// Sequences in the whole system.
    pub batch: u32,
    /// Tokens already in the cache of each sequence: a number, or a distribution.
    pub context_len: ContextLenFile,
}

/// The size of the prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefillFile {
    /// Sequences in the whole system.
    pub batch: u32,
    /// Tokens of each prompt.
    pub prompt_len: u32,
    /// Tokens of a prompt that pass through the model at once; `auto` is the whole prompt.
    #[serde(default)]
    pub chunk_len: CountFile,
}

/// The size of whole requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InferenceFile {
    /// Sequences in the whole system, which begin and end together.
    pub batch: u32,
    /// Tokens of each prompt.
    pub prompt_len: u32,
    /// Tokens that each sequence gets.
    pub output_len: u32,
}

impl Kinds for WorkloadFile {
    const TAG: &'static str = "phase";
    const KINDS: &'static [&'static str] = &["decode", "prefill", "inference"];
    const PLANNED: &'static [&'static str] = &["training"];

    fn read<'de, A: MapAccess<'de>>(phase: &str, rest: A) -> Result<Self, A::Error> {
        match phase {
            "decode" => rest_of(rest).map(Self::Decode),
            "prefill" => rest_of(rest).map(Self::Prefill),
            _ => rest_of(rest).map(Self::Inference),
        }
    }
}

/// Time that the host of a serving stack spends beside the GPUs.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostOverheadFile {
    /// One kernel launched by the host (`launch: eager`), or one captured graph of a micro-batch.
    #[schemars(with = "String")]
    pub per_launch: SimDuration,
    /// Scheduling, preparing inputs and returning tokens, once a step and micro-batch; the GPUs wait for it.
    #[schemars(with = "String")]
    pub per_step: SimDuration,
    /// The same, for each sequence of the micro-batch.
    #[schemars(with = "String")]
    pub per_sequence: SimDuration,
    /// With `launch: graph`, graphs are captured for powers of two below this number of sequences and for its multiples;
    /// steps are filled up to one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_batch: Option<u32>,
    /// Time to hand the step to the processes of further GPUs; nothing where one process has all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<HandOverFile>,
    /// Source of the figures.
    pub source: String,
}

/// Time to hand a step to the processes of further GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOverFile {
    /// Once a step and micro-batch, if there is a further GPU.
    #[schemars(with = "String")]
    pub per_step: SimDuration,
    /// For each sequence of the micro-batch and each further GPU.
    #[schemars(with = "String")]
    pub per_sequence: SimDuration,
}

/// Tokens in the caches: a number, or a distribution over the sequences.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ContextLenFile {
    /// All alike.
    Fixed(u32),
    /// Different.
    Distribution(DistributionFile),
}

/// A distribution of lengths over the sequences of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DistributionFile {
    /// Drawn between two bounds, both included.
    Uniform(UniformFile),
    /// Drawn from a log-normal distribution.
    Lognormal(LognormalFile),
    /// Given, repeated in order until the batch is full.
    List(ListFile),
    /// Those of recorded requests while they decode.
    Trace(TraceFile),
}

/// Bounds of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniformFile {
    /// Shortest.
    pub min: u32,
    /// Longest.
    pub max: u32,
}

/// A log-normal distribution of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LognormalFile {
    /// Mean of the lengths themselves.
    pub mean: f64,
    /// Standard deviation of their logarithm.
    pub sigma: f64,
}

/// Lengths one by one.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    /// One for each sequence, repeated until the batch is full.
    pub values: Vec<u32>,
}

/// A file of recorded requests: comma-separated with a header, or one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceFile {
    /// The file, relative to this one, or else to the current folder.
    pub path: String,
    /// The column of prompt lengths.
    #[serde(default = "prompt_len")]
    pub prompt: String,
    /// The column of output lengths.
    #[serde(default = "output_len")]
    pub output: String,
}

fn prompt_len() -> String {
    "prompt_len".to_owned()
}

fn output_len() -> String {
    "output_len".to_owned()
}

impl Kinds for DistributionFile {
    const KINDS: &'static [&'static str] = &["uniform", "lognormal", "list", "trace"];

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        match kind {
            "uniform" => rest_of(rest).map(Self::Uniform),
            "lognormal" => rest_of(rest).map(Self::Lognormal),
            "list" => rest_of(rest).map(Self::List),
            _ => rest_of(rest).map(Self::Trace),
        }
    }
}

impl<'de> Deserialize<'de> for ContextLenFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ContextLenVisitor)
    }
}

struct ContextLenVisitor;

impl<'de> Visitor<'de> for ContextLenVisitor {
    type Value = ContextLenFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of tokens, or a mapping with a `kind`")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<ContextLenFile, E> {
        u32::try_from(n)
            .map(ContextLenFile::Fixed)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(n), &"at most 4294967295"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ContextLenFile, A::Error> {
        rest_of(map).map(ContextLenFile::Distribution)
    }
}

/// Distribution of tokens over the experts of a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LoadFile {
    /// Every expert gets the same number of tokens, exactly.
    #[default]
    Balanced,
    /// Every expert is equally likely.
    Uniform,
    /// The r-th most popular expert is chosen in proportion to `r^-exponent`.
    Zipf(ExponentFile),
    /// Popularities are drawn from a density in proportion to `x^-exponent`.
    PowerLaw(ExponentFile),
    /// Popularities in proportion to counts that were observed.
    Histogram(HistogramFile),
}

/// The skew of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExponentFile {
    /// The larger, the more skewed.
    pub exponent: f64,
}

/// Tokens that experts were observed to get.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistogramFile {
    /// One count for each expert.
    pub tokens: Vec<u64>,
}

impl Kinds for LoadFile {
    const KINDS: &'static [&'static str] = &["balanced", "uniform", "zipf", "power_law", "histogram"];

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        match kind {
            "balanced" => nothing_else(rest).map(|()| Self::Balanced),
            "uniform" => nothing_else(rest).map(|()| Self::Uniform),
            "zipf" => rest_of(rest).map(Self::Zipf),
            "power_law" => rest_of(rest).map(Self::PowerLaw),
            _ => rest_of(rest).map(Self::Histogram),
        }
    }
}

deserialize_kinds!(WorkloadFile, DistributionFile, LoadFile);

/// Launch of kernels by the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaunchFile {
    /// Replayed from a captured graph.
    #[default]
    Graph,
    /// One by one.
    Eager,
}

deserialize_names!(LaunchFile { "graph" => Self::Graph, "eager" => Self::Eager } planned []);

/// A resource that is slow, or fails, for a while.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultFile {
    /// When it begins.
    #[schemars(with = "String")]
    pub at: SimDuration,
    /// When it ends; `null` is never.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub until: Option<SimDuration>,
    /// A GPU, a link or a node.
    pub resource: String,
    /// Share of its speed that is left.
    pub speed: f64,
}
