//! Where the flows of a case can go: the links of a cluster, or of a graph that the case brings along.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use masim_engine::LinkId;
use masim_units::{Bandwidth, Bytes, PS_PER_SEC, SimDuration};
use petgraph::graph::{DiGraph, NodeIndex};

use super::file::{EndFile, FlowFile, GraphFile};
use super::flow::CaseFlow;
use super::line::Line;
use crate::fabric::nominal_rates;
use crate::inputs::topology::paths::ShortestPaths;
use crate::inputs::topology::{BANDWIDTH_MAX, Cluster, GpuIdx};

/// The latest start and the longest way: a quarter of what simulated time can hold.
const PS_MAX: f64 = 4.6e18;

/// Directed links, and how routes over them are found.
pub(super) struct CaseLinks<'a> {
    rates: Vec<Bandwidth>,
    /// In picoseconds, not rounded: a route is rounded once.
    latencies_ps: Vec<f64>,
    /// Names of the vertices that each link joins.
    ends: Vec<(&'a str, &'a str)>,
    /// What sends and receives: the GPUs of a cluster, or the vertices of a graph.
    names: Vec<&'a str>,
    by_name: BTreeMap<&'a str, u32>,
    routing: Routing<'a>,
    /// Routes over a graph by source, from when the first is asked for.
    found: RefCell<BTreeMap<u32, Vec<Option<Vec<LinkId>>>>>,
}

enum Routing<'a> {
    /// The cluster's own.
    Cluster(&'a Cluster),
    /// Shortest paths; hosts forward only where there is no other way.
    Graph(DiGraph<IsHost, LinkId>),
}

/// True if a vertex sends and receives.
struct IsHost(bool);

impl<'a> CaseLinks<'a> {
    pub(super) fn of_cluster(cluster: &'a Cluster) -> Self {
        let name = |vertex| cluster.vertex(vertex).name.as_str();
        let names: Vec<_> = cluster.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
        let ids = (0..).map(LinkId).take(cluster.links.len());
        Self {
            rates: nominal_rates(cluster),
            latencies_ps: cluster.links.iter().map(|link| link.latency.as_ps() as f64).collect(),
            ends: ids.map(|id| cluster.link_ends(id)).map(|(src, dst)| (name(src), name(dst))).collect(),
            by_name: names.iter().copied().zip(0..).collect(),
            names,
            routing: Routing::Cluster(cluster),
            found: RefCell::default(),
        }
    }

