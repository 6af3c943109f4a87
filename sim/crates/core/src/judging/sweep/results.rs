//! From a simulated scenario to its row of results.

use std::collections::BTreeMap;

use masim_units::{Bytes, SimDuration};

use super::expand::SweepRow;
use super::row::{CriticalJson, GpuAccountJson, GpuJson, GpuMemoryJson, RowJson};
use crate::judging::metrics::{Account, GpuMetrics, Metrics};
use crate::plan::Plan;
use crate::program::memory::GpuMemory;
use crate::running::run::Steady;
use crate::scenario::{
    Choice, ContextLen, Dispatch, ExpertLoad, Forward, Launch, Overlap, Placement, Scenario, Schedule,
    Strategy, Workload,
};
use crate::search::{Found, SearchError};
use crate::timing::provenance::Provenance;
use crate::timing::regime::Regime;
use crate::timing::uncertainty::{RegimeTime, interval};
use crate::work::routing::context_lens;

/// What became of a scenario: the plan that was found and its numbers, or why there are none.
pub type Outcome = Result<(Found, Metrics), SearchError>;

/// The row of `scenario`, which stands in the sweep as `place`.
pub fn row(place: &SweepRow, scenario: &Scenario, outcome: &Outcome) -> RowJson {
    let mut row = described(place, scenario);
    match outcome {
        Ok((found, metrics)) => {
            fill_choices(&mut row, &found.plan);
            fill_figures(&mut row, scenario, found, metrics);
            row.gpus = gpus(scenario, found, metrics);
        }
        Err(error) => {
            row.fits = !matches!(error, SearchError::DoesNotFit(_));
            row.error = Some(error.to_string());
        }
    }
    row
}

/// A row that says only why its scenario makes no sense.
pub fn failed_row(place: &SweepRow, error: &str) -> RowJson {
    RowJson { error: Some(error.to_owned()), ..blank(place) }
}

/// A row without figures.
fn blank(place: &SweepRow) -> RowJson {
    RowJson {
        row_idx: place.row_idx,
        point_idx: place.point_idx,
        name: place.name.clone(),
        side: place.side,
        tuned: place.tuned,
        profile: "none".to_owned(),
        phase: "decode".to_owned(),
        fits: true,
        axes: place.axes.clone(),
        ..RowJson::default()
    }
}

/// What the scenario says, without any simulation.
fn described(place: &SweepRow, scenario: &Scenario) -> RowJson {
    let (workload, batch) = (&scenario.workload, scenario.workload.batch());
    let (prompt_len, output_len) = match *workload {
        Workload::Decode { .. } => (None, None),
        Workload::Prefill { prompt_len, .. } => (Some(prompt_len), None),
        Workload::Inference { prompt_len, output_len, .. } => (Some(prompt_len), Some(output_len)),
    };
    let is_prefill = matches!(workload, Workload::Prefill { .. });
    let of_prompts = || ContextLen::Fixed(prompt_len.unwrap_or(0));
    let context_len = workload.decode_context().unwrap_or_else(of_prompts);
    let contexts = context_lens(&context_len, batch, scenario.seed);
    let mut row = RowJson {
        phase: workload.phase().to_owned(),
        model: scenario.model.name.clone(),
        cluster: scenario.cluster.name.clone(),
        profile: scenario.profiles.name.clone(),
        warnings: scenario.warnings(),
        batch,
        context_len: contexts.iter().map(|&len| f64::from(len)).sum::<f64>() / f64::from(batch),
        context_len_kind: context_kind(&context_len).to_owned(),
        prompt_len,
        output_len,
        chunk_len: is_prefill.then(|| workload.tokens_at_once()),
        expert_load: load_name(&scenario.load),
        n_gpus: scenario.cluster.n_gpus(),
        launch: match scenario.launch {
            Launch::Eager => "eager".to_owned(),
            Launch::Graph => "graph".to_owned(),
        },
        seed: scenario.seed,
        overlap: overlap_name(scenario.overlap),
        ..blank(place)
    };
    describe_strategy(&mut row, &scenario.strategy);
    row
}

