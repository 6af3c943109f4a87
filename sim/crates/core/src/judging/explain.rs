//! Where a simulated time comes from: op by op, model by model, down to the parameters and their sources.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::inputs::measurement::Family;
use crate::inputs::topology::GpuCard;
use crate::plan::Plan;
use crate::program::Does;
use crate::running::price::Pricer;
use crate::scenario::{Jitter, JitterOrigin, Scenario};
use crate::timing::fitted::{FamilyModel, Origin};
use crate::timing::provenance::{Basis, Provenance};
use crate::timing::regime::Regime;
use crate::work::cost::{Cost, CostModel, TooLong};
use crate::work::ops::{CacheHeads, GroupRows, Op, OpShape};
use crate::work::routing::RoutingSource;

/// Where the times of one step come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Kernels, those that take most GPU time first.
    pub kernels: Vec<KernelJson>,
    /// Communication, by kind.
    pub communication: Vec<CommunicationJson>,
    /// The models that were asked.
    pub models: Vec<ModelJson>,
    /// How far times stray from run to run; empty where nothing varies.
    pub jitter: Vec<JitterJson>,
    /// Inputs that no source states.
    pub assumed: Vec<String>,
    /// Inputs of which a source states another value, which is not modelled.
    pub simplified: Vec<String>,
}

/// One kernel in one shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelJson {
    /// What it is for.
    pub kernel: String,
    /// Its shape.
    pub shape: String,
    /// How often all GPUs together run it in a step.
    pub n: u64,
    /// How long it takes once.
    pub time_us: f64,
    /// Share of the GPU time of all kernels.
    pub share: f64,
    /// 90 % of true times lie between these; null where nothing is known.
    pub interval_us: Option<(f64, f64)>,
    /// Where its time comes from.
    pub provenance: String,
    /// The family whose model was asked.
    pub family: Option<String>,
}

/// Communication of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommunicationJson {
    /// What is sent.
    pub kind: String,
    /// Tasks of a step.
    pub n: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Where its latencies and rates come from.
    pub provenance: String,
    /// The family whose model was asked; null where wires alone decide.
    pub family: Option<String>,
}

/// A model and the source of its parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelJson {
    /// What it predicts.
    pub family: String,
    /// On which card.
    pub card: String,
    /// Its form.
    pub model: String,
    /// The profile, and the rows that it was fitted to.
    pub source: String,
    /// Mean error on rows that were kept aside.
    pub held_out_mape: Option<f64>,
    /// Parameters by name.
    pub params: BTreeMap<String, f64>,
    /// Parameters that no row determines.
    pub assumed: Vec<String>,
}

/// How far the times of a family stray from run to run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JitterJson {
    /// Whose times.
    pub family: String,
    /// On which card.
    pub card: String,
    /// Standard deviation of one kernel or transfer over its mean.
    pub width: f64,
    /// Who says so.
    pub source: String,
}

