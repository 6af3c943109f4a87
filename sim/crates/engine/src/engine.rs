//! The engine: decides when each task of the submitted graphs starts and ends.

mod compute;
mod event;
mod run;
mod submit;
mod task;

use std::collections::{BTreeMap, VecDeque};

use masim_units::{Bandwidth, SimDuration, SimTime};

use crate::engine::compute::Progress;
use crate::engine::event::{Event, EventQueue, TaskKey};
use crate::engine::run::Run;
use crate::error::EngineError;
use crate::flows::PathId;
use crate::graph::{Graph, GraphId, Hop, LinkId, StreamId, TaskRef};
use crate::network::Network;
use crate::speed::Speed;
use crate::trace::{Span, Trace};

/// What tasks and flows share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Streams are numbered from zero.
    pub n_streams: u32,
    /// The nominal bandwidth of each link, in order of their numbers.
    pub links: Vec<Bandwidth>,
}

/// When an engine gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks that are submitted and not finished.
    pub n_tasks: u64,
    /// Events since the start: ends of tasks, latencies and flows.
    pub n_events: u64,
}

impl Limits {
    /// Never.
    pub const NONE: Self = Self { n_tasks: u64::MAX, n_events: u64::MAX };
}

/// One thing that has a speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A stream: its compute follows the speed.
    Stream(StreamId),
    /// A link: its capacity is the nominal bandwidth times the speed.
    Link(LinkId),
}

/// Why [`Engine::advance`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pause {
    /// A graph has finished at this instant and has left the engine.
    Finished {
        /// The graph.
        graph: GraphId,
        /// When its tasks ran.
        trace: Trace,
    },
    /// Everything until the wanted instant has happened; without such an instant, nothing is left to do.
    Reached,
    /// Tasks run that will never end unless a speed changes.
    Stalled {
        /// The running tasks, ordered by graph and task.
        waiting: Vec<TaskRef>,
    },
}

/// What a graph had done when it was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The graph.
    pub graph: GraphId,
    /// When its tasks ran; `None` for a task that had not ended.
    pub spans: Vec<Option<Span>>,
}

/// Runs graphs of tasks over streams and links.
///
/// The caller submits graphs, changes speeds, and lets time pass with [`Engine::advance`]. After an error
/// the engine's state is of no use.
#[derive(Debug)]
pub struct Engine {
    now: SimTime,
    limits: Limits,
    streams: Vec<Stream>,
    network: Network,
    n_paths: u32,
    /// The graphs in the engine; a slot is used again when its graph has left.
    runs: Vec<Option<Run>>,
    free_slots: Vec<u32>,
    slots: BTreeMap<GraphId, u32>,
    n_submitted: u64,
    n_tasks: u64,
    n_events: u64,
    events: EventQueue,
    /// Tasks that start at this instant, and the ends that let them.
    ready: VecDeque<(TaskKey, Option<TaskRef>)>,
    finished: VecDeque<Trace>,
    slowed: BTreeMap<TaskKey, Progress>,
    /// Transfers under way that slow streams; mostly none, and then no end needs to ask.
    n_slowing: u64,
    /// Kept to save its allocation.
    ended_flows: Vec<u64>,
}

/// An in-order queue of tasks; the first is the one that may run.
#[derive(Debug)]
struct Stream {
    queue: VecDeque<TaskKey>,
    /// As it was set.
    speed: Speed,
    /// Parts per million that transfers under way take from it.
    taken: u64,
}

impl Engine {
    /// An engine at time zero with nothing to do.
    ///
    /// # Panics
    ///
    /// When a bandwidth reaches 2^48 B/s (281 TB/s).
    pub fn new(resources: Resources, limits: Limits) -> Self {
        let Resources { n_streams, links } = resources;
        Self {
            now: SimTime::ZERO,
            limits,
            streams: (0..n_streams)
                .map(|_| Stream { queue: VecDeque::new(), speed: Speed::FULL, taken: 0 })
                .collect(),
            network: Network::new(&links),
            n_paths: 0,
            runs: Vec::new(),
            free_slots: Vec::new(),
            slots: BTreeMap::new(),
            n_submitted: 0,
            n_tasks: 0,
            n_events: 0,
            events: EventQueue::default(),
            ready: VecDeque::new(),
            finished: VecDeque::new(),
            slowed: BTreeMap::new(),
            n_slowing: 0,
            ended_flows: Vec::new(),
        }
    }

    /// The current instant.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Registers a path for flows; identifiers count from zero in order of registration.
    ///
    /// # Panics
    ///
    /// When a link does not exist or a multiplicity is zero.
    pub fn add_path(&mut self, hops: &[Hop]) -> PathId {
        self.n_paths += 1;
        self.network.add_path(hops)
    }

