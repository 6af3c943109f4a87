//! Shards that go round: one flow for each ring, over all of its links.

use masim_engine::Flow;
use masim_units::{Bytes, SimDuration};

use super::channels::channels;
use super::{CollectiveKind, Phase, flow, share};
use crate::fabric::Fabric;
use crate::inputs::topology::GpuIdx;

/// One flow round the group in its order; `None` where nothing goes round.
pub(super) fn one_ring(
    kind: CollectiveKind,
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> Option<Flow> {
    one_round(kind, group, kind.sent(bytes, group.len()), fabric)
}

/// A flow for each of the rings that the wires have room for, each with an equal share.
pub(super) fn rings(
    kind: CollectiveKind,
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> Option<Phase> {
    let channels = channels(group, fabric.cluster());
    let part = share(kind.sent(bytes, group.len()), channels.len());
    channels.iter().map(|channel| one_round(kind, &channel.round_from(group[0]), part, fabric)).collect()
}

/// `moved` bytes round the ring, in as many steps as a shard needs, each with the latency of the longest.
///
/// What one has goes from member to member and is not closed to a ring.
fn one_round(kind: CollectiveKind, round: &[GpuIdx], moved: Bytes, fabric: &mut Fabric) -> Option<Flow> {
    let wire = match kind {
        CollectiveKind::AllGather | CollectiveKind::ReduceScatter | CollectiveKind::AllReduce => {
            fabric.ring(round)
        }
        CollectiveKind::Broadcast => {
            let steps: Vec<_> = round.windows(2).map(|pair| (pair[0], pair[1])).collect();
            fabric.over(&steps)
        }
        CollectiveKind::Reduce => {
            let steps: Vec<_> = round.windows(2).map(|pair| (pair[1], pair[0])).collect();
            fabric.over(&steps)
        }
        CollectiveKind::AllToAll => return None,
    };
    let n_steps = kind.n_passes() * (round.len() as u64 - 1);
    let latency: SimDuration = wire.latency.checked_mul(n_steps).expect("hop latencies are short");
    Some(flow(wire, moved, latency))
}
