//! How a task starts, and what its end sets off.

use masim_units::Bytes;

use crate::engine::Engine;
use crate::engine::event::{Event, TaskKey};
use crate::engine::run::{Run, TaskState, count};
use crate::error::EngineError;
use crate::flows::Flow;
use crate::graph::{TaskId, TaskRef, Work};

impl TaskKey {
    /// The task as the network names it.
    fn tag(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.task)
    }

    /// The task that the network names.
    pub(super) fn from_tag(tag: u64) -> Self {
        let half = |n: u64| u32::try_from(n).expect("half of a tag");
        Self { slot: half(tag >> 32), task: half(tag & u64::from(u32::MAX)) }
    }
}

impl Engine {
    /// Starts the tasks that can start now, and those that can when tasks without duration end at once.
    pub(super) fn start_ready(&mut self) -> Result<(), EngineError> {
        while let Some((task, cause)) = self.ready.pop_front() {
            self.start(task, cause)?;
        }
        Ok(())
    }

    /// Handles the first event, which is due now.
    pub(super) fn handle_event(&mut self) -> Result<(), EngineError> {
        match self.events.pop().expect("an event is due") {
            Event::ComputeEnds { task, .. } | Event::DelayEnds { task } => self.end(task),
            Event::FlowStarts { task, flow_idx } => {
                self.count_event()?;
                let Work::Transfer { flows, .. } = &self.run(task.slot).works[task.task as usize] else {
                    panic!("only a transfer has flows");
                };
                let flow = flows[flow_idx as usize];
                self.start_flow(task, flow)
            }
        }
    }

    /// Ends the flows that the network has served by now.
    pub(super) fn end_flows(&mut self) -> Result<(), EngineError> {
        let mut ended = std::mem::take(&mut self.ended_flows);
        self.network.pop_ended(self.now, &mut ended);
        for tag in ended.drain(..) {
            self.count_event()?;
            self.end_flow(TaskKey::from_tag(tag))?;
        }
        self.ended_flows = ended;
        Ok(())
    }

    fn start(&mut self, key: TaskKey, cause: Option<TaskRef>) -> Result<(), EngineError> {
        let now = self.now;
        let idx = key.task as usize;
        let run = self.run_mut(key.slot);
        run.spans[idx].start = now;
        run.spans[idx].cause = cause;
        run.states[idx] = TaskState::Running(0);
        match &run.works[idx] {
            &Work::Compute { time } if time.as_ps() > 0 => self.start_compute(key, time),
            &Work::Delay { time } if time.as_ps() > 0 => {
                let end = self.after(time, key)?;
                self.events.push(end, Event::DelayEnds { task: key });
                Ok(())
            }
            Work::Barrier | Work::Compute { .. } | Work::Delay { .. } => self.end(key),
            Work::Transfer { flows, slows } => {
                let (n_flows, slows_streams) = (flows.len(), !slows.is_empty());
                assert!(n_flows > 0, "task {} has a flow to transfer", key.task);
                run.states[idx] = TaskState::Running(count(n_flows));
                if slows_streams {
                    self.n_slowing += 1;
                    self.take_shares(key)?;
                }
                self.start_transfer(key, n_flows)
            }
        }
    }

    fn start_transfer(&mut self, task: TaskKey, n_flows: usize) -> Result<(), EngineError> {
        for flow_idx in 0..n_flows {
            let Work::Transfer { flows, .. } = &self.run(task.slot).works[task.task as usize] else {
                panic!("a transfer has flows");
            };
            let flow = flows[flow_idx];
            assert!(flow.path.0 < self.n_paths, "path {} of task {} is registered", flow.path.0, task.task);
            if flow.latency.as_ps() == 0 {
                self.start_flow(task, flow)?;
            } else {
                let at = self.after(flow.latency, task)?;
                self.events.push(at, Event::FlowStarts { task, flow_idx: count(flow_idx) });
            }
        }
        Ok(())
    }

    /// The latency of `flow` is over.
    fn start_flow(&mut self, task: TaskKey, flow: Flow) -> Result<(), EngineError> {
        if flow.bytes == Bytes::ZERO {
            return self.end_flow(task);
        }
        self.network.start(self.now, flow.path, flow.bytes, flow.rate_cap, task.tag());
        Ok(())
    }

    /// One flow of `task` has ended.
    fn end_flow(&mut self, task: TaskKey) -> Result<(), EngineError> {
        let TaskState::Running(n_flows) = &mut self.run_mut(task.slot).states[task.task as usize] else {
            panic!("a flow belongs to a running task");
        };
        *n_flows -= 1;
        if *n_flows == 0 { self.end(task) } else { Ok(()) }
    }

    fn end(&mut self, key: TaskKey) -> Result<(), EngineError> {
        self.count_event()?;
        if !self.slowed.is_empty() {
            self.slowed.remove(&key);
        }
        if self.n_slowing > 0 {
            self.return_shares(key)?;
        }
        let Self { now, runs, ready, .. } = self;
        let run = runs[key.slot as usize].as_mut().expect("the graph is in the engine");
        run.spans[key.task as usize].end = *now;
        run.states[key.task as usize] = TaskState::Ended;
        run.n_left -= 1;
        let cause = Some(run.task_ref(key.task));
        let Run { shape, states, .. } = run;
        for successor in shape.successors(TaskId(key.task)) {
            let TaskState::Waiting(n) = &mut states[successor.0 as usize] else {
                panic!("a task starts after its predecessors");
            };
            *n -= 1;
            if *n == 0 {
                ready.push_back((TaskKey { slot: key.slot, task: successor.0 }, cause));
            }
        }
        let dependents = if run.dependents.is_empty() { None } else { run.dependents.remove(&key.task) };
        for dependent in dependents.into_iter().flatten() {
            self.release(dependent, cause);
        }
        self.leave_streams(key, cause);
        if self.run(key.slot).n_left == 0 {
            self.finish(key.slot);
        }
        Ok(())
    }

    /// Lets the next task of each of the task's streams come to the head.
    fn leave_streams(&mut self, key: TaskKey, cause: Option<TaskRef>) {
        for idx in 0..self.run(key.slot).shape.streams(TaskId(key.task)).len() {
            let stream = self.run(key.slot).shape.streams(TaskId(key.task))[idx];
            let queue = &mut self.streams[stream.0 as usize].queue;
            // A task that names a stream twice has left it already.
            if queue.front() == Some(&key) {
                queue.pop_front();
                if let Some(&next) = queue.front() {
                    self.release(next, cause);
                }
            }
        }
    }

    /// `key` waits for one thing less.
    pub(super) fn release(&mut self, key: TaskKey, cause: Option<TaskRef>) {
        if self.run_mut(key.slot).release(key.task) {
            self.ready.push_back((key, cause));
        }
    }
}
