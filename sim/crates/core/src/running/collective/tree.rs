//! Double binary trees over nodes, with a chain inside each node.
//!
//! A node is inner in one tree and a leaf in the other, so that both halves together use all links.
//!
//! # Source
//!
//! `ncclGetBtree` and `ncclGetDtree` in `src/graph/trees.cc` of NCCL (NVIDIA, BSD licence); Sanders, Speck and
//! Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", 2009.

use masim_units::Bytes;

use super::channels::{Channel, channels};
use super::{CollectiveKind, Phase, flow, share};
use crate::fabric::Fabric;
use crate::inputs::topology::GpuIdx;

/// A flow for each tree, up and down all of its wires; `None` for what is no all-reduce.
pub(super) fn trees(
    kind: CollectiveKind,
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> Option<Phase> {
    if kind != CollectiveKind::AllReduce {
        return None;
    }
    let channels = channels(group, fabric.cluster());
    let n_nodes = channels[0].chains.len();
    let n_trees = if n_nodes == 1 { 1 } else { 2 };
    let part = share(bytes, n_trees * channels.len());
    let mut phase = Vec::new();
    for channel in &channels {
        for parents in &double_tree(n_nodes)[..n_trees] {
            phase.push(tree(channel, parents, part, fabric));
        }
    }
    Some(phase)
}

/// One tree: up to the root, and down again.
fn tree(
    channel: &Channel,
    parents: &[Option<usize>],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> masim_engine::Flow {
    let (mut inside, mut between) = (Vec::new(), Vec::new());
    for chain in &channel.chains {
        inside.extend(chain.windows(2).flat_map(|pair| [(pair[0], pair[1]), (pair[1], pair[0])]));
    }
    for (node, parent) in parents.iter().enumerate() {
        if let Some(parent) = *parent {
            let (from, to) = (channel.chains[node][0], channel.chains[parent][0]);
            between.extend([(from, to), (to, from)]);
        }
    }
    let hop = |steps: &[(GpuIdx, GpuIdx)]| {
        let latency = |&(src, dst): &(GpuIdx, GpuIdx)| fabric.cluster().route(src, dst).latency;
        steps.iter().map(latency).max().unwrap_or_default()
    };
    let longest_chain = channel.chains.iter().map(Vec::len).max().expect("a channel has nodes") as u64;
    let depth = (0..parents.len()).map(|node| depth(parents, node)).max().expect("a tree has nodes");
    let steps = |n: u64, hop: masim_units::SimDuration| hop.checked_mul(n).expect("hop latencies are short");
    let latency = steps(2 * (longest_chain - 1), hop(&inside)) + steps(2 * depth, hop(&between));
    inside.extend(between);
    flow(fabric.over(&inside), bytes, latency)
}

fn depth(parents: &[Option<usize>], node: usize) -> u64 {
    parents[node].map_or(0, |parent| 1 + depth(parents, parent))
}

/// The parents of each of `n` nodes in both trees.
fn double_tree(n: usize) -> [Vec<Option<usize>>; 2] {
    let first: Vec<_> = (0..n).map(|rank| parent(rank, n)).collect();
    let second = (0..n).map(|rank| {
        if n.is_multiple_of(2) {
            parent(n - 1 - rank, n).map(|parent| n - 1 - parent)
        } else {
            parent((rank + n - 1) % n, n).map(|parent| (parent + 1) % n)
        }
    });
    [first.clone(), second.collect()]
}

/// The parent of `rank` in a binary tree of `n` ranks in which odd ranks are leaves; none for rank 0.
fn parent(rank: usize, n: usize) -> Option<usize> {
    let bit = 1 << rank.trailing_zeros().min(usize::BITS - 1);
    let up = (rank ^ bit) | (bit << 1);
    (rank > 0).then_some(if up < n { up } else { rank ^ bit })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every node reaches the root, has two children at most, and is inner in at most one of the trees.
    #[test]
    fn two_trees_share_the_work() {
        for n in 2..=40 {
            let trees = double_tree(n);
            let children = |tree: &[Option<usize>], node| tree.iter().filter(|it| **it == Some(node)).count();
            for tree in &trees {
                assert_eq!(tree.iter().filter(|parent| parent.is_none()).count(), 1, "{n}");
                let deepest = (0..n).map(|node| depth(tree, node)).max().unwrap();
                assert!(deepest <= u64::from(n.next_power_of_two().ilog2()), "{n}: {deepest}");
                assert!((0..n).all(|node| children(tree, node) <= 2), "{n}");
            }
            let inner_twice =
                (0..n).filter(|&node| trees.iter().all(|tree| children(tree, node) > 0)).count();
            // Of an odd number of nodes one stands between the trees.
            assert!(inner_twice <= 1, "{n}: {inner_twice}");
        }
    }
}
