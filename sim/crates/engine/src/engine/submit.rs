//! How graphs enter and leave the engine.

use crate::engine::event::TaskKey;
use crate::engine::run::{Run, TaskState};
use crate::engine::{Cancelled, Engine};
use crate::error::EngineError;
use crate::graph::{Graph, GraphId, Slowdown, TaskId, TaskRef};

impl Engine {
    /// Adds a graph at the current instant; its tasks stand behind those of earlier graphs on each stream.
    ///
    /// A task may wait for tasks of earlier graphs. What has ended, been cancelled, or belongs to a graph
    /// that has left the engine is not waited for, and is no cause of a start.
    ///
    /// # Errors
    ///
    /// [`EngineError::TooManyTasks`]; the graph is not added then.
    ///
    /// # Panics
    ///
    /// When works and shape differ in length, or the graph names a stream, a path, or an earlier task that
    /// does not exist.
    #[expect(clippy::needless_pass_by_value, reason = "a graph belongs to the engine that runs it")]
    pub fn submit(&mut self, graph: Graph) -> Result<GraphId, EngineError> {
        let n_tasks = self.n_tasks + u64::from(graph.shape.n_tasks());
        if n_tasks > self.limits.n_tasks {
            return Err(EngineError::TooManyTasks { n_tasks, limit: self.limits.n_tasks });
        }
        let id = GraphId(self.n_submitted);
        self.n_submitted += 1;
        self.n_tasks = n_tasks;
        let slot = self.occupy_slot(Run::new(id, &graph));
        for &(task, after) in &graph.after {
            self.wait_for(TaskKey { slot, task: task.0 }, after);
        }
        for task in graph.shape.tasks() {
            self.enter_streams(TaskKey { slot, task: task.0 });
        }
        for (&state, task) in self.runs[slot as usize].iter().flat_map(|run| run.states.iter().zip(0..)) {
            if state == TaskState::Waiting(0) {
                self.ready.push_back((TaskKey { slot, task }, None));
            }
        }
        if graph.shape.n_tasks() == 0 {
            self.finish(slot);
        }
        Ok(id)
    }

    /// Takes a graph out of the engine now; `None` if it has finished or was cancelled before.
    ///
    /// Its running tasks stop, its streams go to the tasks behind, and tasks of other graphs no longer
    /// wait for it.
    ///
    /// # Panics
    ///
    /// When there never was such a graph.
    pub fn cancel(&mut self, graph: GraphId) -> Option<Cancelled> {
        assert!(graph.0 < self.n_submitted, "graph {} was submitted", graph.0);
        let slot = self.slots.remove(&graph)?;
        self.events.forget(slot);
        self.network.cancel(self.now, |tag| TaskKey::from_tag(tag).slot == slot);
        self.ready.retain(|(task, _)| task.slot != slot);
        self.slowed.retain(|task, _| task.slot != slot);
        let mut run = self.runs[slot as usize].take().expect("the graph is in the engine");
        self.free_slots.push(slot);
        self.n_tasks -= u64::from(run.shape.n_tasks());
        for stream in 0..self.streams.len() {
            let queue = &mut self.streams[stream].queue;
            let head = queue.front().copied();
            queue.retain(|task| task.slot != slot);
            if let Some(&next) = queue.front().filter(|&&next| Some(next) != head) {
                self.release(next, None);
            }
        }
        self.return_shares_of(&run);
        for dependents in self.runs.iter_mut().flatten() {
            for waiting in dependents.dependents.values_mut() {
                waiting.retain(|task| task.slot != slot);
            }
        }
        for dependent in std::mem::take(&mut run.dependents).into_values().flatten() {
            self.release(dependent, None);
        }
        let ended = |(&span, &state)| (state == TaskState::Ended).then_some(span);
        Some(Cancelled { graph, spans: run.spans.iter().zip(&run.states).map(ended).collect() })
    }

    /// Running transfers of a cancelled graph give back what they took from streams.
    fn return_shares_of(&mut self, run: &Run) {
        for task in run.running() {
            let slows = run.works[task as usize].slows();
            self.n_slowing -= u64::from(!slows.is_empty());
            for &Slowdown { stream, share } in slows {
                // What would now end beyond all time has no end: `advance` reports that it waits.
                drop(self.return_share(stream, share));
            }
        }
    }

    /// All tasks of the graph in `slot` have ended.
    pub(super) fn finish(&mut self, slot: u32) {
        let run = self.runs[slot as usize].take().expect("the graph is in the engine");
        self.slots.remove(&run.id);
        self.free_slots.push(slot);
        self.n_tasks -= u64::from(run.shape.n_tasks());
        self.finished.push_back(run.into_trace());
    }

    fn occupy_slot(&mut self, run: Run) -> u32 {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.runs.push(None);
            u32::try_from(self.runs.len() - 1).expect("fewer than 2^32 graphs at once")
        });
        self.slots.insert(run.id, slot);
        self.runs[slot as usize] = Some(run);
        slot
    }

    /// `task` starts only when `after` has ended.
    fn wait_for(&mut self, task: TaskKey, after: TaskRef) {
        let waiting = self.run_mut(task.slot);
        assert!(task.task < waiting.shape.n_tasks(), "task {} exists", task.task);
        assert!(after.graph < waiting.id, "a graph waits for earlier graphs only: {after:?}");
        let Some(&slot) = self.slots.get(&after.graph) else { return };
        let before = self.run_mut(slot);
        let TaskId(idx) = after.task;
        assert!(idx < before.shape.n_tasks(), "the task waited for exists: {after:?}");
        if before.states[idx as usize] != TaskState::Ended {
            before.dependents.entry(idx).or_default().push(task);
            self.run_mut(task.slot).hold(task.task);
        }
    }

    fn enter_streams(&mut self, key: TaskKey) {
        let Self { runs, streams, .. } = self;
        let run = runs[key.slot as usize].as_mut().expect("the graph is in the engine");
        for idx in 0..run.shape.streams(TaskId(key.task)).len() {
            let stream = run.shape.streams(TaskId(key.task))[idx];
            let queue = &mut streams[stream.0 as usize].queue;
            if queue.back() == Some(&key) {
                continue; // The task names the stream twice.
            }
            if !queue.is_empty() {
                run.hold(key.task);
            }
            queue.push_back(key);
        }
    }
}
