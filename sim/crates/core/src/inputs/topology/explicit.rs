//! The explicit form of a cluster: any graph of vertices and directed links.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::card::GpuCard;
use super::card_load::Cards;
use super::cluster::Cluster;
use super::file::{ClusterFile, LinkFile, VertexFile};
use super::findings::Findings;
use super::graph::{GraphBuilder, LinkSpec, VertexIdx, VertexKind};
use super::parts::{Gpu, GpuIdx};
use super::reference::{CardsFile, ReferenceFile};
use super::regular::N_GPUS_MAX;
use super::routing::Routing;

/// An explicit cluster whose names were checked.
pub(crate) struct Explicit<'a> {
    vertices: &'a [VertexFile],
    links: &'a [LinkFile],
    /// The card of each vertex that is a GPU.
    cards: Vec<Option<Arc<GpuCard>>>,
}

/// Checks names and link ends of an explicit cluster.
pub(crate) fn check<'a>(
    file: &'a ClusterFile,
    cards: &mut Cards<'_>,
    findings: &mut Findings<'_>,
) -> Option<Explicit<'a>> {
    for (key, is_given) in [
        ("n_nodes", file.n_nodes.is_some()),
        ("n_gpus_per_node", file.n_gpus_per_node.is_some()),
        ("scale_up", file.scale_up.is_some()),
        ("host", file.host.is_some()),
        ("scale_out", file.scale_out.is_some()),
    ] {
        if is_given {
            findings.add(key, "belongs to the regular form; this file has `nodes` and `links`");
        }
    }
    let vertices = file.nodes.as_deref().unwrap_or_else(|| {
        findings.add("nodes", "is missing; `links` need the vertices that they join");
        &[]
    });
    let links = file.links.as_deref().unwrap_or(&[]);
    check_names(vertices, findings);
    check_links(vertices, links, findings);
    check_machines(vertices, findings);
    own_card(file, cards, findings);
    let cards: Vec<_> = (vertices.iter().enumerate())
        .map(|(idx, vertex)| {
            let reference = vertex.gpu.as_ref()?;
            cards.get(reference, &format!("nodes.{idx}.gpu"), findings)
        })
        .collect();
    findings.is_empty().then_some(Explicit { vertices, links, cards })
}

/// A card at the top of the file is the one meant by vertices that name it.
fn own_card(file: &ClusterFile, cards: &mut Cards<'_>, findings: &mut Findings<'_>) {
    let reference = match &file.gpu {
        None => return,
        Some(CardsFile::Same(reference)) => reference,
        Some(CardsFile::PerNode(_)) => {
            findings.add("gpu", "is a list; in the explicit form every vertex names its card");
            return;
        }
    };
    let Some(card) = cards.get(reference, "gpu", findings) else { return };
    let is_named = |vertex: &VertexFile| match &vertex.gpu {
        Some(ReferenceFile::Name(name)) => *name == card.name,
        Some(ReferenceFile::Inline(_)) | None => false,
    };
    if !file.nodes.iter().flatten().any(is_named) {
        findings.add("gpu", format_args!("no vertex names the card `{}`", card.name));
    }
    cards.set(&card.name.clone(), card);
}

fn check_names(vertices: &[VertexFile], findings: &mut Findings<'_>) {
    let mut seen = BTreeMap::new();
    for (idx, vertex) in vertices.iter().enumerate() {
        let key = format!("nodes.{idx}.name");
        if vertex.name.trim().is_empty() || vertex.name.contains("->") {
            findings.add(&key, format_args!("`{}` is no name; expected a text without `->`", vertex.name));
        } else if let Some(first) = seen.insert(&vertex.name, idx) {
            findings.add(&key, format_args!("`{}` is already the name of nodes.{first}", vertex.name));
        }
    }
    let n_gpus = vertices.iter().filter(|vertex| vertex.gpu.is_some()).count();
    if n_gpus == 0 && !vertices.is_empty() {
        findings.add("nodes", "none is a GPU; expected `gpu: <card>` on at least one");
    } else if vertices.is_empty() {
        findings.add("nodes", "is empty; expected at least one GPU");
    } else if n_gpus > N_GPUS_MAX as usize {
        findings.add("nodes", format_args!("{n_gpus} GPUs are more than {N_GPUS_MAX}"));
    }
}

