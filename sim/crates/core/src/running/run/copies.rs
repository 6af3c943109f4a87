//! Which tasks of a step belong together: copies of a pipeline that share none run on clocks of their own.

use std::sync::Arc;

use masim_engine::{Shape, ShapeBuilder, StreamId, TaskId};

use super::steps::CopySteps;
use crate::inputs::topology::GpuIdx;
use crate::plan::Plan;
use crate::running::price::{compute_stream, stream_owner};

/// Tasks of a step that belong together, as disjoint sets.
struct Sets {
    parents: Vec<u32>,
}

impl Sets {
    fn new(n: u32) -> Self {
        Self { parents: (0..n).collect() }
    }

    fn root(&mut self, at: u32) -> u32 {
        let mut root = at;
        while self.parents[root as usize] != root {
            root = self.parents[root as usize];
        }
        let mut at = at;
        while self.parents[at as usize] != root {
            at = std::mem::replace(&mut self.parents[at as usize], root);
        }
        root
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }
}

/// The copies of `plan` in a step of `shape`: one, but for a pipeline whose copies no task joins.
///
/// Barriers at the end of a step, which tell when all copies have their tokens, join nothing: each copy has its own.
pub(super) fn copies_of(
    plan: &Plan,
    shape: Arc<Shape>,
    carries: &[(TaskId, TaskId)],
    done: &[TaskId],
) -> Vec<CopySteps> {
    let apart = match plan {
        Plan::Pipeline(pipeline) if pipeline.copies.len() > 1 => {
            let gpus: Vec<Vec<GpuIdx>> = pipeline
                .copies
                .iter()
                .map(|copy| copy.stages.iter().flat_map(|stage| stage.gpus.iter().copied()).collect())
                .collect();
            split(&shape, carries, done, &gpus)
        }
        Plan::Pipeline(_) | Plan::Routed(_) => None,
    };
    apart.unwrap_or_else(|| {
        let gpus = plan.roles().into_iter().map(|(gpu, _)| gpu).collect();
        vec![CopySteps::new(shape, done.to_vec(), carries.to_vec(), None, gpus)]
    })
}

/// The tasks of each group of GPUs; `None` where two groups have tasks that wait for each other.
fn split(
    shape: &Shape,
    carries: &[(TaskId, TaskId)],
    done: &[TaskId],
    groups: &[Vec<GpuIdx>],
) -> Option<Vec<CopySteps>> {
    let is_end = |task: TaskId| {
        let waited_for = carries.iter().any(|(_, earlier)| *earlier == task);
        let is_free = shape.streams(task).is_empty() && shape.successors(task).is_empty();
        is_free && !waited_for
    };
    let ends: Vec<TaskId> = done.iter().copied().filter(|&task| is_end(task)).collect();
    let is_end = |task: TaskId| ends.contains(&task);
    let n_streams = shape.tasks().flat_map(|task| shape.streams(task)).map(|stream| stream.0 + 1).max()?;
    let n_tasks = shape.n_tasks();
    // Streams are joined with their tasks, so that tasks of one stream belong together.
    let mut sets = Sets::new(n_tasks + n_streams);
    for task in shape.tasks().filter(|&task| !is_end(task)) {
        for before in shape.predecessors(task) {
            sets.join(task.0, before.0);
        }
        for stream in shape.streams(task) {
            sets.join(task.0, n_tasks + stream.0);
        }
    }
    for (later, earlier) in carries {
        sets.join(later.0, earlier.0);
    }
    let roots: Vec<u32> = groups.iter().map(|gpus| sets.root(n_tasks + compute_stream(gpus[0]).0)).collect();
    let mut members = vec![Vec::new(); groups.len()];
    for task in shape.tasks().filter(|&task| !is_end(task)) {
        let root = sets.root(task.0);
        let mut owners = (0..).zip(&roots).filter(|(_, other)| **other == root).map(|(at, _)| at);
        let (owner, other): (Option<usize>, Option<usize>) = (owners.next(), owners.next());
        match (owner, other) {
            (Some(owner), None) => members[owner].push(task),
            // Joined, or of nobody.
            (Some(_), Some(_)) | (None, _) => return None,
        }
    }
    let copies = members.into_iter().zip(groups);
    let own = |(tasks, gpus): (Vec<TaskId>, &Vec<GpuIdx>)| {
        let tasks = tasks.into_iter().chain(ends.iter().copied()).collect();
        part(shape, (carries, done), tasks, gpus.clone())
    };
    Some((0..).zip(copies.map(own)).map(|(position, copy)| copy.at(position)).collect())
}

/// The copy that has `tasks`.
fn part(
    shape: &Shape,
    (carries, done): (&[(TaskId, TaskId)], &[TaskId]),
    tasks: Vec<TaskId>,
    mut gpus: Vec<GpuIdx>,
) -> CopySteps {
    let mut own = vec![None; shape.n_tasks() as usize];
    for (&task, idx) in tasks.iter().zip(0..) {
        own[task.0 as usize] = Some(TaskId(idx));
    }
    let own_of = |task: TaskId| own[task.0 as usize];
    let mut builder = ShapeBuilder::new();
    for &task in &tasks {
        let streams: &[StreamId] = shape.streams(task);
        assert!(streams.iter().all(|&stream| gpus.contains(&stream_owner(stream).0)), "a copy has its GPUs");
        builder.task(streams, &[]);
    }
    for &task in &tasks {
        let after = own_of(task).expect("numbered above");
        for before in shape.predecessors(task).iter().filter_map(|&before| own_of(before)) {
            builder.edge(before, after);
        }
    }
    let shape = builder.build().expect("a part of a shape has no cycle");
    let carries = carries.iter().filter_map(|&(later, earlier)| own_of(later).zip(own_of(earlier)));
    let carries = carries.collect();
    let done = done.iter().filter_map(|&task| own_of(task)).collect();
    gpus.sort_unstable();
    CopySteps::new(Arc::new(shape), done, carries, Some(tasks), gpus)
}
