//! Which way data takes from one GPU to another.
//!
//! In the regular form a route is a chain of legs, each the shortest path between two given vertices:
//! inside a machine it stays on the scale-up links; between machines it leaves by the sender's
//! preferred NIC and enters by the receiver's (rail affinity), through the host memory of both where
//! NICs cannot reach GPU memory. Rails that no spine joins are the exception: there a route leaves by
//! the sender's NIC on the receiver's rail, across the host bridge; and where GPUs relay, data for another rail
//! goes over the scale-up links to the GPU on that rail and leaves by its NIC. In the explicit form a route is the
//! shortest path. Otherwise a GPU is never on the way.

use std::sync::OnceLock;

use masim_engine::LinkId;
use masim_units::SimDuration;

use super::graph::{Net, Vertex, VertexIdx, VertexKind};
use super::parts::{Gpu, GpuIdx, Route};
use super::paths::{Cost, ShortestPaths};

/// The vertices by which a machine is left and entered.
#[derive(Debug, Default)]
pub(crate) struct NodeExits {
    pub(crate) host: Option<VertexIdx>,
    pub(crate) nics: Vec<VertexIdx>,
}

/// Rule by which routes are made.
#[derive(Debug)]
pub(crate) enum Routing {
    /// Legs by way of NICs and, perhaps, host memory.
    Regular {
        /// One for each machine.
        exits: Vec<NodeExits>,
        /// True if data between machines goes through the host memory of both.
        through_host: bool,
        /// True if the NIC of the receiver's rail is used on both sides.
        leave_by_rail_of_receiver: bool,
        /// True if data for another rail goes over the GPU on that rail.
        relays: bool,
    },
    /// The shortest path that crosses no GPU.
    Explicit,
}

/// Routes of a cluster, each computed when first asked for.
#[derive(Debug)]
pub(crate) struct Routes {
    routing: Routing,
    gpu_vertices: Vec<VertexIdx>,
    rails: Vec<u32>,
    /// From the NIC by which a GPU is entered to the GPU.
    entries: Vec<OnceLock<Vec<LinkId>>>,
    by_source: Vec<OnceLock<Source>>,
}

/// Known routes from one GPU.
#[derive(Debug)]
struct Source {
    /// Costs from each NIC of its machine, or, in the explicit form, from the GPU.
    costs: Vec<OnceLock<Vec<Cost>>>,
    /// From the GPU to each NIC of its machine, by way of a relay where it needs one.
    ways_out: Vec<OnceLock<Vec<LinkId>>>,
    /// By destination.
    routes: Vec<OnceLock<Route>>,
}

impl Routes {
    pub(crate) fn new(routing: Routing, gpu_vertices: Vec<VertexIdx>, rails: Vec<u32>) -> Self {
        let n = gpu_vertices.len();
        let entries = (0..n).map(|_| OnceLock::new()).collect();
        let by_source = (0..n).map(|_| OnceLock::new()).collect();
        Self { routing, gpu_vertices, rails, entries, by_source }
    }

    pub(crate) fn rail(&self, gpu: GpuIdx) -> u32 {
        self.rails[gpu.0 as usize]
    }

    pub(crate) fn vertex(&self, gpu: GpuIdx) -> VertexIdx {
        self.gpu_vertices[gpu.0 as usize]
    }

    /// The way from `src` to `dst`, which the cluster's check found to exist.
    pub(crate) fn route<'a>(&'a self, net: Net<'_>, gpus: &[Gpu], src: GpuIdx, dst: GpuIdx) -> &'a Route {
        assert!(src != dst, "a route joins two different GPUs, not GPU {} to itself", src.0);
        let source = self.by_source[src.0 as usize].get_or_init(|| self.source(gpus, src));
        source.routes[dst.0 as usize].get_or_init(|| {
            let links = match &self.routing {
                Routing::Explicit => self.explicit(net, source, src, dst),
                Routing::Regular { exits, .. } => self.regular(net, (gpus, exits), source, (src, dst)),
            };
            let latency = links.iter().map(|link| net.links[link.0 as usize].latency).sum::<SimDuration>();
            Route { links, latency }
        })
    }

    /// Nothing is known yet of the routes from `src`.
    fn source(&self, gpus: &[Gpu], src: GpuIdx) -> Source {
        let n_starts = match &self.routing {
            Routing::Explicit => 1,
            Routing::Regular { exits, .. } => exits[gpus[src.0 as usize].node_idx as usize].nics.len(),
        };
        Source {
            costs: (0..n_starts).map(|_| OnceLock::new()).collect(),
            ways_out: (0..n_starts).map(|_| OnceLock::new()).collect(),
            routes: (0..self.n_gpus()).map(|_| OnceLock::new()).collect(),
        }
    }

    fn explicit(&self, net: Net<'_>, source: &Source, src: GpuIdx, dst: GpuIdx) -> Vec<LinkId> {
        let may_cross = |vertex: &Vertex| !matches!(vertex.kind, VertexKind::Gpu(_));
        let start = self.vertex(src);
        let costs = source.costs[0].get_or_init(|| legs(net, start, may_cross).into_costs());
        let paths = legs_again(net, start, may_cross, costs);
        paths.path_to(self.vertex(dst).node(), dst.0).expect("found when loaded")
    }