/// Explains the first step of `plan`.
///
/// # Errors
///
/// [`TooLong`] names an operation beyond 213 days.
pub fn explain(
    scenario: &Scenario,
    plan: &Plan,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> Result<Explanation, TooLong> {
    let mut pricer = Pricer::new(scenario, plan, cost);
    let step = pricer.step(&routing.step(0))?;
    let ops = asked(scenario, &pricer, cost)?;
    let mut communication = BTreeMap::<(&str, Basis), (u64, u64)>::new();
    for info in step.infos.iter().filter(|info| info.activity.is_communication()) {
        let (n, bytes) = communication.entry((info.activity.name(), info.basis)).or_default();
        *n += 1;
        *bytes += info.bytes.0;
    }
    let bases = ops.values().map(|(cost, _)| cost.basis).chain(communication.keys().map(|(_, basis)| *basis));
    let models = models(scenario, bases);
    let communication = communication.into_iter().map(|((kind, basis), (n, bytes))| CommunicationJson {
        kind: kind.to_owned(),
        n,
        bytes,
        provenance: basis.provenance.name().to_owned(),
        family: basis.regime.map(|regime| regime.family().name().to_owned()),
    });
    let communication = communication.collect();
    let (kernels, jitter) = (kernels(scenario, ops), jitter(scenario));
    let simplified = scenario.model.simplified.iter().map(|key| format!("model.{key}")).collect();
    Ok(Explanation { kernels, communication, models, jitter, assumed: assumed(scenario), simplified })
}

/// Kernels by card and operation, each with its cost and the number of times that the step runs it.
type Kernels = BTreeMap<(String, Op), (Cost, u64)>;

/// The kernels of the program of `pricer` with the sizes of the step that it priced last.
fn asked(scenario: &Scenario, pricer: &Pricer, cost: &dyn CostModel) -> Result<Kernels, TooLong> {
    let (skeleton, mut kernels) = (&pricer.program().skeleton, Kernels::new());
    for instr in &skeleton.instrs {
        let Does::Kernels { rank, kernels: of_rank } = &instr.does else { continue };
        let card = &scenario.cluster.gpu(*rank).card;
        for kernel in &skeleton.kernels[of_rank.start as usize..of_rank.end as usize] {
            let op = kernel.op(pricer.sizes());
            if op.is_empty() {
                continue;
            }
            match kernels.entry((card.name.clone(), op)) {
                Entry::Occupied(mut known) => known.get_mut().1 += 1,
                Entry::Vacant(new) => {
                    new.insert((cost.cost(&op, card)?, 1));
                }
            }
        }
    }
    Ok(kernels)
}

/// The width of every family on every card.
fn jitter(scenario: &Scenario) -> Vec<JitterJson> {
    if scenario.jitter == Jitter::NONE {
        return Vec::new();
    }
    let cards: BTreeSet<&str> = scenario.cluster.gpus.iter().map(|gpu| gpu.card.name.as_str()).collect();
    let of_card = |card: &&str| Family::ALL.map(|family| (family, (*card).to_owned()));
    let all = cards.iter().flat_map(of_card).map(|(family, card)| {
        let found = scenario.jitter_width(&card, family);
        let source = match found.origin {
            JitterOrigin::Scenario => "given by the scenario".to_owned(),
            JitterOrigin::Profile(name) => format!("repeated rows, by profile {name}"),
            JitterOrigin::NotRepeated => "no row was repeated: does not vary".to_owned(),
        };
        JitterJson { family: family.name().to_owned(), card, width: found.share, source }
    });
    all.collect()
}

fn kernels(scenario: &Scenario, ops: Kernels) -> Vec<KernelJson> {
    let total: f64 = ops.values().map(|(cost, n)| cost.time.as_us() * *n as f64).sum();
    let kernel = |((_, op), (cost, n)): ((String, Op), (Cost, u64))| {
        let time_us = cost.time.as_us();
        let spread = cost.basis.regime.and_then(|regime| scenario.profiles.spread(regime));
        KernelJson {
            kernel: op.kind.name().to_owned(),
            shape: shape(&op.shape),
            n,
            time_us,
            share: time_us * n as f64 / total,
            interval_us: spread.map(|it| (time_us * (1.0 + it.q05), time_us * (1.0 + it.q95))),
            provenance: cost.basis.provenance.name().to_owned(),
            family: cost.basis.regime.map(|regime| regime.family().name().to_owned()),
        }
    };
    let mut kernels: Vec<_> = ops.into_iter().map(kernel).collect();
    kernels.sort_by(|a, b| b.share.total_cmp(&a.share));
    kernels
}

fn shape(shape: &OpShape) -> String {
    match *shape {
        OpShape::Gemm { m, n, k } => format!("[{m}, {k}] x [{k}, {n}]"),
        OpShape::GroupedGemm { rows: GroupRows { rows, n_activated, .. }, n, k } => {
            format!("{rows} rows over {n_activated} experts x [{k}, {n}]")
        }
        OpShape::BatchedGemm { n_batches, m, n, k } => format!("{n_batches} x [{m}, {k}] x [{k}, {n}]"),
        OpShape::DecodeAttention { batch, kv_tokens, kv_len_max, heads } => {
            format!("{batch} sequences, {kv_tokens} cached tokens, at most {kv_len_max}, {}", heads_of(heads))
        }
        OpShape::PrefillAttention { batch, q_len, kv_len, heads } => {
            format!("{batch} x {q_len} of {kv_len} tokens, {}", heads_of(heads))
        }
        OpShape::Elementwise { tokens, width, n_read, n_written } => {
            format!("[{tokens}, {width}], {n_read} read, {n_written} written")
        }
    }
}

fn heads_of(heads: CacheHeads) -> String {
    match heads {
        CacheHeads::Grouped { n_heads, n_kv_heads, head_dim } => {
            format!("{n_heads}:{n_kv_heads} heads of {head_dim}")
        }
        CacheHeads::Absorbed(_) => {
            format!("{} heads over one latent of {}", heads.n_heads(), heads.score_dim())
        }
        CacheHeads::Expanded(_) => {
            format!("{} heads of {} and {}", heads.n_heads(), heads.score_dim(), heads.value_dim())
        }
    }
}

/// The models behind `bases`, and the roofline where it was asked.
fn models(scenario: &Scenario, bases: impl Iterator<Item = Basis>) -> Vec<ModelJson> {
    let (mut families, mut is_roofline) = (BTreeSet::<Family>::new(), false);
    for basis in bases {
        families.extend(basis.regime.map(Regime::family));
        is_roofline |= basis.provenance == Provenance::Roofline;
    }
    let mut models = Vec::new();
    for (card, of_card) in &scenario.profiles.cards {
        let found = families.iter().filter_map(|&family| Some((family, of_card.family(family)?)));
        models.extend(found.map(|(family, found)| fitted(family, card, found)));
    }
    if is_roofline {
        let cards: BTreeMap<&str, &GpuCard> =
            scenario.cluster.gpus.iter().map(|gpu| (gpu.card.name.as_str(), &*gpu.card)).collect();
        models.extend(cards.into_values().map(roofline));
    }
    models
}

fn fitted(family: Family, card: &str, found: &FamilyModel) -> ModelJson {
    let (source, held_out_mape, assumed) = match &found.origin {
        Origin::Profile { name, file, is_substitute } => {
            let sets: Vec<_> = file
                .sets
                .iter()
                .map(|set| format!("{} ({}, {})", set.name, set.source, set.licence))
                .collect();
            let stand_in = if *is_substitute { ", standing in" } else { "" };
            let source = format!("profile {name}{stand_in}: {}; fitted to {}", file.stack, sets.join("; "));
            (source, file.error.held_out.map(|error| error.mape), file.assumed.clone())
        }
        Origin::Physics => ("parameters of another card".to_owned(), None, Vec::new()),
    };
    ModelJson {
        family: family.name().to_owned(),
        card: card.to_owned(),
        model: found.model.form().name().to_owned(),
        source,
        held_out_mape,
        params: found.model.params(),
        assumed,
    }
}

fn roofline(card: &GpuCard) -> ModelJson {
    let roofline = &card.roofline;
    let params = [
        ("memory", roofline.memory),
        ("matrix", roofline.matrix),
        ("launch_eager_us", roofline.launch_eager.as_us()),
        ("launch_graph_us", roofline.launch_graph.as_us()),
    ];
    ModelJson {
        family: "all others".to_owned(),
        card: card.name.clone(),
        model: "roofline".to_owned(),
        source: format!("{}; peaks: {}", roofline.source, card.source),
        held_out_mape: None,
        params: params.map(|(name, value)| (name.to_owned(), value)).into(),
        assumed: Vec::new(),
    }
}

/// Keys of the inputs that no source states.
fn assumed(scenario: &Scenario) -> Vec<String> {
    let of_model = scenario.model.assumed.iter().map(|key| format!("model.{key}"));
    let of_cluster = scenario.cluster.assumed.iter().map(|key| format!("cluster.{key}"));
    of_model.chain(of_cluster).collect()
}
