//! From what a scenario's file says to what it means, with everything that is wrong with it.

mod findings;
mod model;
mod workload;
mod jitter;
mod size;
mod strategy;

use std::sync::Arc;

use findings::Findings;
pub(super) use model::model_of;
use size::Size;

use super::file::{LaunchFile, ScenarioFile};
use super::overlap_file::OverlapFile;
use super::steps_file::StepsFile;
use super::{
    CollectiveRules, Compression, EmbeddingTable, Launch, ModelSpec, Overlap, Profiles, RequestTrace,
    Scenario, StepCount, Strategy, Vocabulary,
};
use crate::inputs::text::Problem;
use crate::inputs::topology::Cluster;

/// A mean that so many steps do not settle has no meaning.
const N_STEPS_MAX: u32 = 1_000;

/// Steps are forgotten when they have been taken in; a million are some minutes of the smallest plan.
const N_STEPS_EXACTLY_MAX: u32 = 1_000_000;

/// Beyond so many pieces every one is a launch and little else.
const N_CHUNKS_MAX: u32 = 64;
/// Links of a thousand times their bandwidth are as good as free.
const EXPOSED_MIN: f64 = 0.001;

/// Files that a scenario names.
pub(super) struct Named {
    pub(super) cluster: Arc<Cluster>,
    pub(super) model: Arc<ModelSpec>,
    pub(super) profiles: Arc<Profiles>,
    pub(super) trace: Option<Arc<RequestTrace>>,
}

/// Time and memory of a run of `scenario` that takes long; nothing of others.
pub(super) fn long_run(scenario: &Scenario) -> Option<String> {
    Size::of(scenario).note()
}

/// The scenario that `file` describes with what it names.
pub(super) fn scenario_of(file: &ScenarioFile, named: Named) -> Result<Scenario, Vec<Problem>> {
    let (cluster, model, profiles) = (&named.cluster, &named.model, &named.profiles);
    let mut findings = Findings::default();
    findings.schema(file.schema);
    check_dtypes(cluster, model, &mut findings);
    let workload = workload::workload_of(&file.workload, named.trace.as_ref(), &mut findings);
    let host_overhead = workload::host_overhead_of(file.host_overhead.as_ref(), &mut findings);
    let strategy = strategy::strategy_of(&file.strategy, cluster, model, &workload, &mut findings);
    let load = workload::load_of(&file.load, model, &mut findings);
    let overlap = overlap_of(file.overlap, model, &mut findings);
    let collectives = CollectiveRules::from(file.collectives);
    check_chunks(overlap, collectives, &mut findings);
    let jitter = jitter::jitter_of(&file.jitter, profiles, &mut findings);
    let vocabulary = Vocabulary::from(file.vocabulary);
    check_modelled(vocabulary, &strategy, &mut findings);
    if !file.faults.is_empty() {
        findings.add("faults", "faults are not modelled yet; expected `[]`");
    }
    let n_steps = step_count_of(file.n_steps, &mut findings);
    // A product of counts that are wrong on their own says nothing.
    if findings.is_empty() {
        let (workload, strategy, load) = (&workload, &strategy, &load);
        let size = Size { cluster, model, workload, strategy, load, overlap, n_steps };
        size.check(&mut findings);
    }
    let launch = match file.launch {
        LaunchFile::Graph => Launch::Graph,
        LaunchFile::Eager => Launch::Eager,
    };
    findings.into_result(Scenario {
        cluster: named.cluster,
        model: named.model,
        profiles: named.profiles,
        workload,
        strategy,
        load,
        launch,
        collectives,
        vocabulary,
        overlap,
        host_overhead,
        jitter,
        seed: file.seed,
        n_steps,
    })
}

fn step_count_of(file: StepsFile, findings: &mut Findings) -> StepCount {
    match file {
        StepsFile::Auto => StepCount::Auto,
        StepsFile::AtMost(n) => {
            findings.count("n_steps", n, N_STEPS_MAX);
            StepCount::AtMost(n)
        }
        StepsFile::Exactly(n) => {
            findings.count("n_steps.exactly", n, N_STEPS_EXACTLY_MAX);
            StepCount::Exactly(n)
        }
    }
}

fn overlap_of(file: OverlapFile, model: &ModelSpec, findings: &mut Findings) -> Overlap {
    match file {
        OverlapFile::None => Overlap::None,
        OverlapFile::Chunks(chunks) => {
            let (n, max) = (chunks.n_chunks, N_CHUNKS_MAX.min(model.hidden));
            if !(2..=max).contains(&n) {
                findings.add_with_hint(
                    "overlap.n_chunks",
                    format_args!("{n} is out of range; expected 2 to {max}"),
                    "`overlap: { kind: none }` cuts nothing",
                );
            }
            Overlap::Chunks { n: n.clamp(1, max.max(1)) }
        }
        OverlapFile::Literal(literal) => {
            let exposed = literal.exposed;
            if !(EXPOSED_MIN..=1.0).contains(&exposed) {
                let range = format_args!("{exposed:?} is out of range; expected {EXPOSED_MIN} to 1");
                findings.add("overlap.exposed", range);
            }
            Overlap::Literal { exposed }
        }
    }
}

/// The kernels of a compressed sum would stand between the chunks of the product that it follows.
fn check_chunks(overlap: Overlap, collectives: CollectiveRules, findings: &mut Findings) {
    if overlap.n_chunks() > 1 && collectives.compressed == Compression::Int8 {
        findings.add(
            "collectives.compressed",
            "`int8` is not modelled in chunks yet; expected `none`, or `overlap: { kind: none }`",
        );
    }
}

/// Split embedding tables are modelled for pipelines; a key that is not modelled must not be ignored.
fn check_modelled(vocabulary: Vocabulary, strategy: &Strategy, findings: &mut Findings) {
    let kind = match strategy {
        Strategy::TpPp(_) => return,
        Strategy::MaSeparation(_) | Strategy::DpEp(_) => strategy.kind(),
    };
    if vocabulary.embedding == EmbeddingTable::Sharded {
        findings.add(
            "vocabulary.embedding",
            format_args!(
                "`sharded` is not modelled yet for `{kind}`; expected `replicated`, or the strategy `tp_pp`"
            ),
        );
    }
}

/// Every card must be able to compute in the formats of the model.
fn check_dtypes(cluster: &Cluster, model: &ModelSpec, findings: &mut Findings) {
    let mut told = Vec::new();
    for card in cluster.gpus.iter().map(|gpu| &gpu.card) {
        for (key, dtype) in [("weights", model.dtype.weights), ("activations", model.dtype.activations)] {
            let finding = (card.name.as_str(), dtype);
            if card.peak.contains_key(&dtype) || told.contains(&finding) {
                continue;
            }
            told.push(finding);
            let has: Vec<&str> = card.peak.keys().map(|dtype| dtype.name()).collect();
            let (dtype, card, has) = (dtype.name(), &card.name, has.join(", "));
            findings.add(
                "model",
                format_args!(
                    "its {key} are {dtype}, for which GPU card `{card}` has no peak rate; it has {has}"
                ),
            );
        }
    }
}
