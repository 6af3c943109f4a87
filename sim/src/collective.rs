//! Collectives as flows on links: rings, direct exchanges, and the hierarchy over rails.

use std::collections::BTreeMap;
use std::sync::Arc;

use masim_engine::Flow;
use masim_units::{Bytes, SimDuration};

use crate::topology::{Cluster, GpuIdx};
use crate::wires::{Wire, Wires};

/// What a group of GPUs does together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CollectiveKind {
    /// Everyone gets every shard.
    AllGather,
    /// Everyone gets the sum of one shard.
    ReduceScatter,
    /// Everyone gets the sum of everything.
    AllReduce,
}

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Shards go round, pipelined.
    Ring,
    /// Everyone sends to everyone at once.
    Direct,
    /// Inside the node, then each GPU its share over its own rail, then inside the node.
    Rail,
}

/// Flows that start together; the next phase starts when all have ended.
pub type Phase = Vec<Flow>;

/// A collective, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collective {
    /// How it is done.
    pub algorithm: Algorithm,
    /// What happens, in order.
    pub phases: Vec<Phase>,
    /// How long it takes alone, launch not included.
    pub time_alone: SimDuration,
}

/// The collectives of a simulation, each worked out once.
#[derive(Debug, Default)]
pub struct Collectives {
    known: BTreeMap<(CollectiveKind, u64, Vec<GpuIdx>), Arc<Collective>>,
}

impl Collectives {
    /// The fastest way for `group` to do `kind` on a buffer of `bytes` in all (nccl-tests convention).
    ///
    /// # Panics
    ///
    /// For a group of fewer than two GPUs.
    pub fn fastest(
        &mut self,
        kind: CollectiveKind,
        group: &[GpuIdx],
        bytes: Bytes,
        wires: &mut Wires,
    ) -> Arc<Collective> {
        let key = (kind, bytes.0, group.to_vec());
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let candidates = [Algorithm::Ring, Algorithm::Direct, Algorithm::Rail];
        let collectives =
            candidates.into_iter().filter_map(|algorithm| collective(kind, algorithm, group, bytes, wires));
        let fastest = collectives.min_by_key(|it| it.time_alone).expect("a ring is always possible");
        let fastest = Arc::new(fastest);
        self.known.insert(key, Arc::clone(&fastest));
        fastest
    }
}

/// One collective by one algorithm; `None` where the group does not have the shape for it.
///
/// # Panics
///
/// For a group of fewer than two GPUs.
pub fn collective(
    kind: CollectiveKind,
    algorithm: Algorithm,
    group: &[GpuIdx],
    bytes: Bytes,
    wires: &mut Wires,
) -> Option<Collective> {
    assert!(group.len() >= 2, "a collective of one GPU is nothing");
    let phases = match algorithm {
        Algorithm::Ring => vec![vec![ring(kind, group, bytes, wires)]],
        Algorithm::Direct => vec![direct(group, share(bytes, group.len()), wires); n_passes(kind)],
        Algorithm::Rail => rail(kind, group, bytes, wires)?,
    };
    let time_alone = phases.iter().map(|phase| wires.time_alone(phase)).sum();
    Some(Collective { algorithm, phases, time_alone })
}

/// An all-reduce is a reduce-scatter and an all-gather.
fn n_passes(kind: CollectiveKind) -> usize {
    match kind {
        CollectiveKind::AllGather | CollectiveKind::ReduceScatter => 1,
        CollectiveKind::AllReduce => 2,
    }
}

/// `bytes / n`, rounded up.
fn share(bytes: Bytes, n: usize) -> Bytes {
    Bytes(bytes.0.div_ceil(n as u64))
}

fn flow(wire: Wire, bytes: Bytes, latency: SimDuration) -> Flow {
    Flow { path: wire.path, bytes, latency, rate_cap: None }
}

/// One flow round the ring: `passes (n - 1)/n S` bytes in as many steps, each with the latency of a step.
fn ring(kind: CollectiveKind, group: &[GpuIdx], bytes: Bytes, wires: &mut Wires) -> Flow {
    let (n, passes) = (group.len() as u64, n_passes(kind) as u64);
    let wire = wires.ring(group);
    let latency = wire.latency.checked_mul(passes * (n - 1)).expect("hop latencies are short");
    let moved = u128::from(bytes.0) * u128::from(passes * (n - 1));
    let moved = u64::try_from(moved.div_ceil(u128::from(n))).expect("a buffer is far below 2^63 bytes");
    flow(wire, Bytes(moved), latency)
}

/// Everyone sends `bytes` to everyone else.
fn direct(group: &[GpuIdx], bytes: Bytes, wires: &mut Wires) -> Phase {
    let mut phase = Vec::with_capacity(group.len() * (group.len() - 1));
    for &src in group {
        for &dst in group.iter().filter(|&&dst| dst != src) {
            let wire = wires.pair(src, dst);
            phase.push(flow(wire, bytes, wire.latency));
        }
    }
    phase
}

/// Needs two nodes or more, with equally many members, and more than one, in each.
fn rail(kind: CollectiveKind, group: &[GpuIdx], bytes: Bytes, wires: &mut Wires) -> Option<Vec<Phase>> {
    let nodes = by_node(group, wires.cluster());
    let per_node = nodes[0].len();
    if nodes.len() < 2 || per_node < 2 || nodes.iter().any(|node| node.len() != per_node) {
        return None;
    }
    let part = share(bytes, per_node);
    let inside: Phase = nodes.iter().flat_map(|node| direct(node, part, wires)).collect();
    let rails = (0..per_node).map(|rank| nodes.iter().map(|node| node[rank]).collect::<Vec<_>>());
    let across: Phase = rails.map(|rail| ring(kind, &rail, part, wires)).collect();
    Some(match kind {
        CollectiveKind::AllGather => vec![across, inside],
        CollectiveKind::ReduceScatter => vec![inside, across],
        CollectiveKind::AllReduce => vec![inside.clone(), across, inside],
    })
}

/// The members in each node, in order of nodes.
fn by_node(group: &[GpuIdx], cluster: &Cluster) -> Vec<Vec<GpuIdx>> {
    let mut nodes = BTreeMap::<u32, Vec<GpuIdx>>::new();
    for &gpu in group {
        nodes.entry(cluster.gpu(gpu).node_idx).or_default().push(gpu);
    }
    nodes.into_values().collect()
}
