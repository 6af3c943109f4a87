//! Parts of a cluster.

use std::sync::Arc;

use masim_engine::LinkId;
use masim_units::{Bandwidth, SimDuration};

use super::card::GpuCard;

/// Position of a GPU in its cluster: `node * n_gpus_per_node + gpu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuIdx(pub u32);

/// One GPU of a cluster.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// Name of its vertex, such as `n0.g1`.
    pub name: String,
    /// The machine it sits in.
    pub node_idx: u32,
    /// Its position in that machine.
    pub local_idx: u32,
    /// Card of the GPU.
    pub card: Arc<GpuCard>,
}

/// A directed link.
#[derive(Clone, Debug)]
pub struct Link {
    /// Vertex names joined by an arrow: `n0.g0->n0.pcie0`.
    pub name: String,
    /// Bytes per second in this direction.
    pub bandwidth: Bandwidth,
    /// Time of one byte to cross it.
    pub latency: SimDuration,
    /// Source of the figures.
    pub source: String,
}

/// The way from one GPU to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Links in order of crossing; a link may stand twice (through host memory, say).
    pub links: Vec<LinkId>,
    /// Sum of the latencies.
    pub latency: SimDuration,
}
