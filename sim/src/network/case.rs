//! A case that makes sense: every flow has a way, every link a rate.

use masim_engine::LinkId;
use masim_units::{Bandwidth, Bytes, PS_PER_SEC, SimDuration};

use super::file::{CaseFile, FlowFile, GraphFile, TopologyFile};
use super::lines::Line;
use crate::input::{InputError, Library, SourceText};
use crate::topology::{Cluster, Place, ReferenceFile, load_cluster};

/// Flows over links, and what another simulator says of their ends.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Rates of the links, by identifier.
    pub links: Vec<Bandwidth>,
    /// The flows, in order of their identifiers.
    pub flows: Vec<CaseFlow>,
    /// When each flow ends elsewhere, in seconds from the start of the case.
    pub expected_s: Option<Vec<f64>>,
}

/// Data to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFlow {
    /// From the start of the case until it is sent.
    pub start: SimDuration,
    /// From there until its first byte takes bandwidth.
    pub latency: SimDuration,
    /// How much.
    pub bytes: Bytes,
    /// Links in order of crossing.
    pub route: Vec<LinkId>,
}

/// Where flows can go.
enum Fabric<'a> {
    Cluster(&'a Cluster),
    Graph { file: &'a GraphFile, latencies: Vec<SimDuration> },
}

impl Case {
    /// What `file` means; what is wrong with it goes to `line`.
    ///
    /// # Errors
    ///
    /// What is wrong with the cluster that it names.
    pub(super) fn from_file(
        file: &CaseFile,
        line: &mut Line<'_>,
        library: &dyn Library,
    ) -> Result<Option<Self>, InputError> {
        let cluster = match &file.topology {
            TopologyFile::Name(name) => Some(cluster(name, line.source(), library)?),
            TopologyFile::Graph(_) => None,
        };
        let (links, fabric) = match (&cluster, &file.topology) {
            (Some(cluster), _) => {
                (cluster.links.iter().map(|link| link.bandwidth).collect(), Fabric::Cluster(cluster))
            }
            (None, TopologyFile::Graph(graph)) => {
                let (links, latencies) = links(graph, line);
                (links, Fabric::Graph { file: graph, latencies })
            }
            (None, TopologyFile::Name(_)) => unreachable!("a name was loaded above"),
        };
        // Without sound links, every route would be wrong too.
        if line.has_problems() {
            return Ok(None);
        }
        let flows: Vec<_> =
            file.flows.iter().enumerate().filter_map(|(idx, flow)| fabric.flow(idx, flow, line)).collect();
        let expected_s = file.expect.as_ref().map(|expect| expect.finish_s.clone());
        if let Some(n_expected) = expected_s.as_ref().map(Vec::len).filter(|&n| n != file.flows.len()) {
            let n_flows = file.flows.len();
            line.add("expect.finish_s", format_args!("{n_expected} ends for {n_flows} flows"));
        }
        Ok(Some(Self { name: file.case.clone(), links, flows, expected_s }))
    }
}

fn cluster(
    name: &str,
    source: &SourceText,
    library: &dyn Library,
) -> Result<std::sync::Arc<Cluster>, InputError> {
    load_cluster(&ReferenceFile::Name(name.to_owned()), Place { source, key: "topology" }, library)
}

/// Rates and latencies of the links of `graph`.
fn links(graph: &GraphFile, line: &mut Line<'_>) -> (Vec<Bandwidth>, Vec<SimDuration>) {
    let mut rates = Vec::new();
    let mut latencies = Vec::new();
    for (idx, link) in graph.links.iter().enumerate() {
        let key = format!("topology.links[{idx}]");
        if link.id as usize != idx {
            line.add(&key, format_args!("`id` is {}; identifiers count from 0 in order", link.id));
        }
        for end in [&link.src, &link.dst] {
            if !graph.nodes.contains(end) {
                line.add(&key, format_args!("`{end}` is not one of `nodes`"));
            }
        }
        match rounded(link.bw).and_then(Bandwidth::new) {
            Some(rate) => rates.push(rate),
            None => line.add(&key, format_args!("`bw` is {}; expected bytes per second above 0", link.bw)),
        }
        match rounded(link.lat * PS_PER_SEC as f64) {
            Some(ps) => latencies.push(SimDuration::from_ps(ps)),
            None => line.add(&key, format_args!("`lat` is {}; expected seconds, at least 0", link.lat)),
        }
    }
    (rates, latencies)
}

/// The nearest whole number, if `value` is one that can be counted to.
fn rounded(value: f64) -> Option<u64> {
    let whole = value.round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (0.0..=9.0e18).contains(&whole).then_some(whole as u64)
}

impl Fabric<'_> {
    /// What `file`, the flow at `idx`, means.
    fn flow(&self, idx: usize, file: &FlowFile, line: &mut Line<'_>) -> Option<CaseFlow> {
        let key = format!("flows[{idx}]");
        if file.id as usize != idx {
            line.add(&key, format_args!("`id` is {}; identifiers count from 0 in order", file.id));
        }
        let Some(start) = SimDuration::from_ns(file.start_ns) else {
            line.add(&key, format_args!("`start_ns` is {}; expected at most 213 days", file.start_ns));
            return None;
        };
        let (route, latency) = match (self, &file.route) {
            (Self::Cluster(cluster), None) => routed(cluster, &key, file, line)?,
            (Self::Cluster(cluster), Some(route)) => {
                let links = cluster.links.iter().map(|link| link.latency).collect::<Vec<_>>();
                given(route, &links, &key, line)?
            }
            (Self::Graph { file: graph, latencies }, Some(route)) => {
                check_way(graph, route, &key, file, line);
                given(route, latencies, &key, line)?
            }
            (Self::Graph { .. }, None) => {
                line.add(&key, "has no `route`; only a cluster by its name has routes of its own");
                return None;
            }
        };
        Some(CaseFlow { start, latency, bytes: Bytes(file.bytes), route })
    }
}

