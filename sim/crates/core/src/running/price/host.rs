//! The host's work: scheduling, and launches ahead of the GPUs.

use masim_engine::{TaskId, Work};
use masim_units::SimDuration;

use super::step::TaskInfo;
use super::{Pricer, Pricing, host_stream};
use crate::inputs::topology::GpuIdx;
use crate::program::{Activity, Instr, InstrIdx, Label, Place};
use crate::scenario::Launch;
use crate::timing::provenance::{Basis, Provenance};
use crate::work::cost::TooLong;

impl Pricer<'_> {
    /// Scheduling of `n_sequences` on `n_ranks` by the host of `gpu`; the launches that follow wait for it.
    pub(super) fn host_step(
        &mut self,
        pricing: &mut Pricing,
        (idx, instr): (InstrIdx, &Instr),
        gpu: GpuIdx,
        (n_sequences, n_ranks): (u64, u64),
    ) -> Result<TaskId, TooLong> {
        let host = self.scenario.host_overhead.expect("a program has host steps where the host takes time");
        let time = host.scheduling(self.scenario.launch, n_sequences, n_ranks);
        let time = time.ok_or(TooLong { op: "scheduling" })?;
        let scheduled = on_host(pricing, (idx, instr.label.place), gpu, time, &[]);
        pricing.scheduled = Some(scheduled);
        Ok(scheduled)
    }

    /// The launch of `n_kernels` on `gpu`: the task that they wait for, if the host launches one by one.
    pub(super) fn host_launch(
        &self,
        pricing: &mut Pricing,
        at: (InstrIdx, Place),
        gpu: GpuIdx,
        n_kernels: u32,
    ) -> Option<TaskId> {
        let host = self.scenario.host_overhead?;
        if self.scenario.launch == Launch::Graph || n_kernels == 0 {
            return None;
        }
        let after: Vec<TaskId> = pricing.scheduled.into_iter().collect();
        let time = host.per_launch.saturating_mul(u64::from(n_kernels));
        Some(on_host(pricing, at, gpu, time, &after))
    }
}

/// The host of `gpu` at work for `time`.
fn on_host(
    pricing: &mut Pricing,
    (idx, place): (InstrIdx, Place),
    gpu: GpuIdx,
    time: SimDuration,
    after: &[TaskId],
) -> TaskId {
    let basis = Basis::unjudged(Provenance::Assumed);
    let info = TaskInfo { basis, ..TaskInfo::new((idx, Label::new(Activity::Host, place)), Some(gpu)) };
    pricing.step.push(&[host_stream(gpu)], after, Work::Delay { time }, info)
}
