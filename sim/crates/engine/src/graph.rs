//! What is to be done and in which order: tasks, the streams they occupy, and the edges between them.

use std::sync::Arc;

use masim_units::SimDuration;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::flows::Flows;
use crate::speed::Speed;

/// An in-order queue of tasks; one of them runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// A shared resource that flows cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// Position of a task in its graph, in order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

/// A graph that was submitted to an engine, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GraphId(pub u64);

/// A task of any submitted graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskRef {
    /// The graph it belongs to.
    pub graph: GraphId,
    /// Its position there.
    pub task: TaskId,
}

/// One link of a path and how often each byte crosses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The link.
    pub link: LinkId,
    /// Crossings per byte; at least 1.
    pub multiplicity: u32,
}

/// What a task does once it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Takes this long at stream speed 1.
    Compute {
        /// Duration at speed 1.
        time: SimDuration,
    },
    /// Ends when the last of its flows has ended.
    Transfer {
        /// At least one.
        flows: Flows,
        /// Streams whose compute is slower from its start to its end.
        slows: Vec<Slowdown>,
    },
    /// Takes this long whatever the speed of its streams.
    Delay {
        /// The duration.
        time: SimDuration,
    },
    /// Ends when it starts.
    Barrier,
}

/// What a transfer takes from the compute of a stream while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowdown {
    /// The stream.
    pub stream: StreamId,
    /// The share of its speed; the shares of several transfers add up, to all of it at most.
    pub share: Speed,
}

impl Work {
    /// A transfer that slows no stream.
    pub fn transfer(flows: impl Into<Flows>) -> Self {
        Self::Transfer { flows: flows.into(), slows: Vec::new() }
    }

    /// What it takes from streams while it runs.
    pub(crate) fn slows(&self) -> &[Slowdown] {
        match self {
            Self::Transfer { slows, .. } => slows,
            Self::Compute { .. } | Self::Delay { .. } | Self::Barrier => &[],
        }
    }
}

/// The tasks of a graph, their streams and their edges: acyclic, checked once, shared by many graphs.
#[derive(Clone, Debug)]
pub struct Shape {
    streams: Csr<StreamId>,
    predecessors: Csr<TaskId>,
    successors: Csr<TaskId>,
}

/// A shape, what its tasks do, and what they wait for in earlier graphs.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Tasks, streams and edges.
    pub shape: Arc<Shape>,
    /// One for each task of the shape.
    pub works: Arc<Vec<Work>>,
    /// Tasks that also wait for tasks of earlier graphs, finished or not.
    pub after: Vec<(TaskId, TaskRef)>,
}

/// Why a graph has no order of execution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Edges and stream order together form a cycle.
    #[error("task {} waits for itself: edges and stream order form a cycle", task.0)]
    Cycle {
        /// A task on the cycle.
        task: TaskId,
    },
}

/// Lists of different lengths in two flat arrays (compressed sparse rows).
#[derive(Clone, Debug)]
struct Csr<T> {
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy> Csr<T> {
    fn empty() -> Self {
        Self { starts: vec![0], items: Vec::new() }
    }

    fn push_row(&mut self, row: &[T]) {
        self.items.extend_from_slice(row);
        self.starts.push(u32::try_from(self.items.len()).expect("fewer than 2^32 edges in a graph"));
    }

    /// Each item of a row once, in order.
    fn deduplicated(&self) -> Self
    where
        T: Ord,
    {
        let mut all = Self::empty();
        let mut row = Vec::new();
        for idx in 0..self.n_rows() {
            row.clear();
            row.extend_from_slice(self.row(idx));
            row.sort_unstable();
            row.dedup();
            all.push_row(&row);
        }
        all
    }

    fn row(&self, idx: u32) -> &[T] {
        let idx = idx as usize;
        &self.items[self.starts[idx] as usize..self.starts[idx + 1] as usize]
    }

    fn n_rows(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).expect("fewer than 2^32 tasks in a graph")
    }
}

/// Collects tasks and edges until [`ShapeBuilder::build`] checks them.
#[derive(Debug)]
pub struct ShapeBuilder {
    streams: Csr<StreamId>,
    edges: Vec<(TaskId, TaskId)>,
}

impl Default for ShapeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ShapeBuilder {
    /// No tasks yet.
    pub fn new() -> Self {
        Self { streams: Csr::empty(), edges: Vec::new() }
    }

    /// Appends a task that occupies `streams` and starts after `predecessors`.
    ///
    /// Tasks run on each stream in the order in which they are appended.
    pub fn task(&mut self, streams: &[StreamId], predecessors: &[TaskId]) -> TaskId {
        let task = TaskId(self.streams.n_rows());
        self.streams.push_row(streams);
        self.edges.extend(predecessors.iter().map(|&before| (before, task)));
        task
    }

    /// `after` starts only when `before` has ended.
    pub fn edge(&mut self, before: TaskId, after: TaskId) {
        self.edges.push((before, after));
    }

