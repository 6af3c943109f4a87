//! Collectives made of collectives: inside nodes and across them, in stages.

use masim_units::Bytes;

use super::channels::by_node;
use super::{CollectiveKind, share};
use crate::inputs::topology::{Cluster, GpuIdx};

/// Equal collectives of disjoint groups at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) kind: CollectiveKind,
    pub(super) groups: Vec<Vec<GpuIdx>>,
    /// The buffer of each group.
    pub(super) bytes: Bytes,
    pub(super) reach: Reach,
}

/// Where the groups of a stage lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Each in one node.
    Inside,
    /// Each over all nodes.
    Across,
}

/// Each GPU its share over its own rail; `None` unless two nodes or more have equally many members, and
/// more than one.
pub(super) fn rail(
    kind: CollectiveKind,
    group: &[GpuIdx],
    bytes: Bytes,
    cluster: &Cluster,
) -> Option<Vec<Stage>> {
    let nodes = root_first(group, cluster);
    let per_node = nodes[0].len();
    if nodes.len() < 2 || per_node < 2 || nodes.iter().any(|node| node.len() != per_node) {
        return None;
    }
    let rails = (0..per_node).map(|rank| nodes.iter().map(|node| node[rank]).collect()).collect();
    let inside = |kind| Stage { kind, groups: nodes.clone(), bytes, reach: Reach::Inside };
    let part = share(bytes, per_node);
    let across = Stage { kind, groups: rails, bytes: part, reach: Reach::Across };
    Some(match kind {
        CollectiveKind::AllGather => vec![across, inside(kind)],
        CollectiveKind::ReduceScatter => vec![inside(kind), across],
        CollectiveKind::AllReduce => {
            vec![inside(CollectiveKind::ReduceScatter), across, inside(CollectiveKind::AllGather)]
        }
        // To the GPU on the receiver's rail, then over that rail: every byte moves twice.
        CollectiveKind::AllToAll => vec![inside(kind), Stage { bytes, ..across }],
        CollectiveKind::Broadcast | CollectiveKind::Reduce => return None,
    })
}

/// One GPU of each node, the leader, speaks for it; `None` in one node, or where all are leaders.
pub(super) fn leader(
    kind: CollectiveKind,
    group: &[GpuIdx],
    bytes: Bytes,
    cluster: &Cluster,
) -> Option<Vec<Stage>> {
    let nodes = root_first(group, cluster);
    if nodes.len() < 2 || nodes.iter().all(|node| node.len() == 1) {
        return None;
    }
    let leaders: Vec<GpuIdx> = nodes.iter().map(|node| node[0]).collect();
    let shared: Vec<_> = nodes.into_iter().filter(|node| node.len() > 1).collect();
    let inside = |kind| Stage { kind, groups: shared.clone(), bytes, reach: Reach::Inside };
    let across = Stage { kind, groups: vec![leaders], bytes, reach: Reach::Across };
    Some(match kind {
        CollectiveKind::AllReduce => {
            vec![inside(CollectiveKind::Reduce), across, inside(CollectiveKind::Broadcast)]
        }
        CollectiveKind::Broadcast => vec![across, inside(kind)],
        CollectiveKind::Reduce => vec![inside(kind), across],
        CollectiveKind::AllGather | CollectiveKind::ReduceScatter | CollectiveKind::AllToAll => return None,
    })
}

/// The members in each node; the node of the first member first, and in it that member.
fn root_first(group: &[GpuIdx], cluster: &Cluster) -> Vec<Vec<GpuIdx>> {
    let mut nodes = by_node(group, cluster);
    let at = nodes.iter().position(|node| node.contains(&group[0])).expect("the root is in a node");
    nodes.swap(0, at);
    let in_node = nodes[0].iter().position(|&gpu| gpu == group[0]).expect("found above");
    nodes[0].swap(0, in_node);
    nodes
}
