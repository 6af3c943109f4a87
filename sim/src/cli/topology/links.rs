//! The links of a cluster, equal ones in one row.

use std::collections::BTreeMap;

use masim_engine::LinkId;

use crate::cli::table::Plain;
use masim_core::inputs::topology::{Cluster, VertexIdx, VertexKind};

/// Links by what they join, their rate, their latency and their source.
pub(super) fn table(cluster: &Cluster) -> String {
    let mut counts = BTreeMap::<[String; 5], usize>::new();
    for (idx, link) in (0..).zip(&cluster.links) {
        let (src, dst) = cluster.link_ends(LinkId(idx));
        let row = [
            kind(cluster, src).to_owned(),
            kind(cluster, dst).to_owned(),
            link.bandwidth.to_string(),
            link.latency.to_string(),
            link.source.clone(),
        ];
        *counts.entry(row).or_default() += 1;
    }
    let mut table = Plain::new(["links", "from", "to", "bandwidth", "latency", "source"]);
    for ([src, dst, bandwidth, latency, source], n_links) in counts {
        table.add([n_links.to_string(), src, dst, bandwidth, latency, source]);
    }
    table.into_text()
}

fn kind(cluster: &Cluster, vertex: VertexIdx) -> &'static str {
    match cluster.vertex(vertex).kind {
        VertexKind::Gpu(_) => "GPU",
        VertexKind::NvSwitch => "NVSwitch",
        VertexKind::PcieSwitch => "PCIe switch",
        VertexKind::Host => "host",
        VertexKind::Nic { .. } => "NIC",
        VertexKind::Fabric => "fabric",
        VertexKind::Leaf => "leaf",
        VertexKind::Spine => "spine",
        VertexKind::Switch => "switch",
    }
}
