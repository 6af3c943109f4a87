//! The state of one graph that is in the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use masim_units::SimTime;

use crate::engine::event::TaskKey;
use crate::graph::{Graph, GraphId, Shape, TaskId, TaskRef, Work};
use crate::trace::{Span, Trace};

/// A submitted graph, and how far its tasks have come.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: GraphId,
    pub(super) shape: Arc<Shape>,
    pub(super) works: Arc<Vec<Work>>,
    pub(super) states: Vec<TaskState>,
    pub(super) spans: Vec<Span>,
    /// Tasks of later graphs that wait for a task of this one.
    pub(super) dependents: BTreeMap<u32, Vec<TaskKey>>,
    /// Tasks that have not ended.
    pub(super) n_left: u32,
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    /// So many predecessors and stream heads are missing; at zero the task is about to start.
    Waiting(u32),
    /// It runs; a transfer has so many flows left.
    Running(u32),
    Ended,
}

impl Run {
    /// No task has started; each waits for its predecessors.
    pub(super) fn new(id: GraphId, graph: &Graph) -> Self {
        let shape = Arc::clone(&graph.shape);
        let n_tasks = shape.n_tasks();
        assert_eq!(graph.works.len(), n_tasks as usize, "a graph has one work for each task of its shape");
        let n_before = |task| TaskState::Waiting(count(shape.predecessors(task).len()));
        Self {
            id,
            works: Arc::clone(&graph.works),
            states: shape.tasks().map(n_before).collect(),
            spans: vec![Span { start: SimTime::ZERO, end: SimTime::ZERO, cause: None }; n_tasks as usize],
            dependents: BTreeMap::new(),
            n_left: n_tasks,
            shape,
        }
    }

    /// The name of `task` outside the engine.
    pub(super) fn task_ref(&self, task: u32) -> TaskRef {
        TaskRef { graph: self.id, task: TaskId(task) }
    }

    /// `task` waits for one thing more.
    pub(super) fn hold(&mut self, task: u32) {
        match &mut self.states[task as usize] {
            TaskState::Waiting(n) => *n += 1,
            TaskState::Running(_) | TaskState::Ended => panic!("a task that has started waits for nothing"),
        }
    }

    /// `task` waits for one thing less; whether that was the last.
    pub(super) fn release(&mut self, task: u32) -> bool {
        match &mut self.states[task as usize] {
            TaskState::Waiting(n) => {
                *n -= 1;
                *n == 0
            }
            TaskState::Running(_) | TaskState::Ended => panic!("a task that has started waits for nothing"),
        }
    }

    /// The running tasks.
    pub(super) fn running(&self) -> impl Iterator<Item = u32> {
        let running =
            |(state, task): (&TaskState, u32)| matches!(state, TaskState::Running(_)).then_some(task);
        self.states.iter().zip(0..).filter_map(running)
    }

    pub(super) fn into_trace(self) -> Trace {
        Trace { graph: self.id, spans: self.spans }
    }
}

/// A number of predecessors or flows as it is stored.
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 edges and flows")
}
