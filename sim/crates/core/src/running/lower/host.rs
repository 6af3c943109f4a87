//! What the host does for the GPUs: schedule, and launch kernels ahead of them.
//!
//! A host is an in-order stream beside its GPU. It launches as fast as it can, so a GPU that is slower never
//! waits for it, and a GPU that is faster runs at its pace: a step takes the longer of both, after scheduling.

use masim_engine::TaskId;

use super::Lowering;
use super::step::{Place, Step};
use crate::inputs::topology::GpuIdx;
use crate::scenario::{HostOverhead, Launch};
use crate::work::cost::TooLong;

impl Step {
    /// Scheduling of `n_sequences` on `n_gpus` by the host of `gpu`; the launches that follow wait for it.
    pub(super) fn schedule(
        &mut self,
        (host, launch): (HostOverhead, Launch),
        place: Place,
        gpu: GpuIdx,
        (n_sequences, n_gpus): (u64, u64),
    ) -> Result<TaskId, TooLong> {
        let time = host.scheduling(launch, n_sequences, n_gpus).ok_or(TooLong { op: "scheduling" })?;
        let scheduled = self.host(place, gpu, time, &[]);
        self.scheduled = Some(scheduled);
        Ok(scheduled)
    }

    /// The launch of `n_kernels` on `gpu`: what they must wait for, if the host launches one by one.
    pub(super) fn launch(
        &mut self,
        lowering: &Lowering,
        place: Place,
        gpu: GpuIdx,
        n_kernels: u32,
    ) -> Option<TaskId> {
        let host = lowering.scenario.host_overhead?;
        if lowering.scenario.launch == Launch::Graph || n_kernels == 0 {
            return None;
        }
        let after: Vec<TaskId> = self.scheduled.into_iter().collect();
        Some(self.host(place, gpu, host.per_launch.saturating_mul(u64::from(n_kernels)), &after))
    }
}
