//! The YAML of a GPU card and of a cluster, word for word.

use std::collections::BTreeMap;

use masim_units::{Bandwidth, Bytes, FlopsPerSec, SimDuration, Watts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::card::Dtype;
use super::reference::{CardsFile, FigureFile, ReferenceFile};

/// A GPU card, `topologies/gpus/<name>.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuFile {
    /// Version of the format; 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The card's name, also the stem of its file.
    pub name: String,
    /// Source of all figures without a source of their own.
    pub source: String,
    /// Dense peak rates of matrix arithmetic, without sparsity.
    pub peak: BTreeMap<Dtype, FigureFile<FlopsPerSec>>,
    /// The device memory.
    pub memory: MemoryFile,
    /// Streaming multiprocessors.
    pub n_sms: u32,
    /// Size of the L2 cache, such as `40 MiB`.
    pub l2: FigureFile<Bytes>,
    /// Power drawn.
    pub power: PowerFile,
    /// Efficiencies and launch costs where no calibrated model covers an operation.
    pub roofline: RooflineFile,
    /// Keys that the source does not state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
}

/// The device memory of a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryFile {
    /// Its size, such as `80 GiB`.
    pub size: FigureFile<Bytes>,
    /// Its rate, such as `2039 GB/s`.
    pub bandwidth: FigureFile<Bandwidth>,
}

/// The power of a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerFile {
    /// Without work, such as `60 W`.
    pub idle: FigureFile<Watts>,
    /// The limit, such as `400 W`.
    pub tdp: FigureFile<Watts>,
    /// Power that work draws; without it, the shares of an A100 are assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PowerModelFile>,
}

/// Power of a GPU beside idle: shares of the headroom up to the limit, one for each unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerModelFile {
    /// An open context, such as `38 W`, with or without work.
    #[schemars(with = "String")]
    pub context: Watts,
    /// Share of the headroom per share of the matrix peak.
    pub matrix: f64,
    /// Share of the headroom per share of the memory bandwidth.
    pub memory: f64,
    /// Share of the headroom while a communication kernel is resident.
    pub link: f64,
    /// Source of these figures.
    pub source: String,
}

/// Shares of the peaks that kernels reach, and what a launch costs; `1, 1, 0 us, 0 us` is the pure bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RooflineFile {
    /// Share of the memory bandwidth, in (0, 1].
    pub memory: f64,
    /// Share of the matrix peak, in (0, 1].
    pub matrix: f64,
    /// Cost of a kernel launched by the host one by one.
    #[schemars(with = "String")]
    pub launch_eager: SimDuration,
    /// Cost of a kernel replayed from a captured graph.
    #[schemars(with = "String")]
    pub launch_graph: SimDuration,
    /// Source of these four figures.
    pub source: String,
}

/// A cluster, `topologies/<name>.yaml`: the regular form, or the explicit one with `nodes` and `links`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// Version of the format; 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The cluster's name, also the stem of its file.
    pub name: String,
    /// The card of every GPU, or one card for each node.
    ///
    /// In the explicit form optional: the card meant by vertices that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<CardsFile<GpuFile>>,
    /// Machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_nodes: Option<u32>,
    /// GPUs in each machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_gpus_per_node: Option<u32>,
    /// The links between the GPUs of a machine; may be left out where a machine has one GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScaleUpFile>,
    /// PCIe between GPUs, NICs and host memory; may be left out where there is one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostFile>,
    /// The network between machines; may be left out where there is one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_out: Option<ScaleOutFile>,
    /// The vertices of the explicit form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<VertexFile>>,
    /// The links of the explicit form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<LinkFile>>,
    /// Keys that the sources do not state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
}

/// Links between the GPUs of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleUpKind {
    /// Every pair by links of its own; `bandwidth` is per pair and direction.
    Mesh,
    /// All to one switch; `bandwidth` is per GPU and direction.
    Switch,
}

/// The links between the GPUs of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleUpFile {
    /// Kind of the links.
    pub kind: ScaleUpKind,
    /// Per pair (mesh) or per GPU (switch), and per direction.
    #[schemars(with = "String")]
    pub bandwidth: Bandwidth,
    /// Latency of one hop.
    #[schemars(with = "String")]
    pub latency: SimDuration,
    /// Source of these figures.
    pub source: String,
}

/// PCIe switches between GPUs and NICs, and the host bridge that joins them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostFile {
    /// GPU `g` sits on switch `g / n_gpus_per_switch`.
    pub n_gpus_per_switch: u32,
    /// Per link and direction.
    #[schemars(with = "String")]
    pub bandwidth: Bandwidth,
    /// Latency of one hop.
    #[schemars(with = "String")]
    pub latency: SimDuration,
    /// Source of these figures.
    pub source: String,
}

/// Links between the NICs of all machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScaleOutKind {
    /// All to one non-blocking switch, `net`.
    Switch,
    /// The NICs of `n_nodes_per_leaf` machines to one leaf, every leaf to every spine.
    FatTree,
    /// The NICs of equal index to one leaf; with `n_spines` every leaf to every spine.
    Rail,
}

impl ScaleOutKind {
    /// The name in files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::FatTree => "fat_tree",
            Self::Rail => "rail",
        }
    }
}

/// Forwarding by GPUs of data that is meant for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelayFile {
    /// They never do.
    #[default]
    None,
    /// Data for another rail goes over the scale-up links to the GPU on that rail first (NCCL's PXN).
    Pxn,
}

/// The network between machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleOutFile {
    /// Kind of the links between NICs.
    pub kind: ScaleOutKind,
    /// NIC `k` sits on PCIe switch `k * n_switches / n_nics_per_node`; GPU `g` prefers NIC `g * n_nics / n_gpus`.
    pub n_nics_per_node: u32,
    /// Per NIC and direction.
    #[schemars(with = "String")]
    pub bandwidth: Bandwidth,
    /// Latency of one hop.
    #[schemars(with = "String")]
    pub latency: SimDuration,
    /// True if NICs reach GPU memory without a copy through host memory.
    #[serde(default = "yes")]
    pub gpudirect: bool,
    /// Forwarding by GPUs of data that is meant for others.
    #[serde(default)]
    pub relay: RelayFile,
    /// `fat_tree` only: machines on one leaf switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_nodes_per_leaf: Option<u32>,
    /// `fat_tree`, and `rail` where rails are joined: spine switches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_spines: Option<u32>,
    /// Capacity of a leaf towards its machines divided by its capacity towards the spines; 1 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oversubscription: Option<f64>,
    /// Source of these figures.
    pub source: String,
}

const fn yes() -> bool {
    true
}

/// A vertex of the explicit form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VertexFile {
    /// Its name, which links use.
    pub name: String,
    /// Its card, which makes it a GPU; without one it is a switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<ReferenceFile<GpuFile>>,
    /// The machine it sits in, counted from 0; a GPU without one sits in machine 0, a switch in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
}

/// A link of the explicit form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFile {
    /// Begin of the link.
    pub src: String,
    /// End of the link.
    pub dst: String,
    /// Per direction.
    #[schemars(with = "String")]
    pub bandwidth: Bandwidth,
    /// Latency of this hop.
    #[schemars(with = "String")]
    pub latency: SimDuration,
    /// True if there is an equal link from `dst` to `src`.
    #[serde(default)]
    pub duplex: bool,
    /// Source of these figures.
    pub source: String,
}
