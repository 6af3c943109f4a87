//! A group of GPUs of a cluster as the machine that models of communication know.

use std::collections::{BTreeMap, BTreeSet};

use super::rates::bottleneck;
use crate::inputs::measurement::{Machine, ScaleUp};
use crate::inputs::topology::{Cluster, GpuIdx};

/// Bytes per second in the unit of parameters.
const PER_GB: f64 = 1e9;

/// The machine that `group` runs on: the node of its first GPU, and the NICs that its GPUs use.
pub(super) fn machine_of(cluster: &Cluster, group: &[GpuIdx]) -> Machine {
    let home = cluster.gpu(group[0]).node_idx;
    let node: Vec<GpuIdx> = cluster.node(home).map(GpuIdx).collect();
    let card = &cluster.gpu(group[0]).card.name;
    let mut machine = Machine { n_gpus_per_node: count(node.len()), ..Machine::assumed(card) };
    let rate = |src, dst| {
        let narrowest = bottleneck(cluster, cluster.route(src, dst));
        narrowest.map_or(0.0, |it| it.bytes_per_sec() as f64 / PER_GB)
    };
    if node.len() > 1 {
        let others = || node.iter().filter(|&&gpu| gpu != group[0]);
        let is_mesh = others().all(|&gpu| cluster.route(group[0], gpu).links.len() == 1);
        machine.scale_up = if is_mesh { ScaleUp::Mesh } else { ScaleUp::Switch };
        let rates = others().map(|&gpu| rate(group[0], gpu));
        machine.nvlink = if is_mesh { rates.sum() } else { rates.fold(f64::INFINITY, f64::min) };
    }
    let mut rails = BTreeMap::<u32, BTreeSet<u32>>::new();
    for &gpu in group {
        rails.entry(cluster.gpu(gpu).node_idx).or_default().insert(cluster.rail_idx(gpu));
    }
    machine.n_nics_per_node = rails.values().map(|rails| count(rails.len())).max().unwrap_or(1);
    if let Some(&far) = group.iter().find(|&&gpu| cluster.gpu(gpu).node_idx != home) {
        machine.nic = rate(group[0], far);
    }
    machine
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 GPUs and links")
}
