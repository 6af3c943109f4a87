//! What communication tasks move: flows, how long they take alone, and what they take from computation.

use masim_engine::{Flow, Flows, Slowdown, Speed};
use masim_units::{Bytes, SimDuration};

use super::{Lowering, compute_stream};
use crate::fabric::FabricPath;
use crate::fabric::communication_models::kept_launch_us;
use crate::inputs::measurement::{Family, PairsWork, Scope};
use crate::inputs::topology::GpuIdx;
use crate::running::collective::{Collective, CollectiveKind, Grain, Timing, timed};
use crate::scenario::{Launch, Overlap};
use crate::timing::fitted::regime_of_bytes;
use crate::timing::nccl_model::{
    GroupedSends, TimeAlone, grouped_protocol, grouped_sends_time, n_channels, n_channels_max, pairs_time,
};
use crate::timing::provenance::{Basis, Provenance};

/// One message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// The receiver.
    pub(super) dst: GpuIdx,
    /// Its size; an empty message is not sent, and nobody waits for it longer than for its sender.
    pub(super) bytes: Bytes,
}

/// What one task moves.
#[derive(Clone, Debug)]
pub(super) struct Movement {
    pub(super) flows: Flows,
    /// What the latencies and rates rest on.
    pub(super) basis: Basis,
    /// What its kernels take from computation.
    pub(super) slows: Vec<Slowdown>,
}

impl Movement {
    /// One flow whose time the wires alone decide; rates of links come from datasheets, as peak rates do.
    fn on_wires(wire: FabricPath, bytes: Bytes, launch: SimDuration) -> Self {
        let flow = Flow { path: wire.path, bytes, latency: wire.latency + launch, rate_cap: None };
        Self { flows: flow.into(), basis: Basis::unjudged(Provenance::Roofline), slows: Vec::new() }
    }

    /// What of it takes time: where a share of communication is assumed to be hidden, latencies are shorter, rates
    /// higher (see `Fabric::rates_in_run`) and nothing is taken from computation; bytes stay.
    pub(super) fn exposed(mut self, overlap: Overlap) -> Self {
        let Overlap::Literal { .. } = overlap else { return self };
        for flow in self.flows.iter_mut() {
            flow.latency = overlap.exposed_of(flow.latency);
            flow.rate_cap = flow.rate_cap.map(|cap| overlap.rate(cap));
        }
        let basis = Basis { provenance: Provenance::Assumed, ..self.basis };
        Self { flows: self.flows, basis, slows: Vec::new() }
    }

    /// Several at once, as one task; the weakest provenance holds for all.
    pub(super) fn joined(parts: Vec<Self>) -> Self {
        let weakest = parts.iter().map(|part| part.basis).max();
        let basis = weakest.unwrap_or(Basis::unjudged(Provenance::Roofline));
        let (mut flows, mut slows) = (Vec::with_capacity(parts.len()), Vec::new());
        for part in parts {
            flows.extend_from_slice(&part.flows);
            slows.extend(part.slows);
        }
        Self { flows: flows.into(), basis, slows }
    }
}

