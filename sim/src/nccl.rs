//! How long NCCL takes alone: a model whose parameters belong to links, protocols and the launch.
//!
//! No parameter belongs to an operation or to a number of GPUs, so that what was fitted behind NVSwitch says
//! something about a board whose GPUs are joined in pairs.

mod choice;
mod collective;
mod pairs;
mod params;
mod shape;
mod tables;
#[cfg(test)]
mod tests;

pub use choice::{Choice, choose};
pub use collective::collective_time;
pub use pairs::pairs_time;
pub use params::{NcclParams, PairsParams};
pub use tables::NcclVersion;

/// How data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Shards go round.
    Ring,
    /// Two binary trees over the nodes, each for one half; a chain inside each node.
    Tree,
}

/// How a receiver learns that data is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A flag beside every 4 bytes: short way, half the rate.
    LowLatency,
    /// A flag beside every 120 bytes, where stores of 128 stay together (NVLink).
    LowLatency128,
    /// A flag for a whole slice.
    Simple,
}

/// A time alone, in two parts, because a host can launch ahead while wires cannot.
///
/// # Units
///
/// Microseconds, as measurement sets and profiles have them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeAlone {
    /// From the call until data moves.
    pub launch_us: f64,
    /// Data on its way.
    pub wire_us: f64,
}

impl TimeAlone {
    /// Both parts.
    pub fn total_us(&self) -> f64 {
        self.launch_us + self.wire_us
    }
}
