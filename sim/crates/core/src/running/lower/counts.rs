//! The counts of rows that hosts must know before they can launch sends of the right sizes.

use masim_engine::TaskId;
use masim_units::Bytes;

use super::collective_stream;
use super::routed::RoutedStep;
use super::step::{Activity, Place};
use crate::inputs::topology::GpuIdx;
use crate::running::collective::CollectiveKind;
use crate::scenario::{Dispatch, Launch};

/// Bytes of a count.
const COUNT_BYTES: u64 = 4;

impl RoutedStep<'_, '_> {
    /// What the sends of each owner wait for: its own kernels, or where kernels are launched one by one, until
    /// all hosts know how many rows come from whom.
    ///
    /// The counts are gathered on all GPUs that send or receive, and every host waits for its GPU once, which costs a launch.
    /// Graphs are replayed with sizes that devices read themselves. Where wires alone decide, counts are free.
    pub(super) fn counted(&mut self, place: Place, posts: &[TaskId]) -> Vec<TaskId> {
        let scenario = self.lowering.scenario;
        let card = &scenario.cluster.gpu(self.owners[0]).card;
        let is_free = match (self.plan.dispatch, scenario.launch) {
            (Dispatch::Broadcast, _) | (_, Launch::Graph) => true,
            (Dispatch::M2n, Launch::Eager) => self.lowering.fabric.calibrated(self.owners[0]).is_none(),
        };
        if is_free {
            return posts.to_vec();
        }
        let mut group: Vec<GpuIdx> = self.owners.clone();
        group.extend(self.plan.experts.members().map(|(_, gpu)| gpu));
        group.sort_unstable();
        group.dedup();
        if group.len() < 2 {
            return posts.to_vec();
        }
        let kind = CollectiveKind::AllGather;
        let bytes = Bytes(group.len() as u64 * self.plan.experts.groups.len() as u64 * COUNT_BYTES);
        let collective = self.lowering.choose(kind, &group, bytes);
        let streams: Vec<_> = group.iter().map(|&gpu| collective_stream(gpu)).collect();
        let mut known = posts.to_vec();
        for mut movement in self.lowering.phases(&collective, (kind, bytes), &group) {
            for flow in movement.flows.iter_mut() {
                flow.latency += card.roofline.launch_eager;
            }
            let what = (Activity::Collective(kind), place);
            known = vec![self.step.transfer(what, (None, None), &streams, movement, &known)];
        }
        vec![known[0]; posts.len()]
    }
}