    /// The links of `file`; what is wrong with them goes to `line`.
    pub(super) fn of_graph(file: &'a GraphFile, line: &mut Line<'_>) -> Self {
        let hosts: BTreeSet<&str> = file.hosts.iter().map(String::as_str).collect();
        let mut graph = DiGraph::new();
        let mut nodes = BTreeMap::new();
        for name in &file.nodes {
            let node = graph.add_node(IsHost(hosts.contains(name.as_str())));
            if nodes.insert(name.as_str(), node).is_some() {
                line.add("topology.nodes", format_args!("names `{name}` twice"));
            }
        }
        for host in hosts.iter().filter(|&host| !nodes.contains_key(host)) {
            line.add("topology.hosts", format_args!("`{host}` is not one of `nodes`"));
        }
        let (mut rates, mut latencies_ps, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (link, idx) in file.links.iter().zip(0..) {
            let key = format!("topology.links[{idx}]");
            if link.id != idx {
                line.add(&key, format_args!("`id` is {}; identifiers count from 0 in order", link.id));
            }
            let mut end = |name: &str| {
                let node = nodes.get(name);
                if node.is_none() {
                    line.add(&key, format_args!("`{name}` is not one of `nodes`"));
                }
                node.copied()
            };
            if let (Some(src), Some(dst)) = (end(&link.src), end(&link.dst)) {
                graph.add_edge(src, dst, LinkId(idx));
            }
            ends.push((link.src.as_str(), link.dst.as_str()));
            match whole(link.bw, BANDWIDTH_MAX as f64).and_then(Bandwidth::new) {
                Some(rate) => rates.push(rate),
                None => line.add(
                    &key,
                    format_args!(
                        "`bw` is {}; expected 1 to {:e} bytes per second",
                        link.bw, BANDWIDTH_MAX as f64
                    ),
                ),
            }
            latencies_ps.push(link.lat * PS_PER_SEC as f64);
            if whole(link.lat * PS_PER_SEC as f64, PS_MAX).is_none() {
                line.add(&key, format_args!("`lat` is {}; expected seconds, at least 0", link.lat));
            }
        }
        Self {
            rates,
            latencies_ps,
            ends,
            names: file.nodes.iter().map(String::as_str).collect(),
            by_name: file.nodes.iter().map(String::as_str).zip(0..).collect(),
            routing: Routing::Graph(graph),
            found: RefCell::default(),
        }
    }

    /// Rates and names of the links, and names of what sends and receives.
    pub(super) fn into_parts(self) -> (Vec<Bandwidth>, Vec<String>, Vec<String>) {
        let links = self.ends.iter().map(|(src, dst)| format!("{src}->{dst}")).collect();
        (self.rates, links, self.names.into_iter().map(str::to_owned).collect())
    }

    /// What `file`, the flow at `idx`, means.
    pub(super) fn flow(&self, idx: usize, file: &FlowFile, line: &mut Line<'_>) -> Option<CaseFlow> {
        let key = format!("flows[{idx}]");
        if file.id as usize != idx {
            line.add(&key, format_args!("`id` is {}; identifiers count from 0 in order", file.id));
        }
        let start = SimDuration::from_ns(file.start_ns).filter(|start| start.as_ps() as f64 <= PS_MAX);
        if start.is_none() {
            line.add(&key, format_args!("`start_ns` is {}; expected at most 53 days", file.start_ns));
        }
        let src = self.end(&file.src, &key, line);
        let dst = self.end(&file.dst, &key, line);
        let (src, dst) = (src?, dst?);
        let (from, to) = (self.names[src as usize], self.names[dst as usize]);
        if src == dst {
            line.add(&key, format_args!("goes from `{from}` to itself"));
            return None;
        }
        let route = match &file.route {
            Some(route) => self.given(route, (from, to), &key, line)?,
            None => self.routed(src, dst).or_else(|| {
                line.add(&key, format_args!("there is no way from `{from}` to `{to}`"));
                None
            })?,
        };
        let ps: f64 = route.iter().map(|link| self.latencies_ps[link.0 as usize]).sum();
        let latency = whole(ps, PS_MAX).map(SimDuration::from_ps);
        if latency.is_none() {
            line.add(&key, "the latencies of its `route` add up to more than 53 days");
        }
        Some(CaseFlow { src, dst, start: start?, latency: latency?, bytes: Bytes(file.bytes), route })
    }

    /// The position of what the file names, if it exists.
    fn end(&self, end: &EndFile, key: &str, line: &mut Line<'_>) -> Option<u32> {
        let found = match (&self.routing, end) {
            (Routing::Cluster(_), EndFile::Index(idx)) => {
                Some(*idx).filter(|&idx| (idx as usize) < self.names.len())
            }
            (_, EndFile::Name(name)) => self.by_name.get(name.as_str()).copied(),
            (Routing::Graph(_), EndFile::Index(_)) => None,
        };
        if found.is_none() {
            match &self.routing {
                Routing::Cluster(cluster) => {
                    line.add(key, format_args!("`{end}` is not a GPU of `{}`", cluster.name));
                }
                Routing::Graph(_) => line.add(key, format_args!("`{end}` is not one of `nodes`")),
            }
        }
        found
    }

    /// The route that the file gives, if it leads from one end over adjoining links to the other.
    fn given(
        &self,
        route: &[u32],
        (src, dst): (&str, &str),
        key: &str,
        line: &mut Line<'_>,
    ) -> Option<Vec<LinkId>> {
        let mut at = src;
        let mut crossed = BTreeSet::new();
        for &id in route {
            let Some(&(from, to)) = self.ends.get(id as usize) else {
                let n_links = self.ends.len();
                line.add(key, format_args!("`route` names link {id}, but there are {n_links}, from 0"));
                return None;
            };
            if !crossed.insert(id) {
                line.add(key, format_args!("`route` crosses link {id} twice"));
                return None;
            }
            if from != at {
                line.add(key, format_args!("`route` is at `{at}`, but link {id} begins at `{from}`"));
                return None;
            }
            at = to;
        }
        if at != dst {
            line.add(key, format_args!("`route` ends at `{at}`, not at `{dst}`"));
            return None;
        }
        Some(route.iter().copied().map(LinkId).collect())
    }

    /// The route that is taken where the file gives none.
    fn routed(&self, src: u32, dst: u32) -> Option<Vec<LinkId>> {
        match &self.routing {
            Routing::Cluster(cluster) => Some(cluster.route(GpuIdx(src), GpuIdx(dst)).links.clone()),
            Routing::Graph(graph) => {
                let mut found = self.found.borrow_mut();
                let routes = found.entry(src).or_insert_with(|| self.routes_from(graph, src));
                routes[dst as usize].clone()
            }
        }
    }

    /// The routes from `src` to every vertex.
    fn routes_from(&self, graph: &DiGraph<IsHost, LinkId>, src: u32) -> Vec<Option<Vec<LinkId>>> {
        let start = NodeIndex::new(src as usize);
        let latency_ps = |link: LinkId| whole(self.latencies_ps[link.0 as usize], PS_MAX).unwrap_or(0);
        let switches = ShortestPaths::from(graph, latency_ps, start, |vertex: &IsHost| !vertex.0);
        let all = ShortestPaths::from(graph, latency_ps, start, |_: &IsHost| true);
        // Hosts count from 0 in the order of `nodes`.
        let mut n_hosts = 0;
        let to = |end: NodeIndex| {
            let route = switches.path_to(end, n_hosts).or_else(|| all.path_to(end, n_hosts));
            n_hosts += u32::from(graph[end].0);
            route
        };
        graph.node_indices().map(to).collect()
    }
}

/// The nearest whole number, if it lies within `[0, max]`.
fn whole(value: f64, max: f64) -> Option<u64> {
    let nearest = value.round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0 <= value && nearest <= max).then_some(nearest as u64)
}
