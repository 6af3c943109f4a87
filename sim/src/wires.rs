//! Routes of a cluster as paths of the engine, and how long flows take when nothing else runs.

mod essential;

pub use essential::essential;

use std::collections::BTreeMap;

use masim_engine::{Flow, Hop, LinkId, PathId};
use masim_units::{Bytes, SimDuration};

use crate::topology::{Cluster, GpuIdx};

/// A registered path and the latency of one pass over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The path.
    pub path: PathId,
    /// Sum of its hop latencies.
    pub latency: SimDuration,
}

/// The paths that a simulation uses, in order of first use.
#[derive(Debug)]
pub struct Wires<'a> {
    cluster: &'a Cluster,
    paths: Vec<Vec<Hop>>,
    /// `[src][dst]`, a row once its sender has sent.
    pairs: Vec<Vec<Option<Wire>>>,
    rings: BTreeMap<Vec<GpuIdx>, Wire>,
    /// Bytes on each link, all zero between calls of [`Wires::time_alone`].
    scratch: Vec<u64>,
}

impl<'a> Wires<'a> {
    /// No path is in use yet.
    pub fn new(cluster: &'a Cluster) -> Self {
        let scratch = vec![0; cluster.links.len()];
        Self {
            cluster,
            paths: Vec::new(),
            pairs: vec![Vec::new(); cluster.gpus.len()],
            rings: BTreeMap::new(),
            scratch,
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// All paths so far; position `n` is `PathId(n)`.
    pub fn paths(&self) -> &[Vec<Hop>] {
        &self.paths
    }

    /// The way from `src` to `dst`, two different GPUs.
    pub fn pair(&mut self, src: GpuIdx, dst: GpuIdx) -> Wire {
        if let Some(Some(wire)) = self.pairs[src.0 as usize].get(dst.0 as usize) {
            return *wire;
        }
        let route = self.cluster.route(src, dst);
        let wire = Wire { path: self.register(&route.links), latency: route.latency };
        let row = &mut self.pairs[src.0 as usize];
        row.resize(self.cluster.gpus.len(), None);
        row[dst.0 as usize] = Some(wire);
        wire
    }

    /// The closed way round `gpus`; its latency is that of the longest of its steps.
    pub fn ring(&mut self, gpus: &[GpuIdx]) -> Wire {
        if let Some(wire) = self.rings.get(gpus) {
            return *wire;
        }
        let steps = || (0..gpus.len()).map(|at| self.cluster.route(gpus[at], gpus[(at + 1) % gpus.len()]));
        let links: Vec<LinkId> = steps().flat_map(|route| route.links.iter().copied()).collect();
        let latency = steps().map(|route| route.latency).max().expect("a ring has members");
        let wire = Wire { path: self.register(&links), latency };
        self.rings.insert(gpus.to_vec(), wire);
        wire
    }

    fn register(&mut self, links: &[LinkId]) -> PathId {
        let mut crossings = BTreeMap::<LinkId, u32>::new();
        for &link in links {
            *crossings.entry(link).or_default() += 1;
        }
        let hops = crossings.into_iter().map(|(link, multiplicity)| Hop { link, multiplicity });
        let path = PathId(u32::try_from(self.paths.len()).expect("fewer than 2^32 paths"));
        self.paths.push(hops.collect());
        path
    }

    /// A lower bound on the time of `flows` that start together and alone, exact where they all end
    /// together: the longest latency, then the busiest link.
    pub fn time_alone(&mut self, flows: &[Flow]) -> SimDuration {
        for flow in flows {
            for hop in &self.paths[flow.path.0 as usize] {
                let bytes = flow.bytes.0.saturating_mul(u64::from(hop.multiplicity));
                let on_link = &mut self.scratch[hop.link.0 as usize];
                *on_link = on_link.saturating_add(bytes);
            }
        }
        let mut longest = SimDuration::ZERO;
        for flow in flows {
            for hop in &self.paths[flow.path.0 as usize] {
                let bytes = Bytes(std::mem::take(&mut self.scratch[hop.link.0 as usize]));
                let bandwidth = self.cluster.links[hop.link.0 as usize].bandwidth;
                longest = longest.max(bytes.time_at(bandwidth).unwrap_or(SimDuration::from_ps(u64::MAX)));
            }
        }
        let latency = flows.iter().map(|flow| flow.latency).max().unwrap_or(SimDuration::ZERO);
        longest.checked_add(latency).unwrap_or(SimDuration::from_ps(u64::MAX))
    }
}
