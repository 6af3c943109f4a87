//! The vertices of a cluster and the directed links between them, while they are put together and after.

use masim_engine::LinkId;
use masim_units::{Bandwidth, SimDuration};
use petgraph::graph::{DiGraph, NodeIndex};

use super::parts::{GpuIdx, Link};

/// Position of a vertex in its cluster, in order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexIdx(pub u32);

/// Kinds of vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VertexKind {
    /// A GPU: an end of routes, never on the way.
    Gpu(GpuIdx),
    /// Joins the GPUs of a machine.
    NvSwitch,
    /// Joins GPUs, NICs and the host bridge of a machine.
    PcieSwitch,
    /// Joins the PCIe switches of a machine and its host memory.
    Host,
    /// The way out of a machine.
    Nic {
        /// Its position in its machine.
        nic_idx: u32,
    },
    /// The one non-blocking switch between machines.
    Fabric,
    /// A switch that NICs are attached to.
    Leaf,
    /// A switch that leaves are attached to.
    Spine,
    /// A switch of the explicit form.
    Switch,
}

/// A vertex: a GPU or something that joins links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// Its name, such as `n0.pcie1`.
    pub name: String,
    /// Kind of the vertex.
    pub kind: VertexKind,
    /// The machine that it is part of; `None` between machines.
    pub node_idx: Option<u32>,
}

/// Properties that all links of one kind have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkSpec<'a> {
    pub(crate) bandwidth: Bandwidth,
    pub(crate) latency: SimDuration,
    pub(crate) source: &'a str,
}

/// A finished cluster's vertices and links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net<'a> {
    pub(crate) graph: &'a DiGraph<Vertex, LinkId>,
    pub(crate) links: &'a [Link],
}

/// Vertices and links of a cluster that is being put together; edge `i` is link `i`.
#[derive(Debug, Default)]
pub(crate) struct GraphBuilder {
    pub(crate) graph: DiGraph<Vertex, LinkId>,
    pub(crate) links: Vec<Link>,
}

impl VertexIdx {
    pub(crate) fn node(self) -> NodeIndex {
        NodeIndex::new(self.0 as usize)
    }

    pub(crate) fn from_node(node: NodeIndex) -> Self {
        Self(u32::try_from(node.index()).expect("petgraph counts in u32"))
    }
}

impl GraphBuilder {
    pub(crate) fn vertex(&mut self, name: String, kind: VertexKind, node_idx: Option<u32>) -> VertexIdx {
        VertexIdx::from_node(self.graph.add_node(Vertex { name, kind, node_idx }))
    }

    /// One link from `src` to `dst`.
    pub(crate) fn link(&mut self, src: VertexIdx, dst: VertexIdx, spec: LinkSpec<'_>) {
        let id = LinkId(u32::try_from(self.links.len()).expect("the number of links was checked"));
        let name = format!("{}->{}", self.graph[src.node()].name, self.graph[dst.node()].name);
        let LinkSpec { bandwidth, latency, source } = spec;
        self.links.push(Link { name, bandwidth, latency, source: source.to_owned() });
        self.graph.add_edge(src.node(), dst.node(), id);
    }

    /// Equal links in both directions.
    pub(crate) fn duplex(&mut self, a: VertexIdx, b: VertexIdx, spec: LinkSpec<'_>) {
        self.link(a, b, spec);
        self.link(b, a, spec);
    }
}
