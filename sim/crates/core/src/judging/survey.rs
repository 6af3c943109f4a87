//! One collective alone, by every way that its group has for it.

use std::sync::Arc;

use masim_engine::{EngineError, Graph, Resources, ShapeBuilder, Work, run_graph};
use masim_units::{Bytes, SimDuration, SimTime};

use crate::fabric::Fabric;
use crate::fabric::communication_models::CommModel;
use crate::inputs::topology::{Cluster, GpuIdx};
use crate::running::collective::{
    Algorithm, Collective, CollectiveKind, Collectives, Compressed, compressed,
};
use crate::scenario::{CollectiveRules, Launch, ProtocolRule};
use crate::timing::provenance::Provenance;

/// Bytes of a value that is compressed.
const BF16_BYTES: u64 = 2;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Where.
    pub cluster: &'a Cluster,
    /// What profiles say.
    pub comm: CommModel,
    /// What the group does.
    pub kind: CollectiveKind,
    /// Two GPUs or more, each once; the first is the root of what has one.
    pub group: &'a [GpuIdx],
    /// The buffer, as nccl-tests counts it.
    pub bytes: Bytes,
    /// Launch of kernels.
    pub launch: Launch,
}

/// One way of doing it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// NCCL's protocol; none on wires alone.
    pub protocol: Option<&'static str>,
    /// From the call to the end, nothing else running.
    pub time: SimDuration,
    /// Buffer by time.
    pub algbw_gb_per_sec: f64,
    /// What the busiest GPU sends by time, comparable with the rate of its links.
    pub busbw_gb_per_sec: f64,
    /// True if it is the one that is taken where nothing is forced.
    pub is_chosen: bool,
    /// The link that is busy for longest in any phase, flags included: its name and its bytes.
    pub bottleneck: Option<(String, Bytes)>,
    /// Where the time comes from.
    pub provenance: Provenance,
}

/// The all-reduce of a bf16 buffer with 8 bits on the way, beside the plain one.
///
/// For another kind there is nothing to compress.
pub fn survey_compressed(question: &Question<'_>) -> Option<Compressed> {
    let Question { cluster, comm, kind, group, bytes, launch } = question;
    let collectives = Collectives::new(CollectiveRules::AUTO, *launch);
    let mut fabric = Fabric::profiled(cluster, comm.clone());
    let launch = launch_of(cluster, group[0], *launch);
    let is_reduced = *kind == CollectiveKind::AllReduce;
    is_reduced.then(|| compressed(&collectives, group, (*bytes, BF16_BYTES), launch, &mut fabric)).flatten()
}

/// What launching a kernel costs where no profile says.
fn launch_of(cluster: &Cluster, gpu: GpuIdx, launch: Launch) -> SimDuration {
    let roofline = &cluster.gpu(gpu).card.roofline;
    match launch {
        Launch::Eager => roofline.launch_eager,
        Launch::Graph => roofline.launch_graph,
    }
}

/// Every way, in the order of algorithms and protocols; or those by the algorithm called `only`.
///
/// # Errors
///
/// Times beyond 213 days.
pub fn survey(question: &Question<'_>, only: Option<&str>) -> Result<Vec<Answer>, EngineError> {
    let chosen = one(question, None, ProtocolRule::Auto)?.expect("every group has a way");
    let mut answers = Vec::new();
    for algorithm in Algorithm::ALL.into_iter().filter(|it| only.is_none_or(|name| name == it.name())) {
        let mut of_algorithm = Vec::<Answer>::new();
        for protocol in [ProtocolRule::Ll, ProtocolRule::Ll128, ProtocolRule::Simple] {
            let Some(answer) = one(question, Some(algorithm), protocol)? else { continue };
            // Where protocols make no difference there is one way.
            let is_alone = answer.protocol.is_none();
            if of_algorithm.iter().all(|it| it.protocol != answer.protocol) {
                of_algorithm.push(answer);
            }
            if is_alone {
                break;
            }
        }
        answers.append(&mut of_algorithm);
    }
    for answer in &mut answers {
        answer.is_chosen = (answer.algorithm, answer.protocol) == (chosen.algorithm, chosen.protocol);
    }
    Ok(answers)
}

fn one(
    question: &Question<'_>,
    algorithm: Option<Algorithm>,
    protocol: ProtocolRule,
) -> Result<Option<Answer>, EngineError> {
    let Question { cluster, comm, kind, group, bytes, launch } = question;
    let rules = CollectiveRules { protocol, ..CollectiveRules::AUTO };
    let collectives = Collectives::new(rules, *launch);
    let mut fabric = Fabric::profiled(cluster, comm.clone());
    let Some(collective) = collectives.by(*kind, algorithm, group, *bytes, &mut fabric) else {
        return Ok(None);
    };
    let launch = launch_of(cluster, group[0], *launch);
    let time = alone(&collective, launch, &fabric)?;
    let secs = time.as_secs().max(f64::MIN_POSITIVE);
    let gb_per_sec = |bytes: Bytes| bytes.0 as f64 / secs / 1e9;
    let busiest = collective.phases.iter().filter_map(|phase| {
        let (link, bytes) = fabric.busiest(phase)?;
        let busy = bytes.time_at(fabric.rates()[link.0 as usize]);
        Some((busy, cluster.link(link).name.clone(), bytes))
    });
    let bottleneck = busiest.max_by_key(|(busy, ..)| *busy).map(|(_, name, bytes)| (name, bytes));
    let provenance = match collective.nccl {
        None => Provenance::Roofline,
        Some(way) if way.is_covered => Provenance::Fitted,
        Some(_) => Provenance::Extrapolated,
    };
    Ok(Some(Answer {
        algorithm: collective.algorithm,
        protocol: collective.nccl.map(|way| way.protocol.name()),
        time,
        algbw_gb_per_sec: gb_per_sec(*bytes),
        busbw_gb_per_sec: gb_per_sec(kind.sent(*bytes, group.len())),
        is_chosen: false,
        bottleneck,
        provenance,
    }))
}

/// Runs the phases one after the other.
fn alone(collective: &Collective, launch: SimDuration, fabric: &Fabric) -> Result<SimDuration, EngineError> {
    let mut shape = ShapeBuilder::new();
    let mut last = Vec::new();
    let mut works = Vec::new();
    for idx in 0..collective.phases.len() {
        last = vec![shape.task(&[], &last)];
        works.push(Work::transfer(collective.flows_with(idx, launch)));
    }
    let resources = Resources { n_streams: 0, links: fabric.rates().to_vec() };
    let shape = shape.build().expect("phases follow one another");
    let graph = Graph { shape: Arc::new(shape), works: Arc::new(works), after: Vec::new() };
    let trace = run_graph(resources, fabric.paths(), graph)?;
    Ok(trace.span(last[0]).end.since(SimTime::ZERO))
}
