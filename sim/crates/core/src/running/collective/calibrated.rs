//! Collectives with the latencies and rates of a profile.

use masim_units::{Bytes, SimDuration};

use super::hierarchy::{Stage, leader, rail};
use super::timed::{Grain, Timing, timed};
use super::{Algorithm, Collective, CollectiveKind, NcclWay, Phase, direct, ring, tree};
use crate::fabric::Fabric;
use crate::fabric::communication_models::kept_launch_us;
use crate::inputs::measurement::CollectiveWork;
use crate::inputs::topology::{Cluster, GpuIdx};
use crate::scenario::Launch;
use crate::timing::nccl_model::{Path, Protocol, choose_among, n_channels, way_time};

/// Rules that are forced upon the model of a profile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) protocol: Option<Protocol>,
    pub(super) launch: Launch,
}

/// `algorithm`, or NCCL's own choice; `None` where the group does not have the shape for it, or NCCL no such way.
pub(super) fn calibrated(
    rules: Rules,
    kind: CollectiveKind,
    algorithm: Option<Algorithm>,
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> Option<Collective> {
    let one =
        |kind| Stage { kind, groups: vec![group.to_vec()], bytes, reach: super::hierarchy::Reach::Across };
    let cluster = fabric.cluster();
    let (path, stages) = match (algorithm, kind) {
        (Some(Algorithm::Direct), CollectiveKind::AllToAll) | (None, _) => (None, vec![one(kind)]),
        (Some(Algorithm::Ring), kind) if kind != CollectiveKind::AllToAll => {
            (Some(Path::Ring), vec![one(kind)])
        }
        (Some(Algorithm::Tree), CollectiveKind::AllReduce) => (Some(Path::Tree), vec![one(kind)]),
        (Some(Algorithm::Direct), CollectiveKind::AllReduce) => {
            (None, vec![one(CollectiveKind::AllToAll); 2])
        }
        (Some(Algorithm::Direct), CollectiveKind::AllGather | CollectiveKind::ReduceScatter) => {
            (None, vec![one(CollectiveKind::AllToAll)])
        }
        (Some(Algorithm::Rail), _) => (None, rail(kind, group, bytes, cluster)?),
        (Some(Algorithm::Leader), _) => (None, leader(kind, group, bytes, cluster)?),
        (Some(Algorithm::OneRing | Algorithm::Ring | Algorithm::Tree | Algorithm::Direct), _) => return None,
    };
    let mut parts = Vec::new();
    for stage in &stages {
        parts.push(phase(rules, stage, path, fabric));
    }
    let heaviest = parts.iter().max_by_key(|part| part.time).expect("there is a stage");
    let nccl = NcclWay {
        protocol: heaviest.way.protocol,
        is_covered: parts.iter().all(|part| part.way.is_covered),
        n_channels: heaviest.way.n_channels,
    };
    let algorithm = algorithm.unwrap_or(heaviest.algorithm);
    let time_alone = parts.iter().map(|part| part.time).sum();
    Some(Collective {
        algorithm,
        nccl: Some(nccl),
        phases: parts.into_iter().map(|part| part.phase).collect(),
        time_alone,
    })
}

/// The flows of one stage.
struct Part {
    phase: Phase,
    time: SimDuration,
    algorithm: Algorithm,
    way: NcclWay,
}

fn phase(rules: Rules, stage: &Stage, path: Option<Path>, fabric: &mut Fabric) -> Part {
    let groups = stage.groups.iter().filter(|group| group.len() > 1);
    let mut all: Vec<Part> =
        groups.map(|group| leaf(rules, stage.kind, path, group, stage.bytes, fabric)).collect();
    let flows: Phase = all.iter_mut().flat_map(|part| std::mem::take(&mut part.phase)).collect();
    let time = fabric.time_alone(&flows);
    let longest = all.into_iter().max_by_key(|part| part.time).expect("a stage has a group of two or more");
    Part { phase: flows, time: time.max(longest.time), ..longest }
}

/// One operation of NCCL by one group.
fn leaf(
    rules: Rules,
    kind: CollectiveKind,
    path: Option<Path>,
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> Part {
    let Rules { protocol, launch } = rules;
    let cluster = fabric.cluster();
    let machine = fabric.machine_of(group);
    let work = work(kind, group, bytes, cluster);
    let model = fabric.calibrated(group[0]).expect("a profile says how long collectives take");
    let way = choose_among(model.version, &work, &machine, path, protocol);
    let time = way_time(&model.params, model.version, way, &work, &machine);
    let covers = model.covers(&work, &machine);
    let (algorithm, protocol, flows) = match (kind, way.path) {
        (CollectiveKind::AllToAll, _) => {
            let flows = direct::direct(kind, group, bytes, fabric).concat();
            (
                Algorithm::Direct,
                crate::timing::nccl_model::grouped_protocol(bytes.0 as f64 / group.len() as f64),
                Some(flows),
            )
        }
        (_, Path::Ring) => (Algorithm::Ring, way.protocol, ring::rings(kind, group, bytes, fabric)),
        (_, Path::Tree) => (Algorithm::Tree, way.protocol, tree::trees(kind, group, bytes, fabric)),
    };
    let launch_us = kept_launch_us(time.launch_us, launch, &cluster.gpu(group[0]).card);
    let hidden_us = time.launch_us - launch_us;
    let timing = Timing::from_us(launch_us + time.wire_us, time.transfer_us);
    let flows = flows.expect("NCCL chooses a way that the operation has").into_iter().map(|mut flow| {
        // The model of grouped sends counts no flags on the way between nodes.
        let is_flagged = kind != CollectiveKind::AllToAll || work.n_nodes == 1;
        flow.bytes = if is_flagged { Bytes(protocol.on_wire(flow.bytes.0)) } else { flow.bytes };
        timed(flow, timing, Grain::Exact)
    });
    let phase: Phase = flows.collect();
    let alone = fabric.time_alone(&phase);
    let shard = bytes.0 as f64 / group.len() as f64;
    // What a replayed graph is assumed to save is no measurement; a twentieth of the time is let pass.
    let is_known = hidden_us <= 0.05 * time.total_us();
    let is_covered = is_known && covers;
    let way = NcclWay { protocol, is_covered, n_channels: n_channels(shard) };
    Part { phase, time: alone, algorithm, way }
}

/// The collective as measurement sets describe it.
fn work(kind: CollectiveKind, group: &[GpuIdx], bytes: Bytes, cluster: &Cluster) -> CollectiveWork {
    let n_nodes = super::channels::by_node(group, cluster).len();
    let count = |n: usize| u32::try_from(n).expect("fewer than 2^32 GPUs");
    CollectiveWork {
        operation: kind.operation(),
        bytes: bytes.0,
        n_gpus: count(group.len()),
        n_nodes: count(n_nodes),
    }
}
