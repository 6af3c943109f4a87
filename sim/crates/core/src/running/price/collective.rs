//! Collectives as tasks on the communication streams of all members.

use masim_engine::TaskId;
use masim_units::Bytes;

use super::step::TaskInfo;
use super::{Pricer, Pricing, collective_stream};
use crate::inputs::topology::GpuIdx;
use crate::program::{Instr, InstrIdx, Program};
use crate::work::collectives::CollectiveKind;

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
        last[0]
    }
}
