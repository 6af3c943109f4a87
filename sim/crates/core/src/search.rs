//! What `auto` means: every way to split, ranked by closed form, the best few simulated.

pub mod theory;

use std::sync::Arc;

use crate::inputs::topology::GpuIdx;
use crate::plan::share::factor_pairs;
use crate::plan::{AttentionLayout, ExpertLayout, PipelinePlan, Plan, RoutedPlan, placement};
use crate::program::memory::{self, DoesNotFit, GpuMemory};
use crate::running::run::{Fold, Holding, Run, RunError, Verdict, Watch, run_once};
use crate::scenario::{
    Choice, ContextLen, Dispatch, DpEp, ExpertSplit, Forward, Jitter, MaSeparation, Scenario, Schedule,
    Strategy, TpPp, Workload,
};
use crate::work::cost::CostModel;
use crate::work::routing::{BatchTokens, RoutingSource, context_lens};
use theory::ClosedForm;

/// Plans that are simulated.
const N_SIMULATED: usize = 4;

/// Micro-batches that are tried where their number is left open.
const MAX_MICRO_BATCHES: u32 = 4;

/// Micro-batches in flight that are tried, as a multiple of the stages.
const MAX_IN_FLIGHT_PER_STAGE: u32 = 4;

/// The plan that was chosen, and what became of it.
#[derive(Debug)]
pub struct Found {
    /// Every choice made.
    pub plan: Plan,
    /// What it did.
    pub run: Run,
    /// What its GPUs hold.
    pub memory: Vec<(GpuIdx, GpuMemory)>,
    /// What the closed form says of it, in microseconds.
    pub closed_form_us: f64,
    /// Plans that were possible.
    pub n_candidates: usize,
    /// Plans that were simulated.
    pub n_simulated: usize,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SearchError {
    /// No split gives every GPU something to do.
    #[error("no split gives every GPU work: {0}")]
    NoPlan(String),
    /// Every split needs more memory than there is; this one comes closest.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Looks for the fastest plan that fits, and keeps all steps of its run.
///
/// # Errors
///
/// [`SearchError`] when no plan is possible, none fits, or a run fails.
pub fn search(
    scenario: &Scenario,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> Result<Found, SearchError> {
    search_with(scenario, routing, cost, (Holding::ALL, |_: &Plan| ())).map(|(found, _)| found)
}

/// Searches as [`search`] does; folds made by `fold` take in the steps of each copy that need not be kept.
///
/// # Errors
///
/// [`SearchError`] when no plan is possible, none fits, or a run fails.
pub fn search_with<F: Fold + Clone>(
    scenario: &Scenario,
    routing: &RoutingSource,
    cost: &dyn CostModel,
    (holding, fold): (Holding, impl Fn(&Plan) -> F),
) -> Result<(Found, Vec<F>), SearchError> {
    let plans = candidates(scenario);
    if plans.is_empty() {
        return Err(SearchError::NoPlan(no_plan(scenario)));
    }
    let n_candidates = plans.len();
    let mut ranked = rank(scenario, fitting(scenario, plans)?, cost)?;
    let n_simulated = ranked.len().min(N_SIMULATED);
    if matches!(scenario.workload, Workload::Prefill { .. }) {
        let (at, run) = first_tokens(scenario, &ranked, routing, cost)?;
        let (closed_form_us, plan, memory) = ranked.swap_remove(at);
        let folds = vec![fold(&plan); run.copies.len()];
        return Ok((Found { plan, run, memory, closed_form_us, n_candidates, n_simulated }, folds));
    }
    let mut best = None::<(usize, Watch<F>, Verdict)>;
    for (at, (_, plan, _)) in ranked.iter().enumerate().take(N_SIMULATED) {
        let mut watch = Watch::begin(scenario, plan, routing, cost, (holding, fold(plan)))?;
        let verdict = watch.until_steady()?;
        if best.as_ref().is_none_or(|(_, _, other)| verdict.pace() < other.pace()) {
            best = Some((at, watch, verdict));
        }
    }
    let (at, watch, verdict) = best.expect("at least one plan was simulated");
    let (run, folds) = watch.finish(verdict)?;
    let (closed_form_us, plan, memory) = ranked.swap_remove(at);
    Ok((Found { plan, run, memory, closed_form_us, n_candidates, n_simulated }, folds))
}

/// Of the first few of `ranked`, the one whose prompts end first.
///
/// Plans are compared without jitter, of which the chosen one is then drawn once: the least of several draws would be too short.
fn first_tokens(
    scenario: &Scenario,
    ranked: &Ranked,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> Result<(usize, Run), RunError> {
    let without_jitter = Scenario { jitter: Jitter::NONE, ..scenario.clone() };
    let mut runs = Vec::with_capacity(N_SIMULATED);
    for (_, plan, _) in ranked.iter().take(N_SIMULATED) {
        runs.push(run_once(&without_jitter, plan, routing, cost)?);
    }
    let (at, run) = (0..).zip(runs).min_by_key(|(_, run)| run.cold_end()).expect("a plan was simulated");
    if scenario.jitter == Jitter::NONE {
        return Ok((at, run));
    }
    Ok((at, run_once(scenario, &ranked[at].1, routing, cost)?))
}

/// The prompts of the inference `scenario`, which are `prompts`, on the GPUs of `plan`: where it is left open, in as many
/// micro-batches as are best for them.
///
/// # Errors
///
/// [`RunError`] when simulated time cannot hold a run.
pub fn run_prompts(
    (scenario, prompts): (&Scenario, &Scenario),
    plan: &Plan,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> Result<(Plan, Run), RunError> {
    // Memory must hold whole requests.
    let fitting = fitting(scenario, in_micro_batches(scenario, plan)).unwrap_or_default();
    let mut ranked = rank(prompts, fitting, cost)?;
    if ranked.is_empty() {
        return Ok((plan.clone(), run_once(prompts, plan, routing, cost)?));
    }
    let (at, run) = first_tokens(prompts, &ranked, routing, cost)?;
    Ok((ranked.swap_remove(at).1, run))
}

/// `plan` in every number of micro-batches that the strategy admits.
fn in_micro_batches(scenario: &Scenario, plan: &Plan) -> Vec<Plan> {
    match (plan, &scenario.strategy) {
        (Plan::Routed(plan), Strategy::MaSeparation(spec)) => micro_batches(spec.n_micro_batches)
            .filter(|&n| has_work(scenario, &plan.attention, n))
            .map(|n_micro_batches| Plan::Routed(RoutedPlan { n_micro_batches, ..plan.clone() }))
            .collect(),
        (Plan::Pipeline(plan), Strategy::TpPp(spec)) => in_flight(scenario, *spec)
            .map(|n_in_flight| Plan::Pipeline(PipelinePlan { n_in_flight, ..plan.clone() }))
            .collect(),
        (Plan::Routed(_) | Plan::Pipeline(_), _) => vec![plan.clone()],
    }
}

type Fitting = Vec<(Plan, Vec<(GpuIdx, GpuMemory)>)>;

/// The plans that fit; where none does, the error of the one that lacks least.
fn fitting(scenario: &Scenario, plans: Vec<Plan>) -> Result<Fitting, DoesNotFit> {
    let (mut fitting, mut closest) = (Vec::new(), None::<DoesNotFit>);
    for plan in plans {
        let memory = memory::memory(scenario, &plan);
        match memory::check(scenario, &memory) {
            Ok(()) => fitting.push((plan, memory)),
            Err(error) if closest.as_ref().is_none_or(|other| error.missing_gib < other.missing_gib) => {
                closest = Some(error);
            }
            Err(_) => {}
        }
    }
    match closest {
        Some(error) if fitting.is_empty() => Err(error),
        Some(_) | None => Ok(fitting),
    }
}

type Ranked = Vec<(f64, Plan, Vec<(GpuIdx, GpuMemory)>)>;

/// Fastest by closed form first; equals stay in the order in which they were made.
fn rank(scenario: &Scenario, plans: Fitting, cost: &dyn CostModel) -> Result<Ranked, RunError> {
    let context = scenario.workload.decode_context().unwrap_or(ContextLen::Fixed(0));
    let contexts = context_lens(&context, batch(scenario), scenario.seed);
    let mean = contexts.iter().map(|&len| f64::from(len)).sum::<f64>() / f64::from(batch(scenario));
    let mut closed_form = ClosedForm::new(scenario, cost, mean);
    let mut ranked = Vec::with_capacity(plans.len());
    for (plan, memory) in plans {
        ranked.push((closed_form.tpot(&plan)?.as_us(), plan, memory));
    }
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(ranked)
}

/// Every plan that the strategy admits and in which every GPU has work.
pub fn candidates(scenario: &Scenario) -> Vec<Plan> {
    match &scenario.strategy {
        Strategy::MaSeparation(spec) => separated(scenario, spec),
        Strategy::TpPp(spec) => pipelines(scenario, *spec),
        Strategy::DpEp(spec) => colocated(scenario, *spec).into_iter().collect(),
    }
}

fn batch(scenario: &Scenario) -> u32 {
    scenario.workload.batch()
}

fn separated(scenario: &Scenario, spec: &MaSeparation) -> Vec<Plan> {
    let (model, cluster) = (&scenario.model, &scenario.cluster);
    let pools = placement::pools(&spec.placement, spec.n_attention_gpus, cluster.n_gpus());
    let attention: Vec<AttentionLayout> = attention_splits(spec)
        .filter(|(heads, _)| *heads <= model.attention.n_heads)
        .map(|(heads, sequences)| {
            AttentionLayout::new(&pools.attention, heads, sequences, &model.attention, cluster)
        })
        .collect();
    let experts: Vec<ExpertLayout> = expert_ranks(scenario, &spec.experts, spec.n_expert_gpus)
        .map(|ep| expert_layout(scenario, &pools.expert, ep, spec.experts.copies))
        .collect();
    let mut plans = Vec::new();
    for n_micro_batches in micro_batches(spec.n_micro_batches) {
        for attention in &attention {
            if !has_work(scenario, attention, n_micro_batches) {
                continue;
            }
            plans.extend(experts.iter().map(|experts| {
                Plan::Routed(RoutedPlan {
                    attention: attention.clone(),
                    experts: experts.clone(),
                    colocated: false,
                    dispatch: spec.dispatch,
                    reduce: spec.experts.reduce,
                    forward: spec.forward,
                    schedule: spec.schedule,
                    n_micro_batches,
                })
            }));
        }
    }
    plans
}

/// True if every replica has a token in every micro-batch; chunks of a prompt are micro-batches too.
fn has_work(scenario: &Scenario, attention: &AttentionLayout, n_micro_batches: u32) -> bool {
    let n_groups = attention.n_groups(batch(scenario), n_micro_batches);
    n_micro_batches <= n_groups.saturating_mul(scenario.workload.n_chunks())
}

/// Heads and sequences such that heads x sequences x replicas is the attention pool.
fn attention_splits(spec: &MaSeparation) -> impl Iterator<Item = (u32, u32)> {
    let split = spec.attention;
    factor_pairs(spec.n_attention_gpus)
        .flat_map(|(heads, rest)| {
            factor_pairs(rest).map(move |(sequences, replicas)| (heads, sequences, replicas))
        })
        .filter(move |(heads, sequences, replicas)| {
            split.heads.admits(*heads)
                && split.sequences.admits(*sequences)
                && split.replicas.admits(*replicas)
        })
        .map(|(heads, sequences, _)| (heads, sequences))
}

/// Expert-parallel ranks `ep` such that `ep x tp` is the expert pool.
fn expert_ranks(scenario: &Scenario, split: &ExpertSplit, n_gpus: u32) -> impl Iterator<Item = u32> {
    let (split, moe) = (*split, scenario.model.ffn.as_moe());
    factor_pairs(n_gpus)
        .filter(move |(ep, tp)| split.ep.admits(*ep) && split.tp.admits(*tp))
        .filter(move |(ep, tp)| *ep <= moe.n_routed_experts + split.copies && *tp <= moe.expert_hidden)
        .map(|(ep, _)| ep)
}

fn micro_batches(choice: Choice) -> std::ops::RangeInclusive<u32> {
    match choice {
        Choice::Auto => 1..=MAX_MICRO_BATCHES,
        Choice::Fixed(n) => n..=n,
    }
}

fn expert_layout(scenario: &Scenario, gpus: &[GpuIdx], ep: u32, copies: u32) -> ExpertLayout {
    let place = (scenario.model.n_layers, scenario.seed);
    ExpertLayout::new(gpus, ep, copies, scenario.model.ffn.as_moe(), &scenario.load, place, &scenario.cluster)
}

fn colocated(scenario: &Scenario, spec: DpEp) -> Option<Plan> {
    let all: Vec<GpuIdx> = (0..scenario.cluster.n_gpus()).map(GpuIdx).collect();
    let moe = scenario.model.ffn.as_moe();
    let attention = &scenario.model.attention;
    if spec.tp > attention.n_heads || spec.ep > moe.n_routed_experts {
        return None;
    }
    let attention = AttentionLayout::new(&all, spec.tp, 1, attention, &scenario.cluster);
    has_work(scenario, &attention, spec.n_overlapped).then(|| {
        Plan::Routed(RoutedPlan {
            attention,
            experts: expert_layout(scenario, &all, spec.ep, 0),
            colocated: true,
            dispatch: Dispatch::M2n,
            reduce: spec.reduce,
            forward: Forward::None,
            schedule: Schedule::Dataflow,
            n_micro_batches: spec.n_overlapped,
        })
    })
}

fn pipelines(scenario: &Scenario, spec: TpPp) -> Vec<Plan> {
    let model = &scenario.model;
    if spec.pp > model.n_layers || spec.tp > model.attention.n_heads {
        return Vec::new();
    }
    let plan =
        |n| Plan::Pipeline(PipelinePlan::new(spec, n, &model.attention, model.n_layers, batch(scenario)));
    in_flight(scenario, spec).map(plan).collect()
}

/// Micro-batches in flight such that every copy has a sequence in each.
fn in_flight(scenario: &Scenario, spec: TpPp) -> impl Iterator<Item = u32> {
    let all = match spec.n_in_flight {
        Choice::Auto => spec.pp..=MAX_IN_FLIGHT_PER_STAGE * spec.pp,
        Choice::Fixed(n) => n..=n,
    };
    let n_sequences = batch(scenario) / spec.dp;
    all.filter(move |n| n_sequences >= *n)
}

/// What stands against every plan, in words.
fn no_plan(scenario: &Scenario) -> String {
    let (model, moe) = (&scenario.model, scenario.model.ffn.as_moe());
    format!(
        "a batch of {}, {} attention heads, {} experts and {} layers are too few for {}",
        batch(scenario),
        model.attention.n_heads,
        moe.n_routed_experts,
        model.n_layers,
        match &scenario.strategy {
            Strategy::MaSeparation(spec) => format!(
                "{} attention and {} expert GPUs with this split",
                spec.n_attention_gpus, spec.n_expert_gpus
            ),
            Strategy::TpPp(spec) => format!("tp {}, pp {}, dp {}", spec.tp, spec.pp, spec.dp),
            Strategy::DpEp(spec) =>
                format!("dp {}, tp {}, ep {}, n_overlapped {}", spec.dp, spec.tp, spec.ep, spec.n_overlapped),
        }
    )
}

/// The source of a scenario's tokens, for a run on its own.
pub fn routing_of(scenario: &Scenario, pool: &crate::work::routing::RoutingPool) -> Arc<RoutingSource> {
    let model = &scenario.model;
    let at_once = match scenario.workload {
        // The prompts of an inference are a phase of their own.
        Workload::Decode { .. } | Workload::Inference { .. } => 1,
        Workload::Prefill { .. } => scenario.workload.tokens_at_once(),
    };
    let tokens = BatchTokens { n_requests: batch(scenario), of_each: at_once };
    pool.source(&scenario.load, model.ffn.as_moe(), model.n_layers, tokens, scenario.seed)
}
