//! Kernels of one rank as a task on its compute stream.

use masim_engine::{TaskId, Work};
use masim_units::SimDuration;

use super::step::{Part, TaskInfo};
use super::{Pricer, Pricing, compute_stream};
use crate::inputs::topology::GpuIdx;
use crate::program::{Instr, InstrIdx, Kernel, Program};
use crate::work::cost::TooLong;

impl Pricer<'_> {
    /// The kernels that have anything to do, one after the other on `gpu`.
    pub(super) fn kernels(
        &mut self,
        pricing: &mut Pricing,
        (program, idx, instr): (&Program, InstrIdx, &Instr),
        gpu: GpuIdx,
        kernels: &[Kernel],
    ) -> Result<TaskId, TooLong> {
        let card = &self.scenario.cluster.gpu(gpu).card;
        let first = pricing.step.n_parts();
        let (mut time, mut n_launches) = (SimDuration::ZERO, 0);
        for kernel in kernels {
            let op = kernel.op(&self.sizes);
            if op.is_empty() {
                continue;
            }
            let cost = self.cost.cost(&op, card)?;
            time = time.checked_add(cost.time).ok_or(TooLong { op: op.kind.name() })?;
            n_launches += op.n_launches();
            pricing.step.parts.push(Part::new(&op, cost, self.scenario.model.dtype));
        }
        let parts = first..pricing.step.n_parts();
        let mut after = pricing.after(program, instr);
        if !kernels.is_empty() {
            after.extend(self.host_launch(pricing, (idx, instr.label.place), gpu, n_launches));
        }
        let info = TaskInfo { parts, ..TaskInfo::new((idx, instr.label), Some(gpu)) };
        Ok(pricing.step.push(&[compute_stream(gpu)], &after, Work::Compute { time }, info))
    }
}
