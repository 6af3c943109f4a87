//! An all-reduce with 8 bits on the way, as tasks: kernels on the compute streams, collectives beside them.

use masim_engine::TaskId;
use masim_units::Bytes;

use super::Lowering;
use super::step::{Activity, Place, Step};
use crate::inputs::topology::GpuIdx;
use crate::running::collective::{CollectiveKind, Quantised};
use crate::work::cost::TooLong;

impl Step {
    /// The sum of `bytes` on every GPU of `group`: each quantises its buffer, all exchange shards, each adds up its own in
    /// fp32 and quantises the sum, all gather the sums, and each expands them.
    ///
    /// `after` holds the task that makes the buffer of each member. The result is the point at which all have the sum.
    pub(super) fn compressed_all_reduce(
        &mut self,
        lowering: &mut Lowering,
        place: Place,
        group: &[GpuIdx],
        bytes: Bytes,
        after: &[TaskId],
    ) -> Result<TaskId, TooLong> {
        let value_bytes = lowering.scenario.model.dtype.activations.bytes();
        let buffers = Quantised::new(bytes, value_bytes, group.len() as u64);
        let [quantise, reduce, expand] = buffers.traffic();
        assert_eq!(after.len(), group.len(), "every member has a buffer of its own");
        let after: Vec<&[TaskId]> = after.chunks(1).collect();
        let quantised = self.kernels(lowering, place, group, quantise, &after)?;
        let all = buffers.all;
        let exchanged = self.collective(lowering, CollectiveKind::AllToAll, place, group, all, &quantised)?;
        let reduced = self.kernels(lowering, place, group, reduce, &vec![&[exchanged][..]; group.len()])?;
        let gathered = self.collective(lowering, CollectiveKind::AllGather, place, group, all, &reduced)?;
        let expanded = self.kernels(lowering, place, group, expand, &vec![&[gathered][..]; group.len()])?;
        Ok(self.barrier(place, None, &expanded))
    }

    /// A kernel on every GPU of `group` that reads and writes `traffic` together.
    fn kernels(
        &mut self,
        lowering: &Lowering,
        place: Place,
        group: &[GpuIdx],
        traffic: Bytes,
        after: &[&[TaskId]],
    ) -> Result<Vec<TaskId>, TooLong> {
        let op = lowering.ops.quantise(traffic);
        let members = group.iter().zip(after);
        members
            .map(|(&gpu, after)| self.compute(lowering, (Activity::Quantise, place), gpu, &[op], after))
            .collect()
    }
}