fn describe_strategy(row: &mut RowJson, strategy: &Strategy) {
    let given = |choice: Choice| match choice {
        Choice::Auto => None,
        Choice::Fixed(n) => Some(n),
    };
    strategy.kind().clone_into(&mut row.strategy);
    match strategy {
        Strategy::MaSeparation(spec) => {
            row.n_attention_gpus = Some(spec.n_attention_gpus);
            row.n_expert_gpus = Some(spec.n_expert_gpus);
            row.heads = given(spec.attention.heads);
            row.sequences = given(spec.attention.sequences);
            row.replicas = given(spec.attention.replicas);
            row.replica_mode = Some("data".to_owned());
            row.ep = given(spec.experts.ep);
            row.expert_tp = given(spec.experts.tp);
            row.copies = Some(spec.experts.copies);
            row.n_micro_batches = given(spec.n_micro_batches);
            row.placement = Some(placement_name(&spec.placement));
            row.dispatch = Some(match spec.dispatch {
                Dispatch::M2n => "m2n".to_owned(),
                Dispatch::Broadcast => "broadcast".to_owned(),
            });
            row.forward = Some(match spec.forward {
                Forward::None => "none".to_owned(),
                Forward::Node => "node".to_owned(),
            });
            row.schedule = Some(match spec.schedule {
                Schedule::Dataflow => "dataflow".to_owned(),
                Schedule::Lockstep => "lockstep".to_owned(),
            });
        }
        Strategy::TpPp(spec) => {
            (row.tp, row.pp, row.dp) = (Some(spec.tp), Some(spec.pp), Some(spec.dp));
            row.n_in_flight = given(spec.n_in_flight);
        }
        Strategy::DpEp(spec) => {
            (row.tp, row.dp, row.ep) = (Some(spec.tp), Some(spec.dp), Some(spec.ep));
            row.n_overlapped = Some(spec.n_overlapped);
        }
    }
}

/// The choices that the search made.
fn fill_choices(row: &mut RowJson, plan: &Plan) {
    match plan {
        Plan::Routed(plan) => {
            row.ep = Some(plan.experts.ep());
            row.expert_tp = Some(plan.experts.tp());
            row.expert_reduce = (plan.experts.tp() > 1).then(|| plan.reduce.name().to_owned());
            if !plan.colocated {
                row.heads = Some(plan.attention.heads);
                row.sequences = Some(plan.attention.sequences);
                row.replicas = u32::try_from(plan.attention.replicas.len()).ok();
                row.n_micro_batches = Some(plan.n_micro_batches);
            }
        }
        Plan::Pipeline(plan) => row.n_in_flight = Some(plan.n_in_flight),
    }
}

fn fill_figures(row: &mut RowJson, scenario: &Scenario, found: &Found, metrics: &Metrics) {
    let per_gpu = metrics.tokens_per_sec / f64::from(row.n_gpus);
    row.n_steps = Some(metrics.n_steps);
    if found.run.steady != Steady::Once {
        row.tpot_us = Some(metrics.period_us);
        row.tpot_step_p05_us = Some(metrics.step_us.0);
        row.tpot_step_p95_us = Some(metrics.step_us.1);
    }
    row.ttft_us = metrics.request.map(|request| request.ttft_us);
    row.makespan_us = metrics.request.map(|request| request.makespan_us);
    row.power_mean_w = Some(metrics.power_w() / f64::from(row.n_gpus));
    row.energy_per_token_j = Some(metrics.energy_per_token_j());
    row.step_time_us = Some(metrics.step_time_us);
    row.closed_form_us = Some(found.closed_form_us);
    row.work_bound_us = Some(metrics.work_bound_us);
    row.tokens_per_sec = Some(metrics.tokens_per_sec);
    row.tokens_per_sec_per_gpu = Some(per_gpu);
    row.busy_share = Some(metrics.busy_share);
    row.resident_share = Some(metrics.resident_share);
    row.mfu = Some(metrics.mfu);
    row.mbu = Some(metrics.mbu);
    row.comm_exposed_us = Some(metrics.comm_exposed_us);
    row.comm_us = Some(metrics.comm_us);
    row.comm_overlap = metrics.comm_overlap;
    row.host_us = scenario.host_overhead.map(|_| metrics.host_us);
    row.wait_mean_us = Some(metrics.wait_mean_us);
    row.memory_max_gib = found.memory.iter().map(|(_, memory)| memory.total()).max().map(Bytes::as_gib);
    let provenance = match scenario.overlap {
        // What is left out of the path rests on the assumption too.
        Overlap::Literal { .. } => Provenance::Assumed,
        Overlap::None | Overlap::Chunks { .. } => metrics.critical_path.provenance(),
    };
    row.provenance = Some(provenance.name().to_owned());
    let (steady, warning) = steady_in_words(found.run.steady, metrics.n_steps);
    row.steady = Some(steady);
    row.warnings.extend(warning);
    let n = f64::from(metrics.n_path_steps);
    let by_work = &metrics.critical_path.by_work;
    row.critical_path = by_work
        .iter()
        .map(|(work, time)| CriticalJson { work: (*work).to_owned(), time_us: time.as_us() / n })
        .collect();
    row.regimes = regimes(scenario, metrics);
    let interval = interval(row.seed, metrics.period_us, &row.regimes);
    (row.tpot_p05_us, row.tpot_p95_us) = (interval.map(|it| it.0), interval.map(|it| it.1));
    let by_provenance = metrics.critical_path.by_provenance();
    let total: SimDuration = by_provenance.values().copied().sum();
    let share = |time: &SimDuration| time.as_ps() as f64 / total.as_ps() as f64;
    row.provenance_shares =
        by_provenance.iter().map(|(level, time)| (level.name().to_owned(), share(time))).collect();
}

