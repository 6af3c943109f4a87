//! Routes of a cluster as paths of the engine, and how long flows take when nothing else runs.

mod essential;

pub use essential::essential;

use std::collections::BTreeMap;

use masim_engine::{Flow, Hop, LinkId, PathId};
use masim_units::{Bandwidth, Bytes, SimDuration};

use crate::inputs::topology::{Cluster, GpuIdx};

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
    /// What each link carries.
    capacities: Vec<Bandwidth>,
    paths: Vec<Vec<Hop>>,
    /// `[src][dst]`, a row once its sender has sent.
    pairs: Vec<Vec<Option<Wire>>>,
    rings: BTreeMap<Vec<GpuIdx>, Wire>,
    over: BTreeMap<Vec<(GpuIdx, GpuIdx)>, Wire>,
    /// Bytes on each link, all zero between calls of [`Wires::time_alone`].
    scratch: Vec<u64>,
}

impl<'a> Wires<'a> {
    /// No path is in use yet, and every link carries all of its bandwidth.
    pub fn new(cluster: &'a Cluster) -> Self {
        Self::with_capacities(cluster, cluster.links.iter().map(|link| link.bandwidth).collect())
    }

    /// No path is in use yet; each link carries what `capacities` says.
    ///
    /// # Panics
    ///
    /// Unless there is a capacity for each link.
    pub fn with_capacities(cluster: &'a Cluster, capacities: Vec<Bandwidth>) -> Self {
        assert_eq!(capacities.len(), cluster.links.len(), "a capacity for each link");
        let scratch = vec![0; cluster.links.len()];
        Self {
            cluster,
            capacities,
            paths: Vec::new(),
            pairs: vec![Vec::new(); cluster.gpus.len()],
            rings: BTreeMap::new(),
            over: BTreeMap::new(),
            scratch,
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// What each link carries, by [`LinkId`].
    pub fn capacities(&self) -> &[Bandwidth] {
        &self.capacities
    }

    /// All paths so far; position `n` is `PathId(n)`.
    pub fn paths(&self) -> &[Vec<Hop>] {
        &self.paths
    }

    /// From which to which GPU the bytes of each path go, by [`PathId`].
    pub fn steps(&self) -> Vec<Vec<(u32, u32)>> {
        let mut steps = vec![Vec::new(); self.paths.len()];
        for (src, row) in (0..).zip(&self.pairs) {
            for (dst, wire) in (0..).zip(row).filter_map(|(dst, wire)| Some((dst, (*wire)?))) {
                steps[wire.path.0 as usize] = vec![(src, dst)];
            }
        }
        for (gpus, wire) in &self.rings {
            let step = |at: usize| (gpus[at].0, gpus[(at + 1) % gpus.len()].0);
            steps[wire.path.0 as usize] = (0..gpus.len()).map(step).collect();
        }
        for (pairs, wire) in &self.over {
            steps[wire.path.0 as usize] = pairs.iter().map(|(src, dst)| (src.0, dst.0)).collect();
        }
        steps
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

    /// The wires of all `steps` together, each from one GPU to another; its latency is that of the longest.
    pub fn over(&mut self, steps: &[(GpuIdx, GpuIdx)]) -> Wire {
        if let Some(wire) = self.over.get(steps) {
            return *wire;
        }
        let routes = || steps.iter().map(|&(src, dst)| self.cluster.route(src, dst));
        let links: Vec<LinkId> = routes().flat_map(|route| route.links.iter().copied()).collect();
        let latency = routes().map(|route| route.latency).max().expect("there are steps");
        let wire = Wire { path: self.register(&links), latency };
        self.over.insert(steps.to_vec(), wire);
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
    /// together: the longest latency, then the busiest link or the flow with the least cap.
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
                longest = longest.max(time_at(bytes, self.capacities[hop.link.0 as usize]));
            }
            if let Some(cap) = flow.rate_cap {
                longest = longest.max(time_at(flow.bytes, cap));
            }
        }
        let latency = flows.iter().map(|flow| flow.latency).max().unwrap_or(SimDuration::ZERO);
        longest.checked_add(latency).unwrap_or(SimDuration::from_ps(u64::MAX))
    }
}

fn time_at(bytes: Bytes, rate: Bandwidth) -> SimDuration {
    bytes.time_at(rate).unwrap_or(SimDuration::from_ps(u64::MAX))
}

impl Wires<'_> {
    /// The link that `flows` keep busy for longest, and the bytes that cross it; none where nothing crosses a link.
    pub fn busiest(&self, flows: &[Flow]) -> Option<(LinkId, Bytes)> {
        let mut on_link = BTreeMap::<LinkId, u64>::new();
        for flow in flows {
            for hop in &self.paths[flow.path.0 as usize] {
                let bytes = flow.bytes.0.saturating_mul(u64::from(hop.multiplicity));
                let sum = on_link.entry(hop.link).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        let busy = |&(link, bytes): &(LinkId, u64)| {
            (time_at(Bytes(bytes), self.capacities[link.0 as usize]), std::cmp::Reverse(link))
        };
        on_link.into_iter().max_by_key(busy).map(|(link, bytes)| (link, Bytes(bytes)))
    }
}