impl Lowering<'_> {
    /// The messages of one group of sends, in their order.
    pub(super) fn grouped(&mut self, src: GpuIdx, messages: &[Message]) -> Vec<Movement> {
        let cluster = &self.scenario.cluster;
        if self.fabric.calibrated(src).is_none() {
            let launch = self.launch(src);
            let fabric = &mut self.fabric;
            let ideal = |it: &Message| Movement::on_wires(fabric.pair(src, it.dst), it.bytes, launch);
            return messages.iter().map(ideal).collect();
        }
        let sizes: Vec<u64> = messages.iter().map(|it| it.bytes.0).filter(|&bytes| bytes > 0).collect();
        if sizes.is_empty() {
            let bare =
                |it: &Message| Movement::on_wires(self.fabric.pair(src, it.dst), it.bytes, SimDuration::ZERO);
            return messages.iter().map(bare).collect();
        }
        let time = self.grouped_time(src, messages, &sizes);
        let total = kept_launch_us(time.launch_us, self.scenario.device_launch(), &cluster.gpu(src).card)
            + time.wire_us;
        let timing = Timing::from_us(total, time.transfer_us);
        let mean = sizes.iter().sum::<u64>() as f64 / sizes.len() as f64;
        let protocol = grouped_protocol(mean);
        let n_sent = u32::try_from(sizes.len()).expect("fewer than 2^32 messages");
        let movement = |it: &Message| {
            let wire = self.fabric.pair(src, it.dst);
            let stays = cluster.gpu(it.dst).node_idx == cluster.gpu(src).node_idx;
            // The model counts no flags on the way between nodes.
            let bytes = if stays { Bytes(protocol.on_wire(it.bytes.0)) } else { it.bytes };
            let flow = Flow { path: wire.path, bytes, latency: SimDuration::ZERO, rate_cap: None };
            let blocks = n_channels(it.bytes.0 as f64).min((n_channels_max() / n_sent).max(1));
            Movement {
                flows: timed(flow, timing, Grain::Coarse).into(),
                basis: basis(Family::P2p, it.bytes, false),
                slows: self.slows(self.hands(src, it.dst), blocks, it.bytes, timing.total),
            }
        };
        messages.iter().map(movement).collect()
    }

    fn grouped_time(&mut self, src: GpuIdx, messages: &[Message], sizes: &[u64]) -> TimeAlone {
        let cluster = &self.scenario.cluster;
        let home = cluster.gpu(src).node_idx;
        let leaves = |it: &&Message| cluster.gpu(it.dst).node_idx != home;
        let leaving: u64 = messages.iter().filter(leaves).map(|it| it.bytes.0).sum();
        let inside = messages.iter().filter(|it| !leaves(it) && it.bytes.0 > 0).count();
        let far = messages.iter().find(leaves).map(|it| it.dst);
        let group = [src].into_iter().chain(far);
        let known = self.machines.entry((src, far));
        let machine = *known.or_insert_with(|| self.fabric.machine_of(&group.collect::<Vec<_>>()));
        // Where only the NIC is used, the NIC alone says how fast it goes.
        let n = u32::try_from(inside).expect("few messages");
        let reach = if n == 0 { machine.nvlink } else { machine.reach(n + 1) };
        let sends = GroupedSends {
            bytes: sizes,
            leaving,
            reach,
            reach_share: reach / machine.nvlink,
            nic: machine.nic,
        };
        let model = self.fabric.calibrated(src).expect("a profile says how long sends take");
        grouped_sends_time(&model.params, model.version, &sends)
    }

    /// One message by itself.
    pub(super) fn single_send(&mut self, src: GpuIdx, message: Message) -> Movement {
        let cluster = &self.scenario.cluster;
        let pairs = self.fabric.calibrated(src).and_then(|model| model.pairs);
        // A replayed graph, or a host that is modelled by itself, hides the way from the host's call to the kernel, which is most of what pairs were measured to take.
        let (Some(pairs), Launch::Eager) = (pairs, self.scenario.device_launch()) else {
            return self.grouped(src, &[message]).remove(0);
        };
        let wire = self.fabric.pair(src, message.dst);
        let crosses = cluster.gpu(src).node_idx != cluster.gpu(message.dst).node_idx;
        let scope = if crosses { Scope::InterNode } else { Scope::IntraNode };
        let work = PairsWork { scope, bytes_per_pair: message.bytes.0, n_pairs: 1 };
        let machine = self.fabric.machine_of(&[src, message.dst]);
        let time = pairs_time(&pairs, &work, &machine);
        let timing = Timing::from_us(time.total_us(), time.transfer_us);
        let flow = Flow { path: wire.path, bytes: message.bytes, latency: SimDuration::ZERO, rate_cap: None };
        let is_covered = self.fabric.calibrated(src).is_some_and(|model| model.covers_pairs(&work, &machine));
        let blocks = n_channels(message.bytes.0 as f64);
        Movement {
            flows: timed(flow, timing, Grain::Coarse).into(),
            basis: basis(Family::P2p, message.bytes, is_covered),
            slows: self.slows(self.hands(src, message.dst), blocks, message.bytes, timing.total),
        }
    }

    /// The phases of a collective of `group`.
    pub(super) fn phases(
        &self,
        collective: &Collective,
        (kind, bytes): (CollectiveKind, Bytes),
        group: &[GpuIdx],
    ) -> Vec<Movement> {
        let launch = self.launch(group[0]);
        let (basis, slows) = match collective.nccl {
            None => (Basis::unjudged(Provenance::Roofline), Vec::new()),
            Some(way) => {
                let sent = kind.sent(bytes, group.len());
                (
                    basis(Family::Collective, bytes, way.is_covered),
                    self.slows(group.iter().copied(), way.n_channels, sent, collective.time_alone),
                )
            }
        };
        let phase =
            |idx| Movement { flows: collective.flows_with(idx, launch).into(), basis, slows: slows.clone() };
        (0..collective.phases.len()).map(phase).collect()
    }

    /// The GPUs through whose memory a message goes: sender, receiver, and the one that relays it.
    fn hands(&self, src: GpuIdx, dst: GpuIdx) -> impl Iterator<Item = GpuIdx> + use<> {
        [src, dst].into_iter().chain(self.scenario.cluster.relay(src, dst))
    }

    /// What a kernel of `blocks` blocks takes from the computation of each of `gpus` while it moves `bytes` in and
    /// as many out in `time`: the larger of its share of the multiprocessors and of the memory bandwidth.
    ///
    /// # Source
    ///
    /// NCCL runs one block for each channel, and a block occupies a multiprocessor (`NCCL_MAX_NCHANNELS`, NCCL documentation);
    /// every byte that is sent is read from device memory, every one received is written to it.
    fn slows(
        &self,
        gpus: impl Iterator<Item = GpuIdx>,
        blocks: u32,
        bytes: Bytes,
        time: SimDuration,
    ) -> Vec<Slowdown> {
        const PARTS: u128 = 1_000_000;
        const PS_PER_SEC: u128 = 1_000_000_000_000;
        let share = |gpu: GpuIdx| {
            let card = &self.scenario.cluster.gpu(gpu).card;
            let sms = u128::from(blocks) * PARTS / u128::from(card.n_sms.max(1));
            let in_time = u128::from(card.memory_bandwidth.bytes_per_sec()) * u128::from(time.as_ps().max(1));
            let memory = 2 * u128::from(bytes.0) * PS_PER_SEC * PARTS / in_time.max(1);
            Speed::from_ppm(u32::try_from(sms.max(memory).min(PARTS)).expect("a share"))
        };
        gpus.map(|gpu| Slowdown { stream: compute_stream(gpu), share: share(gpu) }).collect()
    }
}

/// What a time of a profile's model rests on.
fn basis(family: Family, bytes: Bytes, is_covered: bool) -> Basis {
    let provenance = if is_covered { Provenance::Fitted } else { Provenance::Extrapolated };
    Basis { provenance, regime: Some(regime_of_bytes(family, bytes.0)) }
}
