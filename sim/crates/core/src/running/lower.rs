//! From a plan to a task graph: one step of the whole cluster.
//!
//! Kernels that follow each other on a GPU without communication between them become one task with
//! several parts; the engine sees as few tasks as the plan has points of communication.

mod attention;
mod compressed;
mod counts;
mod experts;
mod head;
mod host;
mod m2n;
mod movement;
mod pass;
mod pieces;
mod pipeline;
mod prompts;
mod routed;
mod shared;
pub mod step;
mod traffic;
mod wave;

pub use step::{Activity, Part, Place, Step, TaskInfo};

use std::sync::Arc;

use masim_engine::{ShapeBuilder, StreamId};
use masim_units::{Bytes, SimDuration};

use crate::fabric::Fabric;
use crate::inputs::topology::GpuIdx;
use crate::plan::Plan;
use crate::running::collective::{Collective, CollectiveKind, Collectives};
use crate::scenario::{ContextLen, Scenario};
use crate::work::cost::{CostModel, TooLong};
use crate::work::ops::LayerOps;
use crate::work::routing::{StepRouting, context_lens};

/// Streams of one GPU: compute, collectives, sends, and its host's launches.
const STREAMS_PER_GPU: u32 = 4;

/// Streams that a cluster of `n_gpus` has.
pub fn n_streams(n_gpus: u32) -> u32 {
    n_gpus * STREAMS_PER_GPU
}

/// The in-order queue of kernels of a GPU.
pub fn compute_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU)
}

/// The queue of collectives, beside computation.
pub fn collective_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU + 1)
}

/// The queue of point-to-point sends, beside both.
pub fn send_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU + 2)
}

/// What the host of a GPU does for it, one thing after the other.
pub fn host_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU + 3)
}

/// The GPU of a stream, and its position there: 0 compute, 1 collectives, 2 sends, 3 its host.
pub fn stream_owner(stream: StreamId) -> (GpuIdx, u32) {
    (GpuIdx(stream.0 / STREAMS_PER_GPU), stream.0 % STREAMS_PER_GPU)
}

/// Lowers the steps of one scenario and plan.
pub struct Lowering<'a> {
    scenario: &'a Scenario,
    plan: &'a Plan,
    cost: &'a dyn CostModel,
    ops: LayerOps<'a>,
    fabric: Fabric<'a>,
    collectives: Collectives,
    /// Cached tokens of all sequences before the one at each position; one longer than the batch.
    cached_before: Vec<u64>,
    /// Cached tokens of each sequence.
    contexts: Vec<u32>,
    /// Collects tasks and edges of the first step.
    shape: Option<ShapeBuilder>,
    /// Tasks and kernels of the step lowered last.
    last_size: (usize, usize),
}

impl<'a> Lowering<'a> {
    /// Prepares to lower steps of `plan`.
    pub fn new(scenario: &'a Scenario, plan: &'a Plan, cost: &'a dyn CostModel) -> Self {
        let batch = scenario.workload.batch();
        // Prompts begin with empty caches.
        let context = scenario.workload.decode_context().unwrap_or(ContextLen::Fixed(0));
        let contexts = context_lens(&context, batch, scenario.seed);
        let mut cached_before = vec![0];
        let mut sum = 0;
        for &len in &contexts {
            sum += u64::from(len);
            cached_before.push(sum);
        }
        Self {
            scenario,
            plan,
            cost,
            ops: LayerOps::new(&scenario.model),
            fabric: Fabric::of_scenario(scenario),
            collectives: Collectives::new(scenario.collectives, scenario.device_launch()),
            cached_before,
            contexts,
            shape: Some(ShapeBuilder::new()),
            last_size: (0, 0),
        }
    }

    /// The fabric, with the paths that the steps lowered so far use.
    pub fn fabric(&self) -> &Fabric<'a> {
        &self.fabric
    }

    /// One step in which tokens choose experts as `routing` says.
    ///
    /// All steps of a lowering have the same tasks, streams and edges; only their work differs, and only the
    /// first of them has a [`Step::shape`].
    ///
    /// # Errors
    ///
    /// [`TooLong`] names an operation beyond 213 days.
    pub fn step(&mut self, routing: &StepRouting) -> Result<Step, TooLong> {
        let step = Step::new(self.shape.take(), self.last_size, self.scenario.overlap);
        let step = match self.plan {
            Plan::Routed(plan) => routed::lower(self, step, plan, routing),
            Plan::Pipeline(plan) => pipeline::lower(self, step, plan, routing),
        }?;
        self.last_size = (step.works.len(), step.parts.len());
        Ok(step)
    }

    /// How `group` does `kind`.
    fn choose(&mut self, kind: CollectiveKind, group: &[GpuIdx], bytes: Bytes) -> Arc<Collective> {
        self.collectives.choose(kind, group, bytes, &mut self.fabric)
    }

    /// Cached tokens of the sequences in `tokens`: of all together, and of the one that has most.
    fn cached(&self, tokens: &std::ops::Range<u32>) -> (u64, u64) {
        let (start, end) = (tokens.start as usize, tokens.end as usize);
        let longest = self.contexts[start..end].iter().max();
        (self.cached_before[end] - self.cached_before[start], longest.map_or(0, |&len| len.into()))
    }

    /// What a communication kernel costs on `gpu` before the first byte leaves.
    fn launch(&self, gpu: GpuIdx) -> SimDuration {
        self.cost.launch(&self.scenario.cluster.gpu(gpu).card)
    }
}
