//! The YAML of the key `strategy`, word for word.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use super::count_file::CountFile;
use crate::inputs::text::kind::{Kinds, deserialize_kinds, deserialize_names, name_among, rest_of};

/// Strategy: the layout of a model over the GPUs of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StrategyFile {
    /// Attention and experts on different GPUs.
    MaSeparation(MaSeparationFile),
    /// Every layer split `tp` ways, layers in `pp` stages, `dp` copies.
    TpPp(TpPpFile),
    /// Attention replicated, experts spread over the same GPUs.
    DpEp(DpEpFile),
}

impl Kinds for StrategyFile {
    const KINDS: &'static [&'static str] = &["ma_separation", "tp_pp", "dp_ep"];

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        match kind {
            "ma_separation" => rest_of(rest).map(Self::MaSeparation),
            "tp_pp" => rest_of(rest).map(Self::TpPp),
            _ => rest_of(rest).map(Self::DpEp),
        }
    }
}

deserialize_kinds!(StrategyFile);

/// Attention and experts on different GPUs.
#[derive(Clone, Debug, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaSeparationFile {
    /// GPUs that do attention.
    pub n_attention_gpus: u32,
    /// GPUs that do experts; both pools add up to the cluster.
    pub n_expert_gpus: u32,
    /// Split of the attention pool.
    #[serde(default)]
    pub attention: AttentionSplitFile,
    /// Split of the expert pool.
    #[serde(default)]
    pub experts: ExpertSplitFile,
    /// Dispatch of tokens to their experts.
    #[serde(default)]
    pub dispatch: DispatchFile,
    /// Forwarding inside a node of copies that travel once.
    #[serde(default)]
    pub forward: ForwardFile,
    /// Which GPUs play which role.
    #[serde(default)]
    pub placement: PlacementFile,
    /// When a micro-batch may move on.
    #[serde(default)]
    pub schedule: ScheduleFile,
    /// Shares of the batch that move through the pools one after the other.
    #[serde(default)]
    pub n_micro_batches: CountFile,
}

/// Attention pool = heads x sequences x replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentionSplitFile {
    /// GPUs among which the heads of a layer are split.
    #[serde(default)]
    pub heads: CountFile,
    /// GPUs among which the cache of one sequence is split.
    #[serde(default)]
    pub sequences: CountFile,
    /// Groups with sequences of their own.
    #[serde(default)]
    pub replicas: CountFile,
    /// Mode of the replicas.
    #[serde(default)]
    pub replica_mode: ReplicaModeFile,
}

/// Expert pool = ep x tp, plus redundant copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpertSplitFile {
    /// Groups among which whole experts are spread.
    #[serde(default)]
    pub ep: CountFile,
    /// GPUs among which each expert is split.
    #[serde(default)]
    pub tp: CountFile,
    /// Extra instances of the most popular experts, per layer, in total.
    #[serde(default)]
    pub copies: u32,
    /// Sum of the partial outputs of the GPUs that split an expert.
    #[serde(default)]
    pub reduce: ExpertReduceFile,
}

/// Every layer split `tp` ways, layers in `pp` stages, `dp` copies; `tp x pp x dp` is the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TpPpFile {
    /// GPUs among which each layer is split.
    pub tp: u32,
    /// Stages.
    pub pp: u32,
    /// Copies.
    pub dp: u32,
    /// Micro-batches under way at once.
    #[serde(default)]
    pub n_in_flight: CountFile,
}

/// Data-parallel attention and expert parallelism on the same GPUs; `dp x tp` is the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DpEpFile {
    /// Groups with sequences of their own.
    pub dp: u32,
    /// Groups among which whole experts are spread; short for `experts.ep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ep: Option<u32>,
    /// GPUs among which the heads of each group are split.
    pub tp: u32,
    /// Split of the experts over all GPUs.
    #[serde(default)]
    pub experts: ColocatedExpertsFile,
    /// Shares of the batch whose communication hides behind each other's computation.
    #[serde(default = "one")]
    pub n_overlapped: u32,
}