    fn regular(
        &self,
        net: Net<'_>,
        (gpus, exits): (&[Gpu], &[NodeExits]),
        source: &Source,
        (src, dst): (GpuIdx, GpuIdx),
    ) -> Vec<LinkId> {
        let [home, there] = [src, dst].map(|gpu| gpus[gpu.0 as usize].node_idx as usize);
        if there == home {
            let inside = legs(net, self.vertex(src), |vertex| vertex.kind == VertexKind::NvSwitch);
            return inside.path_to(self.vertex(dst).node(), dst.0).expect("scale-up joins a machine");
        }
        let nic_idx = self.nic_out(src, dst) as usize;
        let nic = exits[home].nics[nic_idx];
        let costs = source.costs[nic_idx].get_or_init(|| legs(net, nic, is_between_machines).into_costs());
        let entered = exits[there].nics[self.rail(dst) as usize];
        let between = legs_again(net, nic, is_between_machines, costs)
            .path_to(entered.node(), dst.0)
            .expect("the fabric joins all NICs");
        let way_out = source.ways_out[nic_idx].get_or_init(|| {
            let host = exits[home].host;
            let Some(relay) = self.relay(gpus, src, nic_idx) else {
                return self.pcie_leg(net, self.vertex(src), host, nic);
            };
            let inside = legs(net, self.vertex(src), |vertex| vertex.kind == VertexKind::NvSwitch);
            let relay_vertex = self.vertex(relay);
            let to_relay = inside.path_to(relay_vertex.node(), relay.0).expect("scale-up joins a machine");
            [to_relay, self.pcie_leg(net, relay_vertex, host, nic)].concat()
        });
        let entry = self.entry(net, &exits[there], dst);
        [&way_out[..], &between[..], entry].concat()
    }

    /// The NIC by which data from `src` to `dst` leaves.
    fn nic_out(&self, src: GpuIdx, dst: GpuIdx) -> u32 {
        match self.routing {
            Routing::Regular { leave_by_rail_of_receiver: true, .. }
            | Routing::Regular { relays: true, .. } => self.rail(dst),
            Routing::Regular { .. } | Routing::Explicit => self.rail(src),
        }
    }

    /// The GPU by way of which data from `src` leaves on `rail`; none where that is its own, or nobody relays.
    fn relay(&self, gpus: &[Gpu], src: GpuIdx, rail: usize) -> Option<GpuIdx> {
        let Routing::Regular { relays: true, .. } = self.routing else { return None };
        if self.rail(src) as usize == rail {
            return None;
        }
        let home = gpus[src.0 as usize].node_idx;
        let first = gpus.partition_point(|gpu| gpu.node_idx < home);
        let node = (0u32..).zip(gpus).skip(first).take_while(|(_, gpu)| gpu.node_idx == home);
        node.map(|(idx, _)| GpuIdx(idx)).find(|&gpu| self.rail(gpu) as usize == rail)
    }

    /// From the NIC by which `dst` is entered to `dst`.
    fn entry<'a>(&'a self, net: Net<'_>, exit: &NodeExits, dst: GpuIdx) -> &'a [LinkId] {
        self.entries[dst.0 as usize].get_or_init(|| {
            let nic = exit.nics[self.rail(dst) as usize];
            self.pcie_leg(net, nic, exit.host, self.vertex(dst))
        })
    }

    /// Between a GPU and a NIC of one machine, either way; by way of host memory where it must.
    fn pcie_leg(&self, net: Net<'_>, from: VertexIdx, host: Option<VertexIdx>, to: VertexIdx) -> Vec<LinkId> {
        let leg = |from, to: VertexIdx| {
            let is_pcie = |vertex: &Vertex| matches!(vertex.kind, VertexKind::PcieSwitch | VertexKind::Host);
            legs(net, from, is_pcie).path_to(to.node(), to.0).expect("the host bridge joins a machine")
        };
        match (&self.routing, host) {
            (Routing::Regular { through_host: true, .. }, Some(host)) => {
                [leg(from, host), leg(host, to)].concat()
            }
            _ => leg(from, to),
        }
    }

    fn n_gpus(&self) -> u32 {
        u32::try_from(self.gpu_vertices.len()).expect("checked when loaded")
    }

    /// The first GPU that cannot reach all others, what it reaches (itself first), and what it does not.
    pub(crate) fn halves(&self, net: Net<'_>) -> Option<(Vec<GpuIdx>, Vec<GpuIdx>)> {
        match self.routing {
            Routing::Regular { .. } => None,
            Routing::Explicit => (0..self.n_gpus()).map(GpuIdx).find_map(|src| {
                let paths = legs(net, self.vertex(src), |vertex| !matches!(vertex.kind, VertexKind::Gpu(_)));
                let others = (0..self.n_gpus()).map(GpuIdx).filter(|&gpu| gpu != src);
                let (mut reached, missed): (Vec<_>, Vec<_>) =
                    others.partition(|&gpu| paths.reaches(self.vertex(gpu).node()));
                reached.insert(0, src);
                (!missed.is_empty()).then_some((reached, missed))
            }),
        }
    }
}

fn is_between_machines(vertex: &Vertex) -> bool {
    matches!(vertex.kind, VertexKind::Fabric | VertexKind::Leaf | VertexKind::Spine)
}

/// Shortest paths from `start` through vertices that `may_cross`.
fn legs<C: Fn(&Vertex) -> bool>(
    net: Net<'_>,
    start: VertexIdx,
    may_cross: C,
) -> ShortestPaths<'_, Vertex, impl Fn(LinkId) -> u64, C> {
    let latency_ps = move |link: LinkId| net.links[link.0 as usize].latency.as_ps();
    ShortestPaths::from(net.graph, latency_ps, start.node(), may_cross)
}

/// The same paths, from costs that were found before.
fn legs_again<'a, C: Fn(&Vertex) -> bool>(
    net: Net<'a>,
    start: VertexIdx,
    may_cross: C,
    costs: &'a [Cost],
) -> ShortestPaths<'a, Vertex, impl Fn(LinkId) -> u64, C> {
    let latency_ps = move |link: LinkId| net.links[link.0 as usize].latency.as_ps();
    ShortestPaths::again(net.graph, latency_ps, start.node(), may_cross, costs)
}
