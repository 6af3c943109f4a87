//! Which path and protocol NCCL takes.

use super::shape::Shape;
use super::tables::NcclVersion;
use super::{Path, Protocol};
use crate::inputs::measurement::{CollectiveWork, Machine, Operation};

/// Channels of an A100 behind NVSwitch.
pub(super) const N_CHANNELS: f64 = 24.0;

/// Share of NVLink's rate that NCCL counts on: 20 of 25 GB/s a link.
const NVLINK_SHARE: f64 = 0.8;

/// A way of doing a collective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The algorithm: the path of the data.
    pub path: Path,
    /// The protocol.
    pub protocol: Protocol,
}

/// The way that NCCL takes: the one whose time it foresees to be shortest.
///
/// It is not always the fastest: NCCL's constants are not this machine's, and measured times jump where they are wrong.
///
/// # Source
///
/// `ncclTopoTuneModel` and `ncclTopoGetAlgoTime` in `src/graph/tuning.cc` of the version.
pub fn choose(version: NcclVersion, work: &CollectiveWork, machine: &Machine) -> Choice {
    choose_by_shape(version, &Shape::new(work, machine))
}

/// The same among the ways by `path` and `protocol`, where those are given.
///
/// An operation that has no tree takes a ring, as NCCL does when it is told to take a tree.
pub fn choose_among(
    version: NcclVersion,
    work: &CollectiveWork,
    machine: &Machine,
    path: Option<Path>,
    protocol: Option<Protocol>,
) -> Choice {
    let shape = Shape::new(work, machine);
    let path = path.filter(|_| work.operation == Operation::AllReduce);
    best(version, &shape, |way| {
        path.is_none_or(|path| path == way.path) && protocol.is_none_or(|protocol| protocol == way.protocol)
    })
}

pub(super) fn choose_by_shape(version: NcclVersion, shape: &Shape) -> Choice {
    best(version, shape, |_| true)
}

fn best(version: NcclVersion, shape: &Shape, is_allowed: impl Fn(&Choice) -> bool) -> Choice {
    let paths: &[Path] = match shape.operation {
        Operation::AllReduce => &[Path::Ring, Path::Tree],
        Operation::AllGather | Operation::ReduceScatter | Operation::Broadcast | Operation::AllToAll => {
            &[Path::Ring]
        }
    };
    let ways = paths.iter().flat_map(|&path| Protocol::ALL.map(|protocol| Choice { path, protocol }));
    let foreseen = ways.filter(is_allowed).map(|way| (foreseen_us(version, way, shape), way));
    // The first of equals, as NCCL's loop finds it.
    let (_, way) = foreseen
        .reduce(|best, it| if it.0 < best.0 { it } else { best })
        .expect("a ring by any protocol is possible");
    way
}

/// Time of `way` by NCCL's own formula.
fn foreseen_us(version: NcclVersion, way: Choice, shape: &Shape) -> f64 {
    let mut latency = latency_us(version, way, shape);
    if way == (Choice { path: Path::Ring, protocol: Protocol::Simple })
        && shape.n_nodes > 1
        && shape.operation == Operation::AllReduce
    {
        // Where a ring of nodes has reached its plateau.
        latency *= match version {
            NcclVersion::V2_8 if shape.bytes >= shape.n_gpus * 4096.0 => 1.9,
            NcclVersion::V2_27 if shape.bytes / (N_CHANNELS * shape.n_gpus) >= 64.0 => 1.4,
            NcclVersion::V2_8 | NcclVersion::V2_27 => 1.0,
        };
    }
    let mut rate = match version {
        NcclVersion::V2_8 => rate_2_8(way, shape),
        NcclVersion::V2_27 => rate_2_27(way, shape),
    };
    rate *= match (way.path, shape.operation) {
        (Path::Tree, _) => 0.5 * version.tables().tree_share(way.protocol, shape.bytes),
        (Path::Ring, Operation::Broadcast) => 1.0,
        (Path::Ring, _) => shape.n_gpus / shape.n_steps,
    };
    latency + shape.bytes / (1e3 * rate)
}