    /// Notices ends of flows at multiples of `grain` only: faster where very many flows differ a little, and
    /// late by less than that.
    ///
    /// # Panics
    ///
    /// When `grain` is zero or flows are under way.
    pub fn coalesce(&mut self, grain: SimDuration) {
        self.network.coalesce(grain);
    }

    /// Makes a resource faster or slower from now on.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimeOverflow`] names a running task that would now end beyond 213 days.
    ///
    /// # Panics
    ///
    /// When the resource does not exist.
    pub fn set_speed(&mut self, resource: Resource, speed: Speed) -> Result<(), EngineError> {
        match resource {
            Resource::Stream(stream) => self.set_stream_speed(stream, speed),
            Resource::Link(link) => {
                self.network.set_link_speed(self.now, link, speed);
                Ok(())
            }
        }
    }

    /// Lets time pass until a graph finishes, `until` is reached with all that happens at it, or nothing
    /// can happen any more.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimeOverflow`] names the task; [`EngineError::TooManyEvents`].
    ///
    /// # Panics
    ///
    /// When `until` is in the past.
    pub fn advance(&mut self, until: Option<SimTime>) -> Result<Pause, EngineError> {
        assert!(until.is_none_or(|until| self.now <= until), "{until:?} is before now, {:?}", self.now);
        loop {
            self.start_ready()?;
            if let Some(trace) = self.finished.pop_front() {
                return Ok(Pause::Finished { graph: trace.graph, trace });
            }
            // What happens at this instant comes before the rates are solved for it.
            if self.first_event().is_some_and(|(at, _)| at == self.now) {
                self.handle_event()?;
                continue;
            }
            let Some(next) = self.next_instant(until)? else {
                let Some(until) = until else { return Ok(self.at_rest()) };
                self.now = until;
                return Ok(Pause::Reached);
            };
            assert!(self.now <= next, "time runs forward: {next:?} < {:?}", self.now);
            self.now = next;
            self.end_flows()?;
        }
    }

    /// The time of the next event or end of a flow, if there is one not after `until`.
    fn next_instant(&mut self, until: Option<SimTime>) -> Result<Option<SimTime>, EngineError> {
        let event = self.first_event().map(|(at, _)| at);
        let flow_end = match self.network.next_end() {
            Ok(end) => end,
            Err(beyond) if event.is_none() && until.is_none() => {
                return Err(self.overflow(TaskKey::from_tag(beyond.tag)));
            }
            Err(_) => None,
        };
        let next = event.into_iter().chain(flow_end).min();
        Ok(next.filter(|&next| until.is_none_or(|until| next <= until)))
    }

    /// The first event that still holds.
    fn first_event(&mut self) -> Option<(SimTime, Event)> {
        loop {
            let (at, event) = self.events.first()?;
            match event {
                Event::ComputeEnds { task, generation } if !self.is_current(task, generation) => {
                    self.events.pop();
                }
                Event::ComputeEnds { .. } | Event::DelayEnds { .. } | Event::FlowStarts { .. } => {
                    return Some((at, event));
                }
            }
        }
    }

    /// Nothing will happen by itself.
    fn at_rest(&self) -> Pause {
        if self.slots.is_empty() {
            return Pause::Reached;
        }
        let of_slot = |&slot: &u32| {
            let run = self.run(slot);
            run.running().map(|task| run.task_ref(task))
        };
        Pause::Stalled { waiting: self.slots.values().flat_map(of_slot).collect() }
    }

    fn count_event(&mut self) -> Result<(), EngineError> {
        self.n_events += 1;
        let limit = self.limits.n_events;
        if self.n_events > limit { Err(EngineError::TooManyEvents { limit }) } else { Ok(()) }
    }

    /// The instant `time` from now.
    fn after(&self, time: SimDuration, task: TaskKey) -> Result<SimTime, EngineError> {
        self.now.checked_add(time).ok_or_else(|| self.overflow(task))
    }

    fn overflow(&self, task: TaskKey) -> EngineError {
        EngineError::TimeOverflow { task: self.run(task.slot).task_ref(task.task) }
    }

    fn run(&self, slot: u32) -> &Run {
        self.runs[slot as usize].as_ref().expect("the graph is in the engine")
    }

    fn run_mut(&mut self, slot: u32) -> &mut Run {
        self.runs[slot as usize].as_mut().expect("the graph is in the engine")
    }
}

/// Runs one graph from time zero to its end; `paths` are numbered in order.
///
/// # Errors
///
/// [`EngineError::TimeOverflow`] names the task that would end beyond 213 days.
pub fn run_graph(resources: Resources, paths: &[Vec<Hop>], graph: Graph) -> Result<Trace, EngineError> {
    let mut engine = Engine::new(resources, Limits::NONE);
    for path in paths {
        engine.add_path(path);
    }
    engine.submit(graph)?;
    match engine.advance(None)? {
        Pause::Finished { trace, .. } => Ok(trace),
        Pause::Reached | Pause::Stalled { .. } => panic!("a graph at full speed finishes"),
    }
}
