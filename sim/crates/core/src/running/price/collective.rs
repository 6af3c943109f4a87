//! Collectives as tasks on the communication streams of all members.

use masim_engine::{TaskId, Work};
use masim_units::Bytes;

use super::step::TaskInfo;
use super::{Pricer, Pricing, collective_stream};
use crate::inputs::topology::GpuIdx;
use crate::program::{Activity, Instr, InstrIdx, Label, Program};
use crate::work::collectives::CollectiveKind;

/// Tasks of a collective whose size follows from routing: its phases may be fewer.
const N_PHASES: usize = 3;

impl Pricer<'_> {
    /// A collective of `group`, each phase a task on the collective stream of every member.
    pub(super) fn collective(
        &mut self,
        pricing: &mut Pricing,
        (program, idx, instr): (&Program, InstrIdx, &Instr),
        group: &[GpuIdx],
        (kind, bytes, is_awaited): (CollectiveKind, Bytes, bool),
    ) -> TaskId {
        let mut last = pricing.after(program, instr);
        if !is_awaited {
            let at = (idx, instr.label.place);
            last.extend(group.iter().filter_map(|&gpu| self.host_launch(pricing, at, gpu, 1)));
        }
        let collective = self.collectives.choose(kind, group, bytes, &mut self.fabric);
        let streams: Vec<_> = group.iter().map(|&gpu| collective_stream(gpu)).collect();
        for mut movement in self.phases(&collective, (kind, bytes), group) {
            if is_awaited {
                // A host that waits for its GPU launches again afterwards.
                let launch = self.scenario.cluster.gpu(group[0]).card.roofline.launch_eager;
                for flow in movement.flows.iter_mut() {
                    flow.latency += launch;
                }
            }
            let info = TaskInfo::new((idx, instr.label), None);
            last = vec![self.transfer(pricing, &streams, &last, (movement, info))];
        }
        if is_awaited && self.scenario.host_overhead.is_some() {
            pricing.hosts_wait(group, last[0]);
        }
        last[0]
    }

    /// A collective whose size differs from step to step, in as many tasks in each: those beyond its phases are empty.
    pub(super) fn sized_collective(
        &mut self,
        pricing: &mut Pricing,
        (program, idx, instr): (&Program, InstrIdx, &Instr),
        group: &[GpuIdx],
        (kind, bytes): (CollectiveKind, Bytes),
    ) -> TaskId {
        let mut last = pricing.after(program, instr);
        let at = (idx, instr.label.place);
        last.extend(group.iter().filter_map(|&gpu| self.host_launch(pricing, at, gpu, 1)));
        let streams: Vec<_> = group.iter().map(|&gpu| collective_stream(gpu)).collect();
        let phases = if bytes == Bytes::ZERO {
            Vec::new()
        } else {
            // Few sizes come again: none is kept.
            let collective = self.collectives.fresh(kind, group, bytes, &mut self.fabric);
            self.phases(&collective, (kind, bytes), group)
        };
        assert!(phases.len() <= N_PHASES, "{} has {} phases", kind.name(), phases.len());
        let mut phases = phases.into_iter();
        for _ in 0..N_PHASES {
            let task = if let Some(movement) = phases.next() {
                let info = TaskInfo::new((idx, instr.label), None);
                self.transfer(pricing, &streams, &last, (movement, info))
            } else {
                let label = Label::new(Activity::Barrier, instr.label.place);
                pricing.step.push(&streams, &last, Work::Barrier, TaskInfo::new((idx, label), None))
            };
            last = vec![task];
        }
        last[0]
    }
}
