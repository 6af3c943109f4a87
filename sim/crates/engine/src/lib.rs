//! Runs a graph of tasks over streams, shared links and barriers and returns a trace.
//!
//! The engine decides *when*. It has no word for what the tasks mean.
//!
//! - A task starts when its predecessors have ended and it is at the head of each of its streams.
//! - Streams run in submission order, even if a later task is ready first.
//! - Flows share links max-min fairly.
//! - Time is whole picoseconds; events at one instant are handled in order of insertion.
#![forbid(unsafe_code)]

mod engine;
mod error;
mod flows;
mod graph;
mod network;
mod speed;
mod trace;

#[cfg(test)]
mod tests;

pub use engine::{Cancelled, Engine, Limits, Pause, Resource, Resources, run_graph};
pub use error::EngineError;
pub use flows::{Flow, Flows, PathId};
pub use graph::{
    Graph, GraphId, Hop, LinkId, Shape, ShapeBuilder, ShapeError, Slowdown, StreamId, TaskId, TaskRef, Work,
};
pub use network::{EndBeyondTime, Limit, LinkLoad, Network};
pub use speed::Speed;
pub use trace::{Span, Trace};
