//! What happened: when each task ran, and which end let it start.

use masim_units::SimTime;

use crate::graph::{GraphId, TaskId, TaskRef};

/// When one task ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it started.
    pub start: SimTime,
    /// When it ended.
    pub end: SimTime,
    /// The task whose end let this one start: its last predecessor, or the task before it on a
    /// stream. It ended at `start`. `None` for a task that could start when it was submitted, or when
    /// the graph that held it up was cancelled.
    pub cause: Option<TaskRef>,
}

/// When the tasks of one graph ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The graph.
    pub graph: GraphId,
    /// One for each task, in order of creation.
    pub spans: Vec<Span>,
}

impl Trace {
    /// When `task` ran.
    pub fn span(&self, task: TaskId) -> Span {
        self.spans[task.0 as usize]
    }
}
