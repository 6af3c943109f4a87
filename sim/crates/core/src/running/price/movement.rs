//! Flows of communication tasks, their times alone, and their share of the computation beside them.

use masim_engine::{Flows, Slowdown, Speed};
use masim_units::{Bytes, SimDuration};

use super::{Pricer, compute_stream};
use crate::inputs::measurement::Family;
use crate::inputs::topology::GpuIdx;
pub(super) use crate::running::collective::Message;
use crate::running::collective::{Collective, FittedSend, SendFlow, SendLaunch, grouped_sends, single_send};
use crate::scenario::Overlap;
use crate::timing::fitted::regime_of_bytes;
use crate::timing::provenance::{Basis, Provenance};
use crate::work::collectives::CollectiveKind;

/// Flows of one task.
#[derive(Clone, Debug)]
pub(super) struct Movement {
    pub(super) flows: Flows,
    /// Source of latencies and rates.
    pub(super) basis: Basis,
    /// Share of computation that its kernels take.
    pub(super) slows: Vec<Slowdown>,
}

impl Movement {
    /// The exposed part: where a share of communication is assumed to be hidden, latencies are shorter, rates
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

impl Pricer<'_> {
    /// The messages of one group of sends, in their order.
    pub(super) fn grouped(&mut self, src: GpuIdx, messages: &[Message]) -> Vec<Movement> {
        let launch = self.send_launch(src);
        let sent = grouped_sends(&mut self.fabric, src, messages, launch);
        messages.iter().zip(sent).map(|(message, sent)| self.movement(src, *message, sent)).collect()
    }

    /// One message by itself.
    pub(super) fn single_send(&mut self, src: GpuIdx, message: Message) -> Movement {
        let launch = self.send_launch(src);
        let sent = single_send(&mut self.fabric, src, message, launch);
        self.movement(src, message, sent)
    }

    fn send_launch(&self, src: GpuIdx) -> SendLaunch {
        SendLaunch { ideal: self.launch(src), kind: self.scenario.device_launch() }
    }

    /// Rates of links come from datasheets, as peak rates do; where a profile decides, kernels that send take a share of the GPUs.
    fn movement(&self, src: GpuIdx, message: Message, sent: SendFlow) -> Movement {
        let flows = sent.flow.into();
        let Some(FittedSend { time, n_channels, is_covered }) = sent.fitted else {
            return Movement { flows, basis: Basis::unjudged(Provenance::Roofline), slows: Vec::new() };
        };
        let slows = self.slows(self.hands(src, message.dst), n_channels, message.bytes, time);
        Movement { flows, basis: basis(Family::P2p, message.bytes, is_covered), slows }
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

    /// The share that a kernel of `blocks` blocks takes from the computation of each of `gpus` while it moves `bytes` in and
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

/// Source of a time of a profile's model.
fn basis(family: Family, bytes: Bytes, is_covered: bool) -> Basis {
    let provenance = if is_covered { Provenance::Fitted } else { Provenance::Extrapolated };
    Basis { provenance, regime: Some(regime_of_bytes(family, bytes.0)) }
}