/// The way that the cluster's routing takes.
fn routed(
    cluster: &Cluster,
    key: &str,
    flow: &FlowFile,
    line: &mut Line<'_>,
) -> Option<(Vec<LinkId>, SimDuration)> {
    let mut end = |name: &str| {
        let gpu = cluster.gpu_named(name);
        if gpu.is_none() {
            line.add(key, format_args!("`{name}` is not a GPU of `{}`", cluster.name));
        }
        gpu
    };
    let (src, dst) = (end(&flow.src), end(&flow.dst));
    let (src, dst) = (src?, dst?);
    if src == dst {
        return Some((Vec::new(), SimDuration::ZERO));
    }
    let route = cluster.route(src, dst);
    Some((route.links.clone(), route.latency))
}

/// The way that the file gives, and the sum of its latencies.
fn given(
    route: &[u32],
    latencies: &[SimDuration],
    key: &str,
    line: &mut Line<'_>,
) -> Option<(Vec<LinkId>, SimDuration)> {
    let mut sum = SimDuration::ZERO;
    for &id in route {
        let Some(&latency) = latencies.get(id as usize) else {
            line.add(key, format_args!("`route` names link {id}, but there are {}", latencies.len()));
            return None;
        };
        sum = sum.checked_add(latency).unwrap_or_else(|| {
            line.add(key, "the latencies of its `route` add up to more than 213 days");
            SimDuration::ZERO
        });
    }
    Some((route.iter().map(|&id| LinkId(id)).collect(), sum))
}

/// A route leads from the flow's source over adjoining links to its destination.
fn check_way(graph: &GraphFile, route: &[u32], key: &str, flow: &FlowFile, line: &mut Line<'_>) {
    let mut at = &flow.src;
    for link in route.iter().filter_map(|&id| graph.links.get(id as usize)) {
        if link.src != *at {
            line.add(key, format_args!("`route` is at `{at}`, where link {} does not begin", link.id));
            return;
        }
        at = &link.dst;
    }
    if *at != flow.dst {
        line.add(key, format_args!("`route` ends at `{at}`, not at `{}`", flow.dst));
    }
}