fn check_links(vertices: &[VertexFile], links: &[LinkFile], findings: &mut Findings<'_>) {
    let names: BTreeSet<&str> = vertices.iter().map(|vertex| vertex.name.as_str()).collect();
    let mut seen = BTreeMap::new();
    for (idx, link) in links.iter().enumerate() {
        for (end, name) in [("src", link.src.as_str()), ("dst", link.dst.as_str())] {
            if !names.contains(name) {
                let message = format_args!("no vertex is named `{name}`");
                findings.add_with_hint(&format!("links.{idx}.{end}"), message, &nearest(name, &names));
            }
        }
        if link.src == link.dst {
            findings.add(&format!("links.{idx}"), format_args!("joins `{}` to itself", link.src));
        }
        let mut directions = vec![(link.src.as_str(), link.dst.as_str())];
        if link.duplex && link.src != link.dst {
            directions.push((&link.dst, &link.src));
        }
        for (src, dst) in directions {
            if let Some(first) = seen.insert((src, dst), idx) {
                findings.add_with_hint(
                    &format!("links.{idx}"),
                    format_args!("`{src}->{dst}` is already links.{first}"),
                    "add the bandwidths of parallel links",
                );
            }
        }
        findings.bandwidth(&format!("links.{idx}.bandwidth"), link.bandwidth);
        findings.latency(&format!("links.{idx}.latency"), link.latency);
        findings.source(&format!("links.{idx}.source"), &link.source);
    }
}

/// The names that there are, a few of them.
fn nearest(name: &str, names: &BTreeSet<&str>) -> String {
    let alike = |other: &&&str| {
        other.eq_ignore_ascii_case(name) || other.starts_with(name) || name.starts_with(**other)
    };
    match names.iter().find(alike) {
        Some(other) => format!("did you mean `{other}`?"),
        None => format!("the vertices are {}", some_of(names.iter().copied())),
    }
}

/// The first eight names, and how many more there are.
pub(crate) fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let n_more = names.len().saturating_sub(8);
    let shown = names.take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if n_more == 0 { shown } else { format!("{shown} and {n_more} more") }
}

/// Machines are counted from 0 and each has a GPU.
fn check_machines(vertices: &[VertexFile], findings: &mut Findings<'_>) {
    let used: BTreeSet<u32> = vertices
        .iter()
        .filter(|vertex| vertex.gpu.is_some())
        .map(|vertex| vertex.node.unwrap_or(0))
        .collect();
    let n_used = u32::try_from(used.len()).unwrap_or(u32::MAX);
    for (idx, vertex) in vertices.iter().enumerate() {
        if let Some(node) = vertex.node.filter(|&node| node >= n_used) {
            findings.add(
                &format!("nodes.{idx}.node"),
                format_args!("{node} is out of range; machines that hold GPUs are counted from 0 without gaps, and there are {n_used}"),
            );
        }
    }
}

impl Explicit<'_> {
    /// The cluster as a graph; GPUs are counted machine by machine, in the order of the file.
    pub(crate) fn build(&self, file: &ClusterFile) -> Cluster {
        let mut order: Vec<(u32, usize)> = (self.vertices.iter().enumerate())
            .filter(|(_, vertex)| vertex.gpu.is_some())
            .map(|(idx, vertex)| (vertex.node.unwrap_or(0), idx))
            .collect();
        order.sort_unstable();
        let mut gpus: Vec<Gpu> = Vec::with_capacity(order.len());
        let mut gpu_idxs = BTreeMap::new();
        for (node_idx, idx) in order {
            let local_idx =
                gpus.last().filter(|gpu| gpu.node_idx == node_idx).map_or(0, |gpu| gpu.local_idx + 1);
            let card = self.cards[idx].clone().expect("every GPU has a card once no problem was found");
            gpu_idxs.insert(idx, GpuIdx(u32::try_from(gpus.len()).expect("checked")));
            gpus.push(Gpu { name: self.vertices[idx].name.clone(), node_idx, local_idx, card });
        }
        let mut fabric = GraphBuilder::default();
        let mut by_name = BTreeMap::<&str, VertexIdx>::new();
        for (idx, vertex) in self.vertices.iter().enumerate() {
            let (kind, node_idx) = match gpu_idxs.get(&idx) {
                Some(&gpu) => (VertexKind::Gpu(gpu), Some(vertex.node.unwrap_or(0))),
                None => (VertexKind::Switch, vertex.node),
            };
            by_name.insert(&vertex.name, fabric.vertex(vertex.name.clone(), kind, node_idx));
        }
        for link in self.links {
            let (src, dst) = (by_name[link.src.as_str()], by_name[link.dst.as_str()]);
            let spec = LinkSpec { bandwidth: link.bandwidth, latency: link.latency, source: &link.source };
            if link.duplex {
                fabric.duplex(src, dst, spec);
            } else {
                fabric.link(src, dst, spec);
            }
        }
        let rails = gpus.iter().map(|gpu| gpu.local_idx).collect();
        Cluster::assemble(file, gpus, fabric, rails, Routing::Explicit)
    }
}