/// The times of the critical path whose errors are known, of one steady step.
fn regimes(scenario: &Scenario, metrics: &Metrics) -> Vec<RegimeTime> {
    let mut times = BTreeMap::<_, SimDuration>::new();
    for (basis, time) in &metrics.critical_path.by_basis {
        if let Some(regime) = basis.regime {
            *times.entry(regime).or_default() += *time;
        }
    }
    let of_regime = |(regime, time): (Regime, SimDuration)| {
        Some(RegimeTime {
            regime,
            time_us: time.as_us() / f64::from(metrics.n_path_steps),
            spread: scenario.profiles.spread(regime)?,
        })
    };
    times.into_iter().filter_map(of_regime).collect()
}

fn steady_in_words(steady: Steady, n_steps: u32) -> (String, Option<String>) {
    match steady {
        Steady::Repeats { n_steps: 1 } => ("every step repeats to the picosecond".to_owned(), None),
        Steady::Once => ("prompts follow no others: their makespan".to_owned(), None),
        Steady::Repeats { n_steps } => (format!("every {n_steps} steps repeat to the picosecond"), None),
        Steady::Settled { half_width } => {
            (format!("mean of {n_steps} steps, known to {:.2} % (95 % confidence)", 100.0 * half_width), None)
        }
        Steady::Unsettled { half_width } => {
            let text = format!(
                "mean of {n_steps} steps, known only to {:.2} % (95 % confidence)",
                100.0 * half_width
            );
            (text.clone(), Some(format!("the time per token did not settle: {text}")))
        }
    }
}

fn gpus(scenario: &Scenario, found: &Found, metrics: &Metrics) -> Vec<GpuJson> {
    let json = |(gpu, (_, memory)): (&GpuMetrics, &(_, GpuMemory))| GpuJson {
        gpu: scenario.cluster.gpu(gpu.gpu).name.clone(),
        role: gpu.role.to_string(),
        steady: account(&gpu.window, metrics.n_steps),
        host_us: gpu.window.host.as_us() / f64::from(metrics.n_steps),
        cold: account(&gpu.cold, 1),
        memory_gib: GpuMemoryJson {
            weights: memory.weights.as_gib(),
            kv: memory.kv.as_gib(),
            activations: memory.activations.as_gib(),
            buffers: memory.buffers.as_gib(),
        },
    };
    metrics.gpus.iter().zip(&found.memory).map(json).collect()
}

fn account(account: &Account, n_steps: u32) -> GpuAccountJson {
    let us = |time: SimDuration| time.as_us() / f64::from(n_steps);
    GpuAccountJson {
        busy_us: us(account.busy),
        wait_imbalance_us: us(account.imbalance),
        wait_dependency_us: us(account.dependency),
        wait_wire_us: us(account.wire),
        fill_drain_us: us(account.fill_drain),
    }
}

fn context_kind(context: &ContextLen) -> &'static str {
    match context {
        ContextLen::Fixed(_) => "fixed",
        ContextLen::Uniform { .. } => "uniform",
        ContextLen::Lognormal { .. } => "lognormal",
        ContextLen::List(_) => "list",
        ContextLen::Trace(_) => "trace",
    }
}

fn overlap_name(overlap: Overlap) -> String {
    match overlap {
        Overlap::None => "none".to_owned(),
        Overlap::Chunks { n } => format!("chunks({n})"),
        Overlap::Literal { exposed } => format!("literal({exposed})"),
    }
}

fn load_name(load: &ExpertLoad) -> String {
    match load {
        ExpertLoad::Balanced => "balanced".to_owned(),
        ExpertLoad::Uniform => "uniform".to_owned(),
        ExpertLoad::Zipf { exponent } => format!("zipf({exponent})"),
        ExpertLoad::PowerLaw { exponent } => format!("power_law({exponent})"),
        ExpertLoad::Histogram { tokens } => {
            let counts: Vec<String> = tokens.iter().map(u64::to_string).collect();
            format!("histogram({})", counts.join(" "))
        }
    }
}

fn placement_name(placement: &Placement) -> String {
    let list = |gpus: &[crate::inputs::topology::GpuIdx]| {
        let all: Vec<String> = gpus.iter().map(|gpu| gpu.0.to_string()).collect();
        format!("[{}]", all.join(","))
    };
    match placement {
        Placement::Blocked => "blocked".to_owned(),
        Placement::Interleaved => "interleaved".to_owned(),
        Placement::List { attention, expert } => {
            format!("{{\"attention\":{},\"expert\":{}}}", list(attention), list(expert))
        }
    }
}
