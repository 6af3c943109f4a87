//! The regular form of a cluster: what a few numbers mean as a graph.

use std::sync::Arc;

use masim_units::Bandwidth;

use super::card::GpuCard;
use super::card_load::Cards;
use super::cluster::Cluster;
use super::file::{
    ClusterFile, GpuFile, HostFile, RelayFile, ScaleOutFile, ScaleOutKind, ScaleUpFile, ScaleUpKind,
};
use super::findings::{BANDWIDTH_MAX, Findings};
use super::graph::{GraphBuilder, LinkSpec, VertexIdx, VertexKind};
use super::parts::{Gpu, GpuIdx};
use super::reference::CardsFile;
use super::routing::{NodeExits, Routing};

/// The largest cluster that is believed.
pub(crate) const N_GPUS_MAX: u32 = 65_536;
/// The most links that are believed.
const N_LINKS_MAX: u64 = 1 << 22;

/// A regular cluster whose numbers were checked.
#[derive(Debug)]
pub(crate) struct Regular<'a> {
    n_nodes: u32,
    n_gpus: u32,
    /// One for each node.
    cards: Vec<Arc<GpuCard>>,
    scale_up: Option<&'a ScaleUpFile>,
    host: Option<&'a HostFile>,
    scale_out: Option<ScaleOut<'a>>,
}

/// The network between nodes.
#[derive(Clone, Copy, Debug)]
struct ScaleOut<'a> {
    file: &'a ScaleOutFile,
    n_nics: u32,
    leaves: Leaves,
}

/// Switches that NICs are attached to.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// One switch.
    One,
    /// Leaf `node / n_nodes_per_leaf`.
    ByNode { n_nodes_per_leaf: u32, spines: Spines },
    /// Leaf `nic`.
    ByRail { spines: Option<Spines> },
}

/// Switches that leaves are attached to.
#[derive(Clone, Copy, Debug)]
struct Spines {
    n_spines: u32,
    /// Bandwidth of one link between a leaf and a spine.
    bandwidth: Bandwidth,
}

/// Checks the numbers of a regular cluster.
pub(crate) fn check<'a>(
    file: &'a ClusterFile,
    cards: &mut Cards<'_>,
    findings: &mut Findings<'_>,
) -> Option<Regular<'a>> {
    let n_nodes = findings.required_count("n_nodes", file.n_nodes, N_GPUS_MAX);
    let n_gpus = findings.required_count("n_gpus_per_node", file.n_gpus_per_node, N_GPUS_MAX);
    let cards = node_cards(file.gpu.as_ref(), n_nodes, cards, findings);
    check_scale_up(file.scale_up.as_ref(), n_gpus, findings);
    check_host(file.host.as_ref(), n_nodes, findings);
    let scale_out = check_scale_out(file.scale_out.as_ref(), n_nodes, n_gpus, findings);
    let (n_nodes, n_gpus) = (n_nodes?, n_gpus?);
    if scale_out.is_some() && file.host.is_none() && n_nodes == 1 {
        findings.add("host", "is missing; `scale_out` attaches NICs to its PCIe switches");
    }
    if n_nodes.checked_mul(n_gpus).is_none_or(|n| n > N_GPUS_MAX) {
        let message = format!("{n_nodes} nodes of {n_gpus} GPUs are more than {N_GPUS_MAX} GPUs");
        findings.add("n_nodes", message);
        return None;
    }
    let (scale_up, host) = (file.scale_up.as_ref(), file.host.as_ref());
    let regular = Regular { n_nodes, n_gpus, cards: cards?, scale_up, host, scale_out };
    let n_links = regular.n_links();
    if n_links > N_LINKS_MAX {
        findings
            .add("", format_args!("{n_links} links are more than {N_LINKS_MAX}; expected a smaller cluster"));
        return None;
    }
    Some(regular)
}

/// The card of each node.
fn node_cards(
    gpu: Option<&CardsFile<GpuFile>>,
    n_nodes: Option<u32>,
    cards: &mut Cards<'_>,
    findings: &mut Findings<'_>,
) -> Option<Vec<Arc<GpuCard>>> {
    match gpu {
        None => {
            findings.add("gpu", "is missing; expected the name of a GPU card, or one for each node");
            None
        }
        Some(CardsFile::Same(reference)) => {
            cards.get(reference, "gpu", findings).map(|card| vec![card; n_nodes.unwrap_or(1) as usize])
        }
        Some(CardsFile::PerNode(list)) => {
            if n_nodes.is_some_and(|n| n as usize != list.len()) {
                let (found, wanted) = (list.len(), n_nodes.unwrap_or(1));
                findings.add(
                    "gpu",
                    format_args!(
                        "names {found} cards for {wanted} nodes; expected one, or one for each node"
                    ),
                );
            }
            let all: Vec<_> = (list.iter().enumerate())
                .map(|(idx, reference)| cards.get(reference, &format!("gpu.{idx}"), findings))
                .collect();
            all.into_iter().collect()
        }
    }
}