fn latency_us(version: NcclVersion, way: Choice, shape: &Shape) -> f64 {
    let Choice { path, protocol } = way;
    let tables = version.tables();
    let mut hop = tables.nvlink(path, protocol);
    if version == NcclVersion::V2_8 && shape.n_nodes > 1 && protocol == Protocol::LowLatency {
        hop *= 1.8;
    }
    let net = tables.net(path, protocol);
    let hops = match (path, shape.operation) {
        (Path::Tree, _) => 2.0 * ((shape.n_per_node - 1.0) * hop + f64::from(shape.n_nodes.ilog2()) * net),
        (Path::Ring, Operation::Broadcast) => {
            if shape.n_nodes > 1 {
                net
            } else {
                hop
            }
        }
        (Path::Ring, _) => {
            if version == NcclVersion::V2_27 && shape.n_nodes > 1 {
                // Posting to a NIC takes 1 us, and Simple posts three times.
                hop = hop.max(if protocol == Protocol::Simple { 3.0 } else { 1.0 });
            }
            (shape.n_steps - shape.n_net_steps) * hop + shape.n_net_steps * net
        }
    };
    tables.base(path, protocol) + hops
}

/// GB/s that NCCL counts on for all channels together.
fn bus_rate(shape: &Shape) -> f64 {
    let inside = NVLINK_SHARE * shape.reach;
    if shape.n_nodes == 1 { inside } else { inside.min(shape.nics) }
}

/// Position in rows for one, two, and more nodes.
fn scale(shape: &Shape) -> usize {
    shape.n_nodes.min(3) as usize - 1
}

fn rate_2_27(way: Choice, shape: &Shape) -> f64 {
    let bus = bus_rate(shape);
    let ll_max = [87.7, 22.5, 19.0][scale(shape)];
    let tree = (0.92 * bus).min(N_CHANNELS * [24.0, 23.6, 17.8][scale(shape)]);
    match (way.path, way.protocol) {
        (Path::Ring, Protocol::LowLatency) => (0.5 * bus).min(ll_max),
        (Path::Ring, Protocol::LowLatency128) => (0.92 * bus).min(20.0 * N_CHANNELS),
        (Path::Ring, Protocol::Simple) => bus,
        (Path::Tree, Protocol::LowLatency) => (tree / 3.8).min(ll_max),
        (Path::Tree, Protocol::LowLatency128) if shape.n_nodes == 1 => tree * 7.0 / 9.0,
        (Path::Tree, Protocol::LowLatency128) => tree * 120.0 / 128.0,
        (Path::Tree, Protocol::Simple) => tree,
    }
}

fn rate_2_8(way: Choice, shape: &Shape) -> f64 {
    let bus = bus_rate(shape).min(235.0);
    let is_128 = way.protocol == Protocol::LowLatency128;
    let tree_max = match (shape.n_nodes > 2, is_128) {
        (true, true) => 105.0,
        (true, false) => 80.0,
        (false, true) => 130.0,
        (false, false) => 110.0,
    };
    let tree = (0.9 * bus).min(tree_max);
    let per_channel = match shape.operation {
        Operation::AllReduce => 16.7,
        Operation::AllGather => 18.3,
        Operation::ReduceScatter => 15.2,
        Operation::Broadcast | Operation::AllToAll => 18.8,
    };
    let is_reduced = shape.operation == Operation::AllReduce;
    match (way.path, way.protocol) {
        (Path::Ring, Protocol::LowLatency) if shape.n_nodes > 1 || is_reduced => bus / 4.0,
        (Path::Ring, Protocol::LowLatency) => bus / 3.0,
        (Path::Ring, Protocol::LowLatency128) => (0.92 * bus).min(per_channel * N_CHANNELS),
        (Path::Ring, Protocol::Simple) => bus,
        (Path::Tree, Protocol::LowLatency) => tree / 3.8,
        (Path::Tree, Protocol::LowLatency128) => {
            let payload = if shape.n_nodes == 1 { 7.0 / 9.0 } else { 0.915 };
            (tree * payload).min(per_channel * N_CHANNELS * 7.0 / 9.0)
        }
        (Path::Tree, Protocol::Simple) => tree,
    }
}
