//! A priced step: tasks with their work, and the meaning of each.

use std::ops::Range;

use masim_engine::{ShapeBuilder, StreamId, TaskId, Work};
use masim_units::{Bytes, SimDuration};

use super::movement::Movement;
use crate::inputs::topology::GpuIdx;
use crate::program::instr::Activity;
use crate::program::{InstrIdx, Label, Place};
use crate::scenario::Dtypes;
use crate::timing::provenance::{Basis, Provenance};
use crate::work::cost::Cost;
use crate::work::ops::{Op, OpKind};

/// The meaning of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// The instruction that it is a part of.
    pub instr: InstrIdx,
    /// The purpose.
    pub activity: Activity,
    /// The GPU that computes, or that sends; none for a task of several.
    pub gpu: Option<GpuIdx>,
    /// The GPU that receives.
    pub to: Option<GpuIdx>,
    /// The layer and the micro-batch.
    pub place: Place,
    /// Data moved.
    pub bytes: Bytes,
    /// Its kernels, in [`Step::parts`].
    pub parts: Range<u32>,
    /// The source of its latencies and rates, if it is communication; kernels have their own.
    pub basis: Basis,
}

impl TaskInfo {
    /// A task of one GPU that moves nothing and has no kernels.
    pub(super) fn new((instr, label): (InstrIdx, Label), gpu: Option<GpuIdx>) -> Self {
        let basis = Basis::unjudged(Provenance::Roofline);
        let Label { activity, place } = label;
        Self { instr, activity, gpu, to: None, place, bytes: Bytes::ZERO, parts: 0..0, basis }
    }
}

/// One kernel of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its purpose.
    pub kind: OpKind,
    /// Its time alone, launch included.
    pub time: SimDuration,
    /// The source of that number.
    pub basis: Basis,
    /// Arithmetic of its matrix products.
    pub flops: u64,
    /// Its traffic to the device memory.
    pub bytes: Bytes,
}

impl Part {
    pub(super) fn new(op: &Op, cost: Cost, dtypes: Dtypes) -> Self {
        let Cost { time, basis } = cost;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of operations, of which 2^64 would take a GPU years"
        )]
        let flops = op.flops().0 as u64;
        Self { kind: op.kind, time, basis, flops, bytes: op.traffic(&dtypes) }
    }
}

/// The tasks of one step.
#[derive(Debug, Default)]
pub struct Step {
    /// Tasks, streams and edges; `None` where a step before has them already.
    pub shape: Option<ShapeBuilder>,
    /// The work of each task.
    pub works: Vec<Work>,
    /// The meaning of each task.
    pub infos: Vec<TaskInfo>,
    /// Kernels of all tasks.
    pub parts: Vec<Part>,
    /// Tasks of the next step that wait for tasks of this one, which has the same tasks: (later, earlier). Known with the
    /// shape.
    pub carries: Vec<(TaskId, TaskId)>,
    /// The task at which each micro-batch has its token. Known with the shape.
    pub done: Vec<TaskId>,
}

impl Step {
    /// Adds a task on `streams` that begins after `after`.
    pub(super) fn push(
        &mut self,
        streams: &[StreamId],
        after: &[TaskId],
        work: Work,
        info: TaskInfo,
    ) -> TaskId {
        let task = self.next();
        self.works.push(work);
        self.infos.push(info);
        if let Some(shape) = &mut self.shape {
            shape.task(streams, after);
        }
        task
    }

    /// Adds data under way; without any byte, no kernel is launched.
    pub(super) fn transfer(
        &mut self,
        streams: &[StreamId],
        after: &[TaskId],
        movement: Movement,
        info: TaskInfo,
    ) -> TaskId {
        let Movement { flows, basis, slows } = movement;
        let bytes = flows.iter().map(|flow| flow.bytes).sum();
        let work = if bytes == Bytes::ZERO { Work::Barrier } else { Work::Transfer { flows, slows } };
        self.push(streams, after, work, TaskInfo { bytes, basis, ..info })
    }

    /// The task that is added next.
    pub(super) fn next(&self) -> TaskId {
        TaskId(u32::try_from(self.works.len()).expect("fewer than 2^32 tasks in a step"))
    }

    pub(super) fn n_parts(&self) -> u32 {
        u32::try_from(self.parts.len()).expect("fewer than 2^32 kernels in a step")
    }
}
