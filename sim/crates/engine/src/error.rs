//! What can go wrong while an engine runs.

use crate::graph::TaskRef;

/// Why an engine cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A task would end after the last instant that can be represented.
    #[error("task {} of graph {} ends after 213 simulated days, the longest time that can be simulated", task.task.0, task.graph.0)]
    TimeOverflow {
        /// The task.
        task: TaskRef,
    },
    /// More tasks are submitted and not finished than the limits allow.
    #[error("{n_tasks} tasks are submitted and not finished, but the limit is {limit}")]
    TooManyTasks {
        /// With the graph that was refused.
        n_tasks: u64,
        /// The limit.
        limit: u64,
    },
    /// More events have happened than the limits allow.
    #[error("the simulation is not over after {limit} events, which is its limit")]
    TooManyEvents {
        /// The limit.
        limit: u64,
    },
}