/// Experts of `dp_ep`: `ep x tp` is the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColocatedExpertsFile {
    /// Groups among which whole experts are spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ep: Option<u32>,
    /// GPUs among which each expert is split; the GPUs over `ep` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tp: Option<u32>,
    /// Sum of the partial outputs of the GPUs that split an expert.
    #[serde(default)]
    pub reduce: ExpertReduceFile,
}

const fn one() -> u32 {
    1
}

/// Modes of the replicas of the attention pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaModeFile {
    /// Each has sequences of its own.
    #[default]
    Data,
}

/// Dispatch of tokens to their experts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DispatchFile {
    /// The gate runs on the attention GPUs; each token travels once to each GPU that it needs.
    #[default]
    M2n,
    /// Every expert GPU gets all tokens, gates them and keeps its own.
    Broadcast,
}

/// Forwarding inside a node of copies of a token that travel once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardFile {
    /// One copy per destination GPU.
    #[default]
    None,
    /// One copy per destination node.
    Node,
}

/// When a micro-batch may move on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleFile {
    /// The micro-batch moves on as soon as its data is there.
    #[default]
    Dataflow,
    /// Both pools join at each slot.
    Lockstep,
}

/// Place of the sum over the GPUs that split the hidden width of an expert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpertReduceFile {
    /// Among those GPUs, each of which then sends a share of the rows.
    #[default]
    Inside,
    /// On the attention GPU, to which each sends all its partial rows.
    None,
}

deserialize_names!(ExpertReduceFile { "inside" => Self::Inside, "none" => Self::None } planned []);
deserialize_names!(ReplicaModeFile { "data" => Self::Data } planned ["mirror_kv", "mirror"]);
deserialize_names!(DispatchFile { "m2n" => Self::M2n, "broadcast" => Self::Broadcast } planned ["all_to_all"]);
deserialize_names!(ForwardFile { "none" => Self::None, "node" => Self::Node } planned []);
deserialize_names!(ScheduleFile { "dataflow" => Self::Dataflow, "lockstep" => Self::Lockstep } planned []);

/// Which GPUs play which role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacementFile {
    /// Attention first, experts last.
    #[default]
    Blocked,
    /// Each node in the ratio of the whole.
    Interleaved,
    /// Given.
    #[serde(untagged)]
    List(PoolsFile),
}

/// The GPUs of each role; every GPU of the cluster stands in one of them, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolsFile {
    /// GPUs that do attention.
    pub attention: Vec<GpuRefFile>,
    /// GPUs that do experts.
    pub expert: Vec<GpuRefFile>,
}

/// A GPU: its index in the cluster or its name, such as `n0.g1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum GpuRefFile {
    /// Its index.
    Idx(u32),
    /// Its name.
    Name(String),
}

impl<'de> Deserialize<'de> for PlacementFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PlacementVisitor)
    }
}

struct PlacementVisitor;

impl<'de> Visitor<'de> for PlacementVisitor {
    type Value = PlacementFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`blocked`, `interleaved` or `{ attention: [gpu...], expert: [gpu...] }`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PlacementFile, E> {
        match name_among::<E>(name, &["blocked", "interleaved"], &[])? {
            "blocked" => Ok(PlacementFile::Blocked),
            _ => Ok(PlacementFile::Interleaved),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PlacementFile, A::Error> {
        rest_of(map).map(PlacementFile::List)
    }
}

impl<'de> Deserialize<'de> for GpuRefFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(GpuRefVisitor)
    }
}

struct GpuRefVisitor;

impl Visitor<'_> for GpuRefVisitor {
    type Value = GpuRefFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the index of a GPU or its name")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<GpuRefFile, E> {
        u32::try_from(n)
            .map(GpuRefFile::Idx)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(n), &"at most 4294967295"))
    }

    fn visit_str<E>(self, name: &str) -> Result<GpuRefFile, E> {
        Ok(GpuRefFile::Name(name.to_owned()))
    }
}