fn check_scale_up(scale_up: Option<&ScaleUpFile>, n_gpus: Option<u32>, findings: &mut Findings<'_>) {
    match scale_up {
        Some(scale_up) => {
            findings.bandwidth("scale_up.bandwidth", scale_up.bandwidth);
            findings.latency("scale_up.latency", scale_up.latency);
            findings.source("scale_up.source", &scale_up.source);
        }
        None if n_gpus.is_some_and(|n| n > 1) => {
            findings.add(
                "scale_up",
                "is missing; expected how the GPUs of a node are joined (kind, bandwidth, latency, source)",
            );
        }
        None => {}
    }
}

fn check_host(host: Option<&HostFile>, n_nodes: Option<u32>, findings: &mut Findings<'_>) {
    match host {
        Some(host) => {
            findings.count("host.n_gpus_per_switch", host.n_gpus_per_switch, N_GPUS_MAX);
            findings.bandwidth("host.bandwidth", host.bandwidth);
            findings.latency("host.latency", host.latency);
            findings.source("host.source", &host.source);
        }
        None if n_nodes.is_some_and(|n| n > 1) => {
            findings.add("host", "is missing; expected the PCIe switches between GPUs and NICs (n_gpus_per_switch, bandwidth, latency, source)");
        }
        None => {}
    }
}

fn check_scale_out<'a>(
    file: Option<&'a ScaleOutFile>,
    n_nodes: Option<u32>,
    n_gpus: Option<u32>,
    findings: &mut Findings<'_>,
) -> Option<ScaleOut<'a>> {
    let Some(file) = file else {
        if n_nodes.is_some_and(|n| n > 1) {
            findings.add("scale_out", "is missing; expected the network between nodes (kind, n_nics_per_node, bandwidth, latency, source)");
        }
        return None;
    };
    findings.bandwidth("scale_out.bandwidth", file.bandwidth);
    findings.latency("scale_out.latency", file.latency);
    findings.source("scale_out.source", &file.source);
    let n_nics = findings.count("scale_out.n_nics_per_node", file.n_nics_per_node, N_GPUS_MAX);
    if let (Some(n_nics), Some(n_gpus)) = (n_nics, n_gpus)
        && n_nics > n_gpus
    {
        findings.add(
            "scale_out.n_nics_per_node",
            format_args!(
                "{n_nics} NICs for {n_gpus} GPUs; every GPU prefers one NIC, so at most {n_gpus} can be used"
            ),
        );
    }
    if let Some(ratio) = file.oversubscription
        && !(ratio.is_finite() && ratio > 0.0)
    {
        findings.add(
            "scale_out.oversubscription",
            format_args!("{ratio} is out of range; expected a positive number"),
        );
    }
    let leaves = check_leaves(file, n_nodes, findings);
    Some(ScaleOut { file, n_nics: n_nics?, leaves: leaves? })
}

/// The switches that `kind` stands for; keys that it does not take are noted.
fn check_leaves(file: &ScaleOutFile, n_nodes: Option<u32>, findings: &mut Findings<'_>) -> Option<Leaves> {
    let by_node = file.kind == ScaleOutKind::FatTree;
    let has_spines = by_node || (file.kind == ScaleOutKind::Rail && file.n_spines.is_some());
    let given = [
        ("scale_out.n_nodes_per_leaf", file.n_nodes_per_leaf.is_some(), by_node, "`fat_tree`"),
        ("scale_out.n_spines", file.n_spines.is_some(), has_spines, "`fat_tree` and `rail`"),
        (
            "scale_out.oversubscription",
            file.oversubscription.is_some(),
            has_spines,
            "a fabric with `n_spines`",
        ),
    ];
    for (key, is_given, is_taken, taker) in given {
        if is_given && !is_taken {
            findings.add(key, format_args!("belongs to {taker}; `kind` is `{}`", file.kind.name()));
        }
    }
    let spines = |n_nics_per_leaf: u64, findings: &mut Findings<'_>| {
        let n_spines = findings.required_count("scale_out.n_spines", file.n_spines, N_GPUS_MAX)?;
        let bandwidth = uplink(file, n_nics_per_leaf, n_spines);
        if bandwidth.is_none() {
            findings.add(
                "scale_out.oversubscription",
                "leaves less than 1 B/s or more than 200 TB/s for a link to a spine",
            );
        }
        Some(Spines { n_spines, bandwidth: bandwidth? })
    };
    match file.kind {
        ScaleOutKind::Switch => Some(Leaves::One),
        ScaleOutKind::FatTree => {
            let n = findings.required_count("scale_out.n_nodes_per_leaf", file.n_nodes_per_leaf, N_GPUS_MAX);
            let spines = spines(u64::from(n.unwrap_or(1)) * u64::from(file.n_nics_per_node), findings);
            Some(Leaves::ByNode { n_nodes_per_leaf: n?, spines: spines? })
        }
        ScaleOutKind::Rail if has_spines => {
            let spines = spines(u64::from(n_nodes.unwrap_or(1)), findings);
            Some(Leaves::ByRail { spines: Some(spines?) })
        }
        ScaleOutKind::Rail => Some(Leaves::ByRail { spines: None }),
    }
}

