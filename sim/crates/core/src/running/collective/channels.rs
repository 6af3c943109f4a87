//! Orders of a group's GPUs for rings and chains that run side by side, each with wires of its own.

use crate::inputs::topology::{Cluster, GpuIdx};

/// One order of the group: node after node, each from the GPU by which data comes in to the one by which it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    /// The members of each node, in order; one chain for each node.
    pub(super) chains: Vec<Vec<GpuIdx>>,
}

impl Channel {
    /// All members, beginning with `root`.
    pub(super) fn round_from(&self, root: GpuIdx) -> Vec<GpuIdx> {
        let mut round: Vec<GpuIdx> = self.chains.iter().flatten().copied().collect();
        let at = round.iter().position(|&gpu| gpu == root).expect("the root is a member");
        round.rotate_left(at);
        round
    }
}

/// The orders that together use all wires: on a board whose GPUs are joined in pairs one for each directed
/// round trip, across nodes one for each NIC.
pub(super) fn channels(group: &[GpuIdx], cluster: &Cluster) -> Vec<Channel> {
    let nodes = by_node(group, cluster);
    match &nodes[..] {
        [node] if is_mesh(node, cluster) => {
            round_trips(node).into_iter().map(|chain| Channel { chains: vec![chain] }).collect()
        }
        [_] => vec![Channel { chains: nodes }],
        _ => across(&nodes, cluster),
    }
}

/// One channel for each rail; it enters every node at the first GPU of that rail.
fn across(nodes: &[Vec<GpuIdx>], cluster: &Cluster) -> Vec<Channel> {
    let entries: Vec<Vec<usize>> = nodes.iter().map(|node| entries(node, cluster)).collect();
    let n_channels = entries.iter().map(Vec::len).max().expect("a group has nodes");
    let chain = |node: &Vec<GpuIdx>, entries: &Vec<usize>, channel: usize| {
        let entry = entries[channel % entries.len()];
        let mut chain = node.clone();
        chain.rotate_left(entry);
        // Every other channel runs backwards, so that the wires of a board are used evenly; of an even number
        // of GPUs each is then the last of one chain.
        if entry % 2 == 1 && node.len().is_multiple_of(2) && is_mesh(node, cluster) {
            chain[1..].reverse();
        }
        chain
    };
    let channel = |idx| Channel {
        chains: nodes.iter().zip(&entries).map(|(node, entries)| chain(node, entries, idx)).collect(),
    };
    (0..n_channels).map(channel).collect()
}

/// Positions of the first GPU of each rail.
fn entries(node: &[GpuIdx], cluster: &Cluster) -> Vec<usize> {
    let rail = |at: usize| cluster.rail_idx(node[at]);
    (0..node.len()).filter(|&at| (0..at).all(|before| rail(before) != rail(at))).collect()
}

/// True if the GPUs of a node are joined in pairs.
fn is_mesh(node: &[GpuIdx], cluster: &Cluster) -> bool {
    node.len() > 1 && cluster.route(node[0], node[1]).links.len() == 1
}

/// Directed round trips that use every wire of a board equally often; of more than four GPUs those with a
/// constant stride, which share no wire.
fn round_trips(node: &[GpuIdx]) -> Vec<Vec<GpuIdx>> {
    let n = node.len();
    if n <= 4 {
        let mut trips = Vec::new();
        permutations(&mut vec![node[0]], node, &mut trips);
        return trips;
    }
    let strides = (1..n).filter(|&stride| gcd(stride, n) == 1);
    strides.map(|stride| (0..n).map(|step| node[step * stride % n]).collect()).collect()
}

fn permutations(begun: &mut Vec<GpuIdx>, all: &[GpuIdx], into: &mut Vec<Vec<GpuIdx>>) {
    if begun.len() == all.len() {
        into.push(begun.clone());
        return;
    }
    for &next in all {
        if !begun.contains(&next) {
            begun.push(next);
            permutations(begun, all, into);
            begun.pop();
        }
    }
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The members in each node, in order of nodes.
pub(super) fn by_node(group: &[GpuIdx], cluster: &Cluster) -> Vec<Vec<GpuIdx>> {
    let mut nodes = std::collections::BTreeMap::<u32, Vec<GpuIdx>>::new();
    for &gpu in group {
        nodes.entry(cluster.gpu(gpu).node_idx).or_default().push(gpu);
    }
    nodes.into_values().collect()
}
