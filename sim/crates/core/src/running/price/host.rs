//! The host's work: scheduling, and launches ahead of the GPUs.

use masim_engine::{TaskId, Work};
use masim_units::SimDuration;

use super::step::TaskInfo;
use super::{Pricer, Pricing, host_stream};
use crate::inputs::topology::GpuIdx;
use crate::program::{Activity, Instr, InstrIdx, Label, Place, Program};
use crate::scenario::Launch;
use crate::timing::provenance::{Basis, Provenance};
use crate::work::cost::TooLong;

impl Pricer<'_> {
    /// Scheduling of `n_sequences` on `group` by the host of `gpu`; the launches that follow there wait for it.
    pub(super) fn host_step(
        &mut self,
        pricing: &mut Pricing,
        (program, idx, instr): (&Program, InstrIdx, &Instr),
        (gpu, group): (GpuIdx, &[GpuIdx]),
        n_sequences: u64,
    ) -> Result<TaskId, TooLong> {
        let host = self.scenario.host_overhead.expect("a program has host steps where the host takes time");
        let time = host.scheduling(self.scenario.launch, n_sequences, group.len() as u64);
        let time = time.ok_or(TooLong { op: "scheduling" })?;
        let after = pricing.after(program, instr);
        let scheduled = on_host(pricing, (idx, instr.label.place), gpu, time, &after);
        pricing.hosts_wait(group, scheduled);
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
        if self.scenario.launch == Launch::Graph {
            return None;
        }
        let after: Vec<TaskId> = pricing.scheduled[gpu.0 as usize].into_iter().collect();
        let time = host.per_launch.saturating_mul(u64::from(n_kernels));
        Some(on_host(pricing, at, gpu, time, &after))
    }
}

impl Pricing {
    /// Launches of the hosts of `group` that follow wait for `task`.
    pub(super) fn hosts_wait(&mut self, group: &[GpuIdx], task: TaskId) {
        for gpu in group {
            self.scheduled[gpu.0 as usize] = Some(task);
        }
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