/// Bandwidth of one link to a spine: what the leaf's NICs bring, divided among spines and oversubscribed.
fn uplink(file: &ScaleOutFile, n_nics_per_leaf: u64, n_spines: u32) -> Option<Bandwidth> {
    let down = n_nics_per_leaf as f64 * file.bandwidth.bytes_per_sec() as f64;
    let up = (down / f64::from(n_spines) / file.oversubscription.unwrap_or(1.0)).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (up >= 1.0 && up <= BANDWIDTH_MAX as f64).then(|| Bandwidth::new(up as u64)).flatten()
}

impl Regular<'_> {
    fn n_switches(&self) -> u32 {
        self.host.map_or(0, |host| self.n_gpus.div_ceil(host.n_gpus_per_switch.max(1)))
    }

    /// The number of links, for a check before any is made.
    fn n_links(&self) -> u64 {
        let (nodes, gpus) = (u64::from(self.n_nodes), u64::from(self.n_gpus));
        let scale_up = match self.scale_up.map(|up| up.kind) {
            Some(ScaleUpKind::Mesh) => gpus * (gpus - 1),
            Some(ScaleUpKind::Switch) => 2 * gpus,
            None => 0,
        };
        let nics = self.scale_out.map_or(0, |out| u64::from(out.n_nics));
        let leaf_spine = self.scale_out.map_or(0, |out| match out.leaves {
            Leaves::One | Leaves::ByRail { spines: None } => 0,
            Leaves::ByNode { n_nodes_per_leaf, spines } => {
                2 * nodes.div_ceil(n_nodes_per_leaf.into()) * u64::from(spines.n_spines)
            }
            Leaves::ByRail { spines: Some(spines) } => 2 * nics * u64::from(spines.n_spines),
        });
        nodes * (scale_up + 2 * gpus + 2 * u64::from(self.n_switches()) + 4 * nics) + leaf_spine
    }

    /// The cluster as a graph.
    pub(crate) fn build(&self, file: &ClusterFile) -> Cluster {
        let mut fabric = GraphBuilder::default();
        let mut gpus = Vec::new();
        let mut exits = Vec::new();
        for (node_idx, card) in (0..self.n_nodes).zip(&self.cards) {
            let vertices = self.gpu_vertices(node_idx, &mut fabric);
            for local_idx in 0..self.n_gpus {
                let name = format!("n{node_idx}.g{local_idx}");
                gpus.push(Gpu { name, node_idx, local_idx, card: Arc::clone(card) });
            }
            self.join_gpus(node_idx, &vertices, &mut fabric);
            exits.push(self.host_and_nics(node_idx, &vertices, &mut fabric));
        }
        if let Some(out) = &self.scale_out {
            out.join_nics(&exits, &mut fabric);
        }
        let rails = gpus.iter().map(|gpu| self.rail(gpu.local_idx)).collect();
        let n_nics = self.scale_out.map_or(0, |out| out.n_nics);
        let routing = Routing::Regular {
            exits,
            through_host: self.scale_out.is_some_and(|out| !out.file.gpudirect),
            relays: self.scale_up.is_some()
                && self.scale_out.is_some_and(|out| out.file.relay == RelayFile::Pxn),
            leave_by_rail_of_receiver: self
                .scale_out
                .is_some_and(|out| n_nics > 1 && matches!(out.leaves, Leaves::ByRail { spines: None })),
        };
        Cluster::assemble(file, gpus, fabric, rails, routing)
    }

    /// The NIC that GPU `local_idx` prefers; its own position where there are no NICs.
    fn rail(&self, local_idx: u32) -> u32 {
        self.scale_out.map_or(local_idx, |out| {
            let rail = u64::from(local_idx) * u64::from(out.n_nics) / u64::from(self.n_gpus);
            u32::try_from(rail).expect("less than the number of NICs")
        })
    }

    fn gpu_vertices(&self, node_idx: u32, fabric: &mut GraphBuilder) -> Vec<VertexIdx> {
        let first = node_idx * self.n_gpus;
        (0..self.n_gpus)
            .map(|g| {
                let kind = VertexKind::Gpu(GpuIdx(first + g));
                fabric.vertex(format!("n{node_idx}.g{g}"), kind, Some(node_idx))
            })
            .collect()
    }

    fn join_gpus(&self, node_idx: u32, gpus: &[VertexIdx], fabric: &mut GraphBuilder) {
        let Some(up) = self.scale_up else { return };
        let spec = LinkSpec { bandwidth: up.bandwidth, latency: up.latency, source: &up.source };
        match up.kind {
            ScaleUpKind::Mesh => {
                for (idx, &a) in gpus.iter().enumerate() {
                    for &b in &gpus[idx + 1..] {
                        fabric.duplex(a, b, spec);
                    }
                }
            }
            ScaleUpKind::Switch => {
                let switch = fabric.vertex(format!("n{node_idx}.nvsw"), VertexKind::NvSwitch, Some(node_idx));
                for &gpu in gpus {
                    fabric.duplex(gpu, switch, spec);
                }
            }
        }
    }

    /// PCIe switches, the host bridge and the NICs of a node.
    fn host_and_nics(&self, node_idx: u32, gpus: &[VertexIdx], fabric: &mut GraphBuilder) -> NodeExits {
        let Some(host) = self.host else { return NodeExits::default() };
        let spec = LinkSpec { bandwidth: host.bandwidth, latency: host.latency, source: &host.source };
        let n_switches = self.n_switches();
        let switches: Vec<_> = (0..n_switches)
            .map(|k| fabric.vertex(format!("n{node_idx}.pcie{k}"), VertexKind::PcieSwitch, Some(node_idx)))
            .collect();
        let bridge = fabric.vertex(format!("n{node_idx}.host"), VertexKind::Host, Some(node_idx));
        for (group, &switch) in gpus.chunks(host.n_gpus_per_switch as usize).zip(&switches) {
            for &gpu in group {
                fabric.duplex(gpu, switch, spec);
            }
        }
        for &switch in &switches {
            fabric.duplex(switch, bridge, spec);
        }
        let n_nics = self.scale_out.map_or(0, |out| out.n_nics);
        let nics = (0..n_nics)
            .map(|k| {
                let kind = VertexKind::Nic { nic_idx: k };
                let nic = fabric.vertex(format!("n{node_idx}.nic{k}"), kind, Some(node_idx));
                let switch = u64::from(k) * u64::from(n_switches) / u64::from(n_nics);
                let switch = usize::try_from(switch).expect("less than the number of switches");
                fabric.duplex(switches[switch], nic, spec);
                nic
            })
            .collect();
        NodeExits { host: Some(bridge), nics }
    }
}

