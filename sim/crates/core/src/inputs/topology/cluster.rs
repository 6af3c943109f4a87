//! A cluster as a graph of GPUs, switches and directed links.

use std::ops::Range;

use masim_engine::LinkId;
use petgraph::graph::{DiGraph, EdgeIndex};

use super::file::ClusterFile;
use super::graph::{GraphBuilder, Net, Vertex, VertexIdx, VertexKind};
use super::parts::{Gpu, GpuIdx, Link, Route};
use super::routing::{Routes, Routing};

/// A cluster: GPUs, links and routes.
#[derive(Debug)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// All GPUs, by [`GpuIdx`]; those of one machine stand together.
    pub gpus: Vec<Gpu>,
    /// All links, by [`LinkId`].
    pub links: Vec<Link>,
    /// Keys that the sources do not state.
    pub assumed: Vec<String>,
    /// Vertices joined by links; edge `i` is link `i`.
    graph: DiGraph<Vertex, LinkId>,
    routes: Routes,
}

impl Cluster {
    /// Puts the parts together; `gpus` stand machine by machine, and `fabric` has a vertex for each.
    pub(crate) fn assemble(
        file: &ClusterFile,
        gpus: Vec<Gpu>,
        fabric: GraphBuilder,
        rails: Vec<u32>,
        routing: Routing,
    ) -> Self {
        let mut gpu_vertices = vec![None; gpus.len()];
        for node in fabric.graph.node_indices() {
            if let VertexKind::Gpu(gpu) = fabric.graph[node].kind {
                gpu_vertices[gpu.0 as usize] = Some(VertexIdx::from_node(node));
            }
        }
        let gpu_vertices =
            gpu_vertices.into_iter().map(|vertex| vertex.expect("a vertex for every GPU")).collect();
        let routes = Routes::new(routing, gpu_vertices, rails);
        let GraphBuilder { graph, links } = fabric;
        Self { name: file.name.clone(), gpus, links, assumed: file.assumed.clone(), graph, routes }
    }

    /// The GPU at `idx`.
    pub fn gpu(&self, idx: GpuIdx) -> &Gpu {
        &self.gpus[idx.0 as usize]
    }

    /// Number of GPUs.
    pub fn n_gpus(&self) -> u32 {
        u32::try_from(self.gpus.len()).expect("fewer than 2^32 GPUs")
    }

    /// Number of machines.
    pub fn n_nodes(&self) -> u32 {
        self.gpus.last().map_or(0, |gpu| gpu.node_idx + 1)
    }

    /// The GPUs of each machine.
    pub fn nodes(&self) -> impl Iterator<Item = Range<u32>> {
        (0..self.n_nodes()).map(|node_idx| self.node(node_idx))
    }

    /// The GPUs of machine `node_idx`.
    pub fn node(&self, node_idx: u32) -> Range<u32> {
        let first_of = |idx: u32| self.gpus.partition_point(|gpu| gpu.node_idx < idx);
        let idx = |at: usize| u32::try_from(at).expect("fewer than 2^32 GPUs");
        idx(first_of(node_idx))..idx(first_of(node_idx + 1))
    }

    /// The rail of a GPU: the NIC that it prefers, or its position in its machine where there are no NICs.
    pub fn rail_idx(&self, gpu: GpuIdx) -> u32 {
        self.routes.rail(gpu)
    }

    /// The GPU named `name`.
    pub fn gpu_named(&self, name: &str) -> Option<GpuIdx> {
        let at = self.gpus.iter().position(|gpu| gpu.name == name)?;
        Some(GpuIdx(u32::try_from(at).expect("fewer than 2^32 GPUs")))
    }

    /// The link named `name`, such as `n0.g0->n0.pcie0`.
    pub fn link_named(&self, name: &str) -> Option<LinkId> {
        let at = self.links.iter().position(|link| link.name == name)?;
        Some(LinkId(u32::try_from(at).expect("fewer than 2^32 links")))
    }

    /// The link `id`.
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0 as usize]
    }

    /// The way from `src` to `dst`; those from one source are computed when the first is asked for.
    ///
    /// # Panics
    ///
    /// When both are the same GPU.
    pub fn route(&self, src: GpuIdx, dst: GpuIdx) -> &Route {
        self.routes.route(self.net(), &self.gpus, src, dst)
    }

    /// The GPU that forwards what `src` sends to `dst`, where the cluster has relays and one is on the way.
    pub fn relay(&self, src: GpuIdx, dst: GpuIdx) -> Option<GpuIdx> {
        let links = &self.route(src, dst).links;
        let mut between = links.iter().skip(1).map(|&link| self.vertex(self.link_ends(link).0).kind);
        between.find_map(|kind| if let VertexKind::Gpu(gpu) = kind { Some(gpu) } else { None })
    }

    /// The names of the vertices of `route`, ends included.
    pub fn hops(&self, route: &Route) -> Vec<&str> {
        let ends: Vec<_> = route.links.iter().map(|&link| self.link_ends(link)).collect();
        let first = ends.first().map(|&(src, _)| src);
        first
            .into_iter()
            .chain(ends.iter().map(|&(_, dst)| dst))
            .map(|at| self.vertex(at).name.as_str())
            .collect()
    }

    /// All vertices in order of creation, by [`VertexIdx`].
    pub fn vertices(&self) -> impl ExactSizeIterator<Item = (VertexIdx, &Vertex)> {
        self.graph.node_indices().map(|node| (VertexIdx::from_node(node), &self.graph[node]))
    }

    /// The vertex at `idx`.
    pub fn vertex(&self, idx: VertexIdx) -> &Vertex {
        &self.graph[idx.node()]
    }

    /// The vertices to which links lead from or to `vertex`; one that is joined both ways comes twice.
    pub fn neighbors(&self, vertex: VertexIdx) -> impl Iterator<Item = VertexIdx> {
        self.graph.neighbors_undirected(vertex.node()).map(VertexIdx::from_node)
    }

    /// Begin and end of `link`.
    pub fn link_ends(&self, link: LinkId) -> (VertexIdx, VertexIdx) {
        let edge = EdgeIndex::new(link.0 as usize);
        let (src, dst) = self.graph.edge_endpoints(edge).expect("edge i is link i");
        (VertexIdx::from_node(src), VertexIdx::from_node(dst))
    }

    fn net(&self) -> Net<'_> {
        Net { graph: &self.graph, links: &self.links }
    }

    /// The GPUs that one of them reaches (itself first) and those that it does not, if there are such.
    pub(crate) fn halves(&self) -> Option<(Vec<GpuIdx>, Vec<GpuIdx>)> {
        self.routes.halves(self.net())
    }
}