    /// Tasks appended so far.
    pub fn n_tasks(&self) -> u32 {
        self.streams.n_rows()
    }

    /// Checks that edges and stream order leave an order of execution.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Cycle`] names a task that waits for itself.
    ///
    /// # Panics
    ///
    /// When an edge names a task that was never appended.
    pub fn build(self) -> Result<Shape, ShapeError> {
        let n = self.streams.n_rows();
        let Self { streams, edges } = self;
        assert!(edges.iter().all(|(a, b)| a.0 < n && b.0 < n), "an edge names a task of this graph");
        let predecessors = rows(n, edges.iter().map(|&(before, after)| (after, before))).deduplicated();
        let of_row = |task| predecessors.row(task).iter().map(move |&before| (before, TaskId(task)));
        // Made in the order of the tasks that follow, so that each row is in order too.
        let successors = rows(n, (0..n).flat_map(of_row));
        let shape = Shape { streams, predecessors, successors };
        shape.check_acyclic()?;
        Ok(shape)
    }
}

/// Rows of `n` tasks from pairs of a row and an item, which stay in their order within the row.
fn rows(n: u32, pairs: impl Iterator<Item = (TaskId, TaskId)> + Clone) -> Csr<TaskId> {
    let mut starts = vec![0; n as usize + 1];
    let mut n_items = 0_u32;
    for (row, _) in pairs.clone() {
        starts[row.0 as usize + 1] += 1;
        n_items = n_items.checked_add(1).expect("fewer than 2^32 edges in a graph");
    }
    for row in 0..n as usize {
        starts[row + 1] += starts[row];
    }
    let mut next = starts.clone();
    let mut items = vec![TaskId(0); n_items as usize];
    for (row, item) in pairs {
        let at = &mut next[row.0 as usize];
        items[*at as usize] = item;
        *at += 1;
    }
    Csr { starts, items }
}

impl Shape {
    /// How many tasks there are.
    pub fn n_tasks(&self) -> u32 {
        self.streams.n_rows()
    }

    /// All tasks in order of creation.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        (0..self.n_tasks()).map(TaskId)
    }

    /// The streams that `task` occupies.
    pub fn streams(&self, task: TaskId) -> &[StreamId] {
        self.streams.row(task.0)
    }

    /// The tasks that must end before `task` starts, stream order not included.
    pub fn predecessors(&self, task: TaskId) -> &[TaskId] {
        self.predecessors.row(task.0)
    }

    /// The tasks that wait for `task`, stream order not included.
    pub fn successors(&self, task: TaskId) -> &[TaskId] {
        self.successors.row(task.0)
    }

    /// Edges that run forward in order of creation cannot form a cycle, and stream order always runs
    /// forward; only a backward edge makes the full check necessary.
    fn check_acyclic(&self) -> Result<(), ShapeError> {
        let edges = || {
            let before = |task| self.predecessors(task).iter().map(move |&before| (before, task));
            self.tasks().flat_map(before)
        };
        if edges().all(|(before, after)| before < after) {
            return Ok(());
        }
        let n_edges = self.predecessors.items.len();
        let mut graph = DiGraph::<(), (), u32>::with_capacity(self.n_tasks() as usize, n_edges);
        for _ in self.tasks() {
            graph.add_node(());
        }
        for (before, after) in edges().chain(self.stream_order()) {
            graph.add_edge(NodeIndex::new(before.0 as usize), NodeIndex::new(after.0 as usize), ());
        }
        toposort(&graph, None).map(|_| ()).map_err(|cycle| ShapeError::Cycle {
            task: TaskId(u32::try_from(cycle.node_id().index()).expect("made from a u32 above")),
        })
    }

    /// The implied edges: each task and the next one on a stream that they share.
    fn stream_order(&self) -> impl Iterator<Item = (TaskId, TaskId)> {
        let mut last = std::collections::BTreeMap::<StreamId, TaskId>::new();
        self.tasks().flat_map(move |task| {
            let streams = self.streams(task).iter();
            let before: Vec<_> = streams.filter_map(|&stream| last.insert(stream, task)).collect();
            before.into_iter().map(move |before| (before, task))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_order_counts_when_cycles_are_looked_for() {
        // b is behind a on stream 0, yet a waits for b.
        let mut builder = ShapeBuilder::new();
        let a = builder.task(&[StreamId(0)], &[]);
        let b = builder.task(&[StreamId(0)], &[]);
        builder.edge(b, a);
        assert!(matches!(builder.build(), Err(ShapeError::Cycle { .. })));
    }

    #[test]
    fn a_backward_edge_without_a_cycle_is_fine() {
        let mut builder = ShapeBuilder::new();
        let a = builder.task(&[StreamId(0)], &[]);
        let b = builder.task(&[StreamId(1)], &[]);
        builder.edge(b, a);
        let shape = builder.build().unwrap();
        assert_eq!(shape.predecessors(a), [b]);
        assert_eq!(shape.successors(b), [a]);
    }
}