impl ScaleOut<'_> {
    /// The switches between nodes, and their links.
    fn join_nics(&self, exits: &[NodeExits], fabric: &mut GraphBuilder) {
        let ScaleOutFile { bandwidth, latency, source, .. } = self.file;
        let spec = LinkSpec { bandwidth: *bandwidth, latency: *latency, source };
        let n_nodes = u32::try_from(exits.len()).expect("checked");
        let (n_leaves, spines) = match self.leaves {
            Leaves::One => (1, None),
            Leaves::ByNode { n_nodes_per_leaf, spines } => (n_nodes.div_ceil(n_nodes_per_leaf), Some(spines)),
            Leaves::ByRail { spines } => (self.n_nics, spines),
        };
        let leaves: Vec<_> = match self.leaves {
            Leaves::One => vec![fabric.vertex("net".to_owned(), VertexKind::Fabric, None)],
            Leaves::ByNode { .. } | Leaves::ByRail { .. } => {
                (0..n_leaves).map(|i| fabric.vertex(format!("leaf{i}"), VertexKind::Leaf, None)).collect()
            }
        };
        for (node_idx, exit) in exits.iter().enumerate() {
            for (nic_idx, &nic) in exit.nics.iter().enumerate() {
                let leaf = match self.leaves {
                    Leaves::One => 0,
                    Leaves::ByNode { n_nodes_per_leaf, .. } => node_idx / n_nodes_per_leaf as usize,
                    Leaves::ByRail { .. } => nic_idx,
                };
                fabric.duplex(nic, leaves[leaf], spec);
            }
        }
        let Some(Spines { n_spines, bandwidth }) = spines else { return };
        let spec = LinkSpec { bandwidth, ..spec };
        for j in 0..n_spines {
            let spine = fabric.vertex(format!("spine{j}"), VertexKind::Spine, None);
            for &leaf in &leaves {
                fabric.duplex(leaf, spine, spec);
            }
        }
    }
}
