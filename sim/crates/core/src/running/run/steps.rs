//! The steps of one copy of the model, as they ended.

use std::collections::VecDeque;
use std::sync::Arc;

use masim_engine::{Shape, Span, TaskId, TaskRef, Trace};
use masim_units::SimTime;

use crate::inputs::topology::GpuIdx;
use crate::running::price::{Part, TaskInfo};

/// One step that has run.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The meaning of each task.
    pub infos: Arc<Vec<TaskInfo>>,
    /// Kernels of all tasks.
    pub parts: Arc<Vec<Part>>,
    /// The time of each task.
    pub trace: Trace,
}

impl StepRecord {
    /// The kernels of the task that `info` describes.
    pub fn parts_of(&self, info: &TaskInfo) -> &[Part] {
        &self.parts[info.parts.start as usize..info.parts.end as usize]
    }

    /// The start of the first task.
    pub fn begin(&self) -> SimTime {
        self.trace.spans.iter().map(|span| span.start).min().unwrap_or(SimTime::ZERO)
    }

    /// The end of the last task.
    pub fn end(&self) -> SimTime {
        self.trace.spans.iter().map(|span| span.end).max().unwrap_or(SimTime::ZERO)
    }

    /// Memory that it takes, where no other step shares what its tasks are.
    fn n_bytes(&self) -> usize {
        size_of_val(&self.infos[..]) + size_of_val(&self.parts[..]) + size_of_val(&self.trace.spans[..])
    }
}

/// Steps that follow each other; the number of a step is that of its graph.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    first: u32,
    /// The two halves of a ring.
    halves: (&'a [StepRecord], &'a [StepRecord]),
}

impl<'a> Records<'a> {
    /// One step, number 0.
    pub fn alone(record: &'a StepRecord) -> Self {
        Self { first: 0, halves: (std::slice::from_ref(record), &[]) }
    }

    /// The number of the first step that is kept.
    pub fn first(self) -> u32 {
        self.first
    }

    /// Step `idx`.
    ///
    /// # Panics
    ///
    /// When it is not kept.
    pub fn get(self, idx: u32) -> &'a StepRecord {
        let (front, back) = self.halves;
        let at = idx.checked_sub(self.first).expect("the step is still kept") as usize;
        front.get(at).unwrap_or_else(|| &back[at - front.len()])
    }

    /// All steps with their numbers, in order.
    pub fn iter(self) -> impl Iterator<Item = (u32, &'a StepRecord)> {
        (self.first..).zip(self.halves.0.iter().chain(self.halves.1))
    }

    /// True if the step of `task` is kept.
    pub fn keeps(self, task: TaskRef) -> bool {
        self.first <= number_of(task)
    }

    /// The meaning and the time of `task`.
    ///
    /// # Panics
    ///
    /// When its step is not kept.
    pub fn task(self, task: TaskRef) -> (&'a TaskInfo, Span) {
        let step = self.get(number_of(task));
        (&step.infos[task.task.0 as usize], step.trace.span(task.task))
    }
}

/// The number of the step of `task`.
pub(crate) fn number_of(task: TaskRef) -> u32 {
    u32::try_from(task.graph.0).expect("at most a few million steps")
}

/// One copy of the model on its own clock: the tasks of a step that it has, and its steps.
///
/// A run has one, but for copies of a pipeline that share no task.
#[derive(Clone, Debug)]
pub struct CopySteps {
    /// Tasks, streams and edges of every step.
    pub shape: Arc<Shape>,
    /// Tasks at which micro-batches have their tokens.
    pub done: Vec<TaskId>,
    /// Its GPUs, in order.
    pub gpus: Vec<GpuIdx>,
    /// Tasks of a step that wait for tasks of the step before: (later, earlier).
    pub(super) carries: Vec<(TaskId, TaskId)>,
    /// The number of each of its tasks in the step of the whole cluster; `None` where it is the whole.
    pub(super) tasks: Option<Vec<TaskId>>,
    /// Its position among the copies.
    pub position: usize,
    first: u32,
    kept: VecDeque<StepRecord>,
    /// Memory of what is kept.
    n_bytes: usize,
    /// Steps that a fold has taken in, or that lie before the window.
    n_folded: u32,
    /// When each step that has ended had its last token.
    ends: Vec<SimTime>,
}

impl CopySteps {
    /// A copy that has not run.
    pub(super) fn new(
        shape: Arc<Shape>,
        done: Vec<TaskId>,
        carries: Vec<(TaskId, TaskId)>,
        tasks: Option<Vec<TaskId>>,
        gpus: Vec<GpuIdx>,
    ) -> Self {
        let (first, kept, ends) = (0, VecDeque::new(), Vec::new());
        Self { shape, done, gpus, carries, tasks, position: 0, first, kept, n_bytes: 0, n_folded: 0, ends }
    }

    /// The same, `position` among the copies.
    pub(super) fn at(self, position: usize) -> Self {
        Self { position, ..self }
    }

    /// A copy that has one step.
    pub(super) fn alone(shape: Arc<Shape>, done: Vec<TaskId>, gpus: Vec<GpuIdx>, record: StepRecord) -> Self {
        let mut steps = Self::new(shape, done, Vec::new(), None, gpus);
        steps.push(record, true);
        steps
    }

    /// The steps that are kept: all of a short run, the last ones of a long one.
    pub fn records(&self) -> Records<'_> {
        Records { first: self.first, halves: self.kept.as_slices() }
    }

    /// The number that `task` has in the step of the whole cluster.
    pub fn in_whole(&self, task: TaskId) -> TaskId {
        self.tasks.as_ref().map_or(task, |tasks| tasks[task.0 as usize])
    }

    /// When step `idx` had its last token.
    pub fn end_of(&self, idx: u32) -> SimTime {
        self.ends[idx as usize]
    }

    /// Steps that have ended.
    pub fn n_ended(&self) -> u32 {
        u32::try_from(self.ends.len()).expect("at most a few million steps")
    }

    /// Steps that a fold has taken in.
    pub fn n_folded(&self) -> u32 {
        self.n_folded
    }

    /// Memory of the steps that are kept.
    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Appends the next step; where `keeps` is false, its end alone.
    pub(super) fn push(&mut self, record: StepRecord, keeps: bool) {
        let end = self.done.iter().map(|&task| record.trace.span(task).end).max();
        self.ends.push(end.expect("a step has a micro-batch"));
        if keeps {
            self.n_bytes += record.n_bytes();
            self.kept.push_back(record);
        }
    }

    /// One step more has been taken in; steps of which more than `n_back` lie behind it are forgotten.
    pub(super) fn folded(&mut self, n_back: u32) {
        self.n_folded += 1;
        while self.first + n_back < self.n_folded {
            let record = self.kept.pop_front().expect("folded steps were kept");
            self.n_bytes -= record.n_bytes();
            self.first += 1;
        }
    }

    /// Forgets the steps behind step `last`.
    pub(super) fn truncate(&mut self, last: u32) {
        self.kept.truncate((last + 1).saturating_sub(self.first) as usize);
        self.ends.truncate(last as usize + 1);
    }
}
