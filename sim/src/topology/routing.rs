//! Which way data takes from one GPU to another.
//!
//! In the regular form a route is a chain of legs, each the shortest path between two given vertices:
//! inside a machine it stays on the scale-up links; between machines it leaves by the sender's
//! preferred NIC and enters by the receiver's (rail affinity), through the host memory of both where
//! NICs cannot reach GPU memory. Rails that no spine joins are the exception: there a route leaves by
//! the sender's NIC on the receiver's rail, across the host bridge; and where GPUs relay, data for another rail
//! goes over the scale-up links to the GPU on that rail and leaves by its NIC. In the explicit form a route is the
//! shortest path. Otherwise a GPU is never on the way.

use std::cell::OnceCell;
use std::sync::OnceLock;

use masim_engine::LinkId;
use masim_units::SimDuration;

use super::graph::{Net, Vertex, VertexIdx, VertexKind};
use super::parts::{Gpu, GpuIdx, Route};
use super::paths::ShortestPaths;

/// The vertices by which a machine is left and entered.
#[derive(Debug, Default)]
pub(crate) struct NodeExits {
    pub(crate) host: Option<VertexIdx>,
    pub(crate) nics: Vec<VertexIdx>,
}

/// How routes are made up.
#[derive(Debug)]
pub(crate) enum Routing {
    /// Legs by way of NICs and, perhaps, host memory.
    Regular {
        /// One for each machine.
        exits: Vec<NodeExits>,
        /// Whether data between machines goes through the host memory of both.
        through_host: bool,
        /// Whether the NIC of the receiver's rail is used on both sides.
        leave_by_rail_of_receiver: bool,
        /// Whether data for another rail goes by way of the GPU on that rail.
        relays: bool,
    },
    /// The shortest path that crosses no GPU.
    Explicit,
}

/// Routes of a cluster, computed for all destinations of a source when first asked for.
#[derive(Debug)]
pub(crate) struct Routes {
    routing: Routing,
    gpu_vertices: Vec<VertexIdx>,
    rails: Vec<u32>,
    /// From the NIC by which a GPU is entered to the GPU.
    entries: Vec<OnceLock<Vec<LinkId>>>,
    by_source: Vec<OnceLock<Vec<Route>>>,
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
        let routes = self.by_source[src.0 as usize].get_or_init(|| self.all_from(net, gpus, src));
        &routes[dst.0 as usize]
    }

    /// Routes from `src` to every GPU; the one to itself is empty.
    fn all_from(&self, net: Net<'_>, gpus: &[Gpu], src: GpuIdx) -> Vec<Route> {
        let links = match &self.routing {
            Routing::Explicit => self.explicit(net, src),
            Routing::Regular { exits, .. } => self.regular(net, gpus, exits, src),
        };
        links
            .into_iter()
            .map(|links| {
                let latency =
                    links.iter().map(|link| net.links[link.0 as usize].latency).sum::<SimDuration>();
                Route { links, latency }
            })
            .collect()
    }

    fn explicit(&self, net: Net<'_>, src: GpuIdx) -> Vec<Vec<LinkId>> {
        let paths = legs(net, self.vertex(src), |vertex| !matches!(vertex.kind, VertexKind::Gpu(_)));
        let to = |dst: u32| paths.path_to(self.vertex(GpuIdx(dst)).node(), dst).expect("found when loaded");
        (0..self.n_gpus()).map(|dst| if dst == src.0 { Vec::new() } else { to(dst) }).collect()
    }

    fn regular(&self, net: Net<'_>, gpus: &[Gpu], exits: &[NodeExits], src: GpuIdx) -> Vec<Vec<LinkId>> {
        let home = gpus[src.0 as usize].node_idx;
        let inside = legs(net, self.vertex(src), |vertex| vertex.kind == VertexKind::NvSwitch);
        let exit = &exits[home as usize];
        let relays: Vec<_> = (0..exit.nics.len()).map(|rail| self.relay(gpus, src, rail)).collect();
        // Only the NICs by which something leaves: all but rails without spines use one.
        let outside: Vec<_> = exit.nics.iter().map(|_| OnceCell::new()).collect();
        let ways_out: Vec<_> = exit.nics.iter().map(|&nic| self.leg_to_nic(net, src, exit, nic)).collect();
        (0..self.n_gpus())
            .map(|dst| {
                let there = gpus[dst as usize].node_idx;
                let dst = GpuIdx(dst);
                if dst == src {
                    return Vec::new();
                }
                if there == home {
                    return inside.path_to(self.vertex(dst).node(), dst.0).expect("scale-up joins a machine");
                }
                let nic = self.nic_out(src, dst) as usize;
                let entered = exits[there as usize].nics[self.rail(dst) as usize];
                let from_nic = outside[nic].get_or_init(|| legs(net, exit.nics[nic], is_between_machines));
                let between = from_nic.path_to(entered.node(), dst.0).expect("the fabric joins all NICs");
                let entry = self.entry(net, &exits[there as usize], dst);
                let Some(relay) = relays[nic] else {
                    return [&ways_out[nic][..], &between[..], entry].concat();
                };
                let to_relay =
                    inside.path_to(self.vertex(relay).node(), relay.0).expect("scale-up joins a machine");
                let by_relay = self.leg_to_nic(net, relay, exit, exit.nics[nic]);
                [&to_relay[..], &by_relay[..], &between[..], entry].concat()
            })
            .collect()
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

    /// From `src` to a NIC of its machine.
    fn leg_to_nic(&self, net: Net<'_>, src: GpuIdx, exit: &NodeExits, nic: VertexIdx) -> Vec<LinkId> {
        self.pcie_leg(net, self.vertex(src), exit.host, nic)
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
