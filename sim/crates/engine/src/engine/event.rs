//! What will happen, ordered by (time, insertion number).

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use masim_units::SimTime;

/// A task of a graph that is in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskKey {
    /// Where the engine keeps the graph.
    pub(super) slot: u32,
    /// The task's position in its graph.
    pub(super) task: u32,
}

/// Something that happens at a known time. Ends of flows are known to the network alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The task has computed, unless its speed changed since: then its generation is another.
    ComputeEnds { task: TaskKey, generation: u32 },
    /// The task's time is over.
    DelayEnds { task: TaskKey },
    /// The latency of one of the task's flows is over.
    FlowStarts { task: TaskKey, flow_idx: u32 },
}

impl Event {
    /// The task that it is about.
    pub(super) fn task(self) -> TaskKey {
        match self {
            Self::ComputeEnds { task, .. } | Self::DelayEnds { task } | Self::FlowStarts { task, .. } => task,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: SimTime,
    insertion: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.insertion).cmp(&(other.at, other.insertion))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Pending events, the earliest first.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    heap: BinaryHeap<Reverse<Entry>>,
    n_inserted: u64,
}

impl EventQueue {
    pub(super) fn push(&mut self, at: SimTime, event: Event) {
        self.heap.push(Reverse(Entry { at, insertion: self.n_inserted, event }));
        self.n_inserted += 1;
    }

    pub(super) fn first(&self) -> Option<(SimTime, Event)> {
        self.heap.peek().map(|Reverse(entry)| (entry.at, entry.event))
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.heap.pop().map(|Reverse(entry)| entry.event)
    }

    /// Forgets the events of the graph in `slot`.
    pub(super) fn forget(&mut self, slot: u32) {
        self.heap.retain(|Reverse(entry)| entry.event.task().slot != slot);
    }
}
