//! Messages from one GPU to others as flows: with the rates of the links alone, or as a profile says that they take.

use masim_engine::Flow;
use masim_units::{Bytes, SimDuration};

use super::timed::{Grain, Timing, timed};
use crate::fabric::Fabric;
use crate::fabric::communication_models::kept_launch_us;
use crate::inputs::measurement::{PairsWork, Scope};
use crate::inputs::topology::GpuIdx;
use crate::scenario::Launch;
use crate::timing::nccl_model::{
    GroupedSends, TimeAlone, grouped_protocol, grouped_sends_time, n_channels, n_channels_max, pairs_time,
};

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The receiver.
    pub dst: GpuIdx,
    /// Its size; an empty message is not sent, and nobody waits for it longer than for its sender.
    pub bytes: Bytes,
}

/// Launches of the kernels that send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLaunch {
    /// The cost of a launch where no profile says.
    pub ideal: SimDuration,
    /// The way of launching.
    pub kind: Launch,
}

/// One message as a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendFlow {
    /// The flow.
    pub flow: Flow,
    /// Model of a profile; none where wires alone decide.
    pub fitted: Option<FittedSend>,
}

/// A profile's view of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FittedSend {
    /// Time alone, with the messages of its group.
    pub time: SimDuration,
    /// Blocks that its kernel keeps on the sender.
    pub n_channels: u32,
    /// True if fitted rows cover it.
    pub is_covered: bool,
}

/// The messages of one group of sends, in their order.
pub fn grouped_sends(
    fabric: &mut Fabric,
    src: GpuIdx,
    messages: &[Message],
    launch: SendLaunch,
) -> Vec<SendFlow> {
    let sizes: Vec<u64> = messages.iter().map(|it| it.bytes.0).filter(|&bytes| bytes > 0).collect();
    let ideal = match (fabric.calibrated(src), sizes.is_empty()) {
        (None, _) => Some(launch.ideal),
        (Some(_), true) => Some(SimDuration::ZERO),
        (Some(_), false) => None,
    };
    if let Some(launch) = ideal {
        return messages.iter().map(|it| on_wires(fabric, src, *it, launch)).collect();
    }
    let cluster = fabric.cluster();
    let time = grouped_time(fabric, src, messages, &sizes);
    let total = kept_launch_us(time.launch_us, launch.kind, &cluster.gpu(src).card) + time.wire_us;
    let timing = Timing::from_us(total, time.transfer_us);
    let protocol = grouped_protocol(sizes.iter().sum::<u64>() as f64 / sizes.len() as f64);
    let n_sent = u32::try_from(sizes.len()).expect("fewer than 2^32 messages");
    let mut send = |it: &Message| {
        let path = fabric.pair(src, it.dst).path;
        let stays = cluster.gpu(it.dst).node_idx == cluster.gpu(src).node_idx;
        // The model counts no flags on the way between nodes.
        let bytes = if stays { Bytes(protocol.on_wire(it.bytes.0)) } else { it.bytes };
        let flow = Flow { path, bytes, latency: SimDuration::ZERO, rate_cap: None };
        let n_channels = n_channels(it.bytes.0 as f64).min((n_channels_max() / n_sent).max(1));
        let fitted = FittedSend { time: timing.total, n_channels, is_covered: false };
        SendFlow { flow: timed(flow, timing, Grain::Coarse), fitted: Some(fitted) }
    };
    messages.iter().map(&mut send).collect()
}

/// One message by itself.
pub fn single_send(fabric: &mut Fabric, src: GpuIdx, message: Message, launch: SendLaunch) -> SendFlow {
    let cluster = fabric.cluster();
    let pairs = fabric.calibrated(src).and_then(|model| model.pairs);
    // A replayed graph, or a host that is modelled by itself, hides the way from the host's call to the kernel, which is most
    // of what pairs were measured to take.
    let (Some(pairs), Launch::Eager) = (pairs, launch.kind) else {
        return grouped_sends(fabric, src, &[message], launch).remove(0);
    };
    let crosses = cluster.gpu(src).node_idx != cluster.gpu(message.dst).node_idx;
    let scope = if crosses { Scope::InterNode } else { Scope::IntraNode };
    let work = PairsWork { scope, bytes_per_pair: message.bytes.0, n_pairs: 1 };
    let machine = fabric.machine_of_sends(src, &[message.dst]);
    let time = pairs_time(&pairs, &work, &machine);
    let timing = Timing::from_us(time.total_us(), time.transfer_us);
    let path = fabric.pair(src, message.dst).path;
    let flow = Flow { path, bytes: message.bytes, latency: SimDuration::ZERO, rate_cap: None };
    let fitted = FittedSend {
        time: timing.total,
        n_channels: n_channels(message.bytes.0 as f64),
        is_covered: fabric.calibrated(src).is_some_and(|model| model.covers_pairs(&work, &machine)),
    };
    SendFlow { flow: timed(flow, timing, Grain::Coarse), fitted: Some(fitted) }
}

/// A message whose time the wires alone decide.
fn on_wires(fabric: &mut Fabric, src: GpuIdx, message: Message, launch: SimDuration) -> SendFlow {
    let path = fabric.pair(src, message.dst);
    let latency = path.latency + launch;
    let flow = Flow { path: path.path, bytes: message.bytes, latency, rate_cap: None };
    SendFlow { flow, fitted: None }
}

fn grouped_time(fabric: &mut Fabric, src: GpuIdx, messages: &[Message], sizes: &[u64]) -> TimeAlone {
    let cluster = fabric.cluster();
    let home = cluster.gpu(src).node_idx;
    let leaves = |it: &&Message| cluster.gpu(it.dst).node_idx != home;
    let leaving: u64 = messages.iter().filter(leaves).map(|it| it.bytes.0).sum();
    let inside = messages.iter().filter(|it| !leaves(it) && it.bytes.0 > 0).count();
    let dsts: Vec<GpuIdx> = messages.iter().map(|it| it.dst).collect();
    let machine = fabric.machine_of_sends(src, &dsts);
    // Where only the NIC is used, the NIC alone says how fast it goes.
    let n = u32::try_from(inside).expect("few messages");
    let reach = if n == 0 { machine.nvlink } else { machine.reach(n + 1) };
    let sends = GroupedSends {
        bytes: sizes,
        leaving,
        reach,
        reach_share: reach / machine.nvlink,
        nic: machine.nic,
        excess_us: if leaving == 0 { machine.hop_excess_us } else { machine.net_excess_us },
    };
    let model = fabric.calibrated(src).expect("a profile says how long sends take");
    grouped_sends_time(&model.params, model.version, &sends)
}
