//! Everyone to everyone at once.

use masim_units::Bytes;

use super::{CollectiveKind, Phase, flow, share};
use crate::fabric::Fabric;
use crate::inputs::topology::GpuIdx;

/// The phases of a direct exchange: one for each pass.
pub(super) fn direct(
    kind: CollectiveKind,
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> Vec<Phase> {
    let root = group[0];
    match kind {
        CollectiveKind::Broadcast => {
            vec![pairs(group, bytes, fabric, |src, _| src == root)]
        }
        CollectiveKind::Reduce => vec![pairs(group, bytes, fabric, |_, dst| dst == root)],
        CollectiveKind::AllGather
        | CollectiveKind::ReduceScatter
        | CollectiveKind::AllReduce
        | CollectiveKind::AllToAll => {
            let n_passes = usize::try_from(kind.n_passes()).expect("one or two");
            vec![pairs(group, share(bytes, group.len()), fabric, |_, _| true); n_passes]
        }
    }
}

/// `bytes` from each member to each other for which `sends`.
pub(super) fn pairs(
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
    sends: impl Fn(GpuIdx, GpuIdx) -> bool,
) -> Phase {
    let mut phase = Vec::with_capacity(group.len() * (group.len() - 1));
    for &src in group {
        for &dst in group.iter().filter(|&&dst| dst != src && sends(src, dst)) {
            let wire = fabric.pair(src, dst);
            phase.push(flow(wire, bytes, wire.latency));
        }
    }
    phase
}
