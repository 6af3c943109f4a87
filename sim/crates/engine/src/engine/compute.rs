//! Compute on streams whose speed is not the nominal one, or changes while it runs.

use std::sync::Arc;

use masim_units::{SimDuration, SimTime};

use crate::engine::event::{Event, TaskKey};
use crate::engine::run::TaskState;
use crate::engine::{Engine, Stream};
use crate::error::EngineError;
use crate::graph::{Slowdown, StreamId, Work};
use crate::speed::{PARTS, Speed};

/// How far a task has come that does not run at full speed from start to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Picoseconds at full speed times parts per million, at `since`.
    left: u128,
    since: SimTime,
    speed: Speed,
    /// Ends that were scheduled before the last change belong to another generation.
    generation: u32,
}

impl Engine {
    /// Starts a task that takes `time` at full speed.
    pub(super) fn start_compute(&mut self, task: TaskKey, time: SimDuration) -> Result<(), EngineError> {
        let speed = self.speed_of(task);
        if speed == Speed::FULL {
            let end = self.after(time, task)?;
            self.events.push(end, Event::ComputeEnds { task, generation: 0 });
            return Ok(());
        }
        let left = u128::from(time.as_ps()) * u128::from(PARTS);
        self.schedule(task, Progress { left, since: self.now, speed, generation: 1 })
    }

    /// True if an end that was scheduled in `generation` still holds.
    pub(super) fn is_current(&self, task: TaskKey, generation: u32) -> bool {
        generation == self.slowed.get(&task).map_or(0, |progress| progress.generation)
    }

    pub(super) fn set_stream_speed(&mut self, stream: StreamId, speed: Speed) -> Result<(), EngineError> {
        self.streams[stream.0 as usize].speed = speed;
        self.retime_stream(stream)
    }

    /// The transfer `task`, which has just started, takes its shares from the streams that it slows.
    pub(super) fn take_shares(&mut self, task: TaskKey) -> Result<(), EngineError> {
        let works = Arc::clone(&self.run(task.slot).works);
        for &Slowdown { stream, share } in works[task.task as usize].slows() {
            self.streams[stream.0 as usize].taken += u64::from(share.as_ppm());
            self.retime_stream(stream)?;
        }
        Ok(())
    }

    /// The transfer `task`, which has just ended, gives its shares back.
    pub(super) fn return_shares(&mut self, task: TaskKey) -> Result<(), EngineError> {
        let works = Arc::clone(&self.run(task.slot).works);
        let slows = works[task.task as usize].slows();
        self.n_slowing -= u64::from(!slows.is_empty());
        for &Slowdown { stream, share } in slows {
            self.return_share(stream, share)?;
        }
        Ok(())
    }

    pub(super) fn return_share(&mut self, stream: StreamId, share: Speed) -> Result<(), EngineError> {
        self.streams[stream.0 as usize].taken -= u64::from(share.as_ppm());
        self.retime_stream(stream)
    }

    /// Moves the end of what computes on `stream`, whose speed has changed.
    fn retime_stream(&mut self, stream: StreamId) -> Result<(), EngineError> {
        let Some(&task) = self.streams[stream.0 as usize].queue.front() else { return Ok(()) };
        let run = self.run(task.slot);
        let work = &run.works[task.task as usize];
        match (run.states[task.task as usize], work) {
            (TaskState::Running(_), Work::Compute { time }) => {
                let at_full_speed = Progress {
                    left: u128::from(time.as_ps()) * u128::from(PARTS),
                    since: run.spans[task.task as usize].start,
                    speed: Speed::FULL,
                    generation: 0,
                };
                self.retime(task, at_full_speed)
            }
            (TaskState::Waiting(_) | TaskState::Ended, _)
            | (TaskState::Running(_), Work::Transfer { .. } | Work::Delay { .. } | Work::Barrier) => Ok(()),
        }
    }

    /// Moves the end of a running task, which ran `at_full_speed` unless it is known to be slowed.
    fn retime(&mut self, task: TaskKey, at_full_speed: Progress) -> Result<(), EngineError> {
        let before = self.slowed.get(&task).copied().unwrap_or(at_full_speed);
        let speed = self.speed_of(task);
        if speed == before.speed {
            return Ok(());
        }
        let passed = self.now.since(before.since).as_ps();
        let done = u128::from(passed) * u128::from(before.speed.as_ppm());
        let left = before.left.saturating_sub(done);
        self.schedule(task, Progress { left, since: self.now, speed, generation: before.generation + 1 })
    }

    fn schedule(&mut self, task: TaskKey, progress: Progress) -> Result<(), EngineError> {
        self.slowed.insert(task, progress);
        if progress.speed > Speed::ZERO {
            let ps = progress.left.div_ceil(u128::from(progress.speed.as_ppm()));
            let ps = u64::try_from(ps).map_err(|_| self.overflow(task))?;
            let end = self.after(SimDuration::from_ps(ps), task)?;
            self.events.push(end, Event::ComputeEnds { task, generation: progress.generation });
        }
        Ok(())
    }

    /// The speed of the slowest stream of `task`.
    fn speed_of(&self, task: TaskKey) -> Speed {
        let streams = self.run(task.slot).shape.streams(crate::graph::TaskId(task.task));
        let speeds = streams.iter().map(|stream| {
            let Stream { speed, taken, .. } = self.streams[stream.0 as usize];
            speed.without(taken)
        });
        speeds.min().unwrap_or(Speed::FULL)
    }
}
