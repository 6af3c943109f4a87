//! Times of NCCL alone: a model whose parameters belong to links, protocols and the launch.
//!
//! No parameter belongs to an operation or to a number of GPUs, so that what was fitted behind NVSwitch says
//! something about a board whose GPUs are joined in pairs.

mod choice;
mod collective;
mod grouped;
mod pairs;
mod params;
mod shape;
mod tables;
#[cfg(test)]
mod tests;

pub use choice::{Choice, choose, choose_among};
pub use collective::{collective_time, grouped_protocol, n_channels, n_channels_max, way_time};
pub use grouped::{GroupedSends, grouped_sends_time};
pub use pairs::pairs_time;
pub use params::{NcclParams, PairsParams};
pub use tables::NcclVersion;

/// Algorithm: the way of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Shards go round.
    Ring,
    /// Two binary trees over the nodes, each for one half; a chain inside each node.
    Tree,
}

/// Protocol: the way in which a receiver learns that data is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A flag beside every 4 bytes: short way, half the rate.
    LowLatency,
    /// A flag beside every 120 bytes, where stores of 128 stay together (NVLink).
    LowLatency128,
    /// A flag for a whole slice.
    Simple,
}

impl Path {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Tree => "tree",
        }
    }
}

impl Protocol {
    /// All of them, in the order in which NCCL tries them.
    pub const ALL: [Self; 3] = [Self::LowLatency, Self::LowLatency128, Self::Simple];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LowLatency => "ll",
            Self::LowLatency128 => "ll128",
            Self::Simple => "simple",
        }
    }

    /// Bytes on the wire for `bytes` of data, flags included.
    pub const fn on_wire(self, bytes: u64) -> u64 {
        match self {
            Self::LowLatency => bytes.saturating_mul(2),
            Self::LowLatency128 => bytes.saturating_add(bytes.div_ceil(15)),
            Self::Simple => bytes,
        }
    }
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
    /// The part of `wire_us` that bytes take at the rate of the protocol; the rest is latency.
    pub transfer_us: f64,
}

impl TimeAlone {
    /// Both parts.
    pub fn total_us(&self) -> f64 {
        self.launch_us + self.wire_us
    }
}
