//! A group of GPUs of a cluster as the machine that models of communication know.

use std::collections::{BTreeMap, BTreeSet};

use super::latencies::excess_us;
use super::rates::bottleneck;
use crate::inputs::measurement::{Machine, ScaleUp};
use crate::inputs::topology::{Cluster, GpuIdx};

/// Bytes per second in the unit of parameters.
const PER_GB: f64 = 1e9;

/// A path from one GPU to another.
type Pair = (GpuIdx, GpuIdx);

/// The machine that `group` runs on: the paths between its own members, and the NICs that they use.
pub(super) fn machine_of(cluster: &Cluster, group: &[GpuIdx]) -> Machine {
    let mut nodes = BTreeMap::<u32, Vec<GpuIdx>>::new();
    for &gpu in group {
        nodes.entry(cluster.gpu(gpu).node_idx).or_default().push(gpu);
    }
    let inside = nodes.values().flat_map(|members| pairs(members));
    let members: Vec<&Vec<GpuIdx>> = nodes.values().collect();
    let next_node = |at: usize| members[(at + 1) % members.len()];
    // Every member to one of the next node: in the order of a ring, and as many paths as members.
    let across = (0..members.len()).filter(|_| members.len() > 1).flat_map(|at| {
        let there = next_node(at);
        members[at].iter().enumerate().map(|(rank, &gpu)| (gpu, there[rank % there.len()]))
    });
    machine(cluster, group, &inside.collect::<Vec<_>>(), &across.collect::<Vec<_>>())
}

/// The machine that sends of `src` to `dsts` run on: the paths that they take.
pub(super) fn machine_of_sends(cluster: &Cluster, src: GpuIdx, dsts: &[GpuIdx]) -> Machine {
    let home = cluster.gpu(src).node_idx;
    let stays = |dst: &GpuIdx| cluster.gpu(*dst).node_idx == home;
    let (inside, across): (Vec<_>, Vec<_>) = dsts.iter().copied().partition(stays);
    let from_src = |dsts: Vec<GpuIdx>| dsts.into_iter().map(|dst| (src, dst)).collect::<Vec<_>>();
    machine(cluster, &[src], &from_src(inside), &from_src(across))
}

/// The machine of paths `inside` nodes and `across` them, of which the first member of `group` is an end.
fn machine(cluster: &Cluster, group: &[GpuIdx], inside: &[Pair], across: &[Pair]) -> Machine {
    let first = group[0];
    let mut machine = Machine::assumed(&cluster.gpu(first).card.name);
    let neighbors: Vec<GpuIdx> =
        cluster.node(cluster.gpu(first).node_idx).map(GpuIdx).filter(|&gpu| gpu != first).collect();
    let joined: Vec<GpuIdx> =
        neighbors.iter().copied().filter(|&gpu| is_direct(cluster, (first, gpu))).collect();
    let is_mesh = !joined.is_empty() && inside.iter().all(|&pair| is_direct(cluster, pair));
    machine.n_gpus_per_node = 1 + count(if is_mesh { joined.len() } else { neighbors.len() });
    machine.scale_up = if is_mesh { ScaleUp::Mesh } else { ScaleUp::Switch };
    if is_mesh {
        // Of a pair that is joined directly all links of both lead to each other; on a board each pair has its part of them.
        let own = narrowest(cluster, inside);
        let one =
            own.or_else(|| narrowest(cluster, &joined.iter().map(|&gpu| (first, gpu)).collect::<Vec<_>>()));
        machine.nvlink = joined.len() as f64 * one.unwrap_or(machine.nvlink);
    } else if let Some(own) = narrowest(cluster, inside) {
        machine.nvlink = own;
    } else {
        // Nothing stays inside: what the GPU could reach there at best holds nobody back.
        let rates = neighbors.iter().filter_map(|&gpu| rate(cluster, (first, gpu)));
        machine.nvlink = rates.reduce(f64::max).unwrap_or(machine.nvlink);
    }
    let mut rails = BTreeMap::<u32, BTreeSet<u32>>::new();
    for &gpu in group {
        rails.entry(cluster.gpu(gpu).node_idx).or_default().insert(cluster.rail_idx(gpu));
    }
    machine.n_nics_per_node = rails.values().map(|rails| count(rails.len())).max().unwrap_or(1);
    machine.nic = narrowest(cluster, across).unwrap_or(machine.nic);
    machine.hop_excess_us = longest_excess_us(cluster, inside);
    machine.net_excess_us = longest_excess_us(cluster, across);
    machine
}

/// Each member of one node to each other.
fn pairs(members: &[GpuIdx]) -> impl Iterator<Item = Pair> {
    let others = |src: GpuIdx| members.iter().filter(move |&&dst| dst != src).map(move |&dst| (src, dst));
    members.iter().flat_map(move |&src| others(src))
}

/// True if one link joins the two.
fn is_direct(cluster: &Cluster, (src, dst): Pair) -> bool {
    cluster.route(src, dst).links.len() == 1
}

/// The most by which a hop over one of some paths takes longer than the one that was fitted; 0 where there is none.
fn longest_excess_us(cluster: &Cluster, pairs: &[Pair]) -> f64 {
    let excess = pairs.iter().map(|&(src, dst)| excess_us(cluster, src, dst));
    excess.reduce(f64::max).unwrap_or(0.0)
}

/// GB/s of the slowest of some paths; none where there is none.
fn narrowest(cluster: &Cluster, pairs: &[Pair]) -> Option<f64> {
    pairs.iter().filter_map(|&pair| rate(cluster, pair)).reduce(f64::min)
}

/// GB/s of the path of a pair.
fn rate(cluster: &Cluster, (src, dst): Pair) -> Option<f64> {
    bottleneck(cluster, cluster.route(src, dst)).map(|rate| rate.bytes_per_sec() as f64 / PER_GB)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 GPUs")
}
