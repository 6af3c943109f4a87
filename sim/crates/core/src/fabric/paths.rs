//! Routes of a cluster as paths of the engine, and how long flows take when nothing else runs.

use std::collections::BTreeMap;

use masim_engine::{Flow, Hop, LinkId, PathId};
use masim_units::{Bandwidth, Bytes, SimDuration};

use crate::inputs::topology::{Cluster, GpuIdx};

/// A registered path and the latency of one pass over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FabricPath {
    /// The path.
    pub path: PathId,
    /// Sum of its hop latencies.
    pub latency: SimDuration,
}

/// The paths that are in use, in order of first use.
#[derive(Debug)]
pub(super) struct Paths {
    hops: Vec<Vec<Hop>>,
    /// `[src][dst]`, a row once its sender has sent.
    pairs: Vec<Vec<Option<FabricPath>>>,
    rings: BTreeMap<Vec<GpuIdx>, FabricPath>,
    over: BTreeMap<Vec<(GpuIdx, GpuIdx)>, FabricPath>,
    /// Bytes on each link, all zero between calls of [`Paths::time_alone`].
    scratch: Vec<u64>,
}

impl Paths {
    /// No path is in use yet.
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self {
            hops: Vec::new(),
            pairs: vec![Vec::new(); cluster.gpus.len()],
            rings: BTreeMap::new(),
            over: BTreeMap::new(),
            scratch: vec![0; cluster.links.len()],
        }
    }

    pub(super) fn hops(&self) -> &[Vec<Hop>] {
        &self.hops
    }

    pub(super) fn steps(&self) -> Vec<Vec<(u32, u32)>> {
        let mut steps = vec![Vec::new(); self.hops.len()];
        for (src, row) in (0..).zip(&self.pairs) {
            for (dst, path) in (0..).zip(row).filter_map(|(dst, path)| Some((dst, (*path)?))) {
                steps[path.path.0 as usize] = vec![(src, dst)];
            }
        }
        for (gpus, path) in &self.rings {
            let step = |at: usize| (gpus[at].0, gpus[(at + 1) % gpus.len()].0);
            steps[path.path.0 as usize] = (0..gpus.len()).map(step).collect();
        }
        for (pairs, path) in &self.over {
            steps[path.path.0 as usize] = pairs.iter().map(|(src, dst)| (src.0, dst.0)).collect();
        }
        steps
    }

    pub(super) fn pair(&mut self, cluster: &Cluster, src: GpuIdx, dst: GpuIdx) -> FabricPath {
        if let Some(Some(path)) = self.pairs[src.0 as usize].get(dst.0 as usize) {
            return *path;
        }
        let route = cluster.route(src, dst);
        let path = FabricPath { path: self.register(&route.links), latency: route.latency };
        let row = &mut self.pairs[src.0 as usize];
        row.resize(cluster.gpus.len(), None);
        row[dst.0 as usize] = Some(path);
        path
    }

    pub(super) fn ring(&mut self, cluster: &Cluster, gpus: &[GpuIdx]) -> FabricPath {
        if let Some(path) = self.rings.get(gpus) {
            return *path;
        }
        let steps: Vec<_> = (0..gpus.len()).map(|at| (gpus[at], gpus[(at + 1) % gpus.len()])).collect();
        let path = self.register_steps(cluster, &steps);
        self.rings.insert(gpus.to_vec(), path);
        path
    }

    pub(super) fn over(&mut self, cluster: &Cluster, steps: &[(GpuIdx, GpuIdx)]) -> FabricPath {
        if let Some(path) = self.over.get(steps) {
            return *path;
        }
        let path = self.register_steps(cluster, steps);
        self.over.insert(steps.to_vec(), path);
        path
    }

    fn register_steps(&mut self, cluster: &Cluster, steps: &[(GpuIdx, GpuIdx)]) -> FabricPath {
        let routes = || steps.iter().map(|&(src, dst)| cluster.route(src, dst));
        let links: Vec<LinkId> = routes().flat_map(|route| route.links.iter().copied()).collect();
        let latency = routes().map(|route| route.latency).max().expect("there are steps");
        FabricPath { path: self.register(&links), latency }
    }

    fn register(&mut self, links: &[LinkId]) -> PathId {
        let mut crossings = BTreeMap::<LinkId, u32>::new();
        for &link in links {
            *crossings.entry(link).or_default() += 1;
        }
        let hops = crossings.into_iter().map(|(link, multiplicity)| Hop { link, multiplicity });
        let path = PathId(u32::try_from(self.hops.len()).expect("fewer than 2^32 paths"));
        self.hops.push(hops.collect());
        path
    }

    pub(super) fn time_alone(&mut self, flows: &[Flow], rates: &[Bandwidth]) -> SimDuration {
        for flow in flows {
            for hop in &self.hops[flow.path.0 as usize] {
                let bytes = flow.bytes.0.saturating_mul(u64::from(hop.multiplicity));
                let on_link = &mut self.scratch[hop.link.0 as usize];
                *on_link = on_link.saturating_add(bytes);
            }
        }
        let mut longest = SimDuration::ZERO;
        for flow in flows {
            for hop in &self.hops[flow.path.0 as usize] {
                let bytes = Bytes(std::mem::take(&mut self.scratch[hop.link.0 as usize]));
                longest = longest.max(time_at(bytes, rates[hop.link.0 as usize]));
            }
            if let Some(cap) = flow.rate_cap {
                longest = longest.max(time_at(flow.bytes, cap));
            }
        }
        let latency = flows.iter().map(|flow| flow.latency).max().unwrap_or(SimDuration::ZERO);
        longest.checked_add(latency).unwrap_or(SimDuration::from_ps(u64::MAX))
    }

    pub(super) fn busiest(&self, flows: &[Flow], rates: &[Bandwidth]) -> Option<(LinkId, Bytes)> {
        let mut on_link = BTreeMap::<LinkId, u64>::new();
        for flow in flows {
            for hop in &self.hops[flow.path.0 as usize] {
                let bytes = flow.bytes.0.saturating_mul(u64::from(hop.multiplicity));
                let sum = on_link.entry(hop.link).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        let busy = |&(link, bytes): &(LinkId, u64)| {
            (time_at(Bytes(bytes), rates[link.0 as usize]), std::cmp::Reverse(link))
        };
        on_link.into_iter().max_by_key(busy).map(|(link, bytes)| (link, Bytes(bytes)))
    }
}

fn time_at(bytes: Bytes, rate: Bandwidth) -> SimDuration {
    bytes.time_at(rate).unwrap_or(SimDuration::from_ps(u64::MAX))
}
