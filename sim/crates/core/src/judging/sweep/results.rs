//! From a simulated scenario to its row of results.

use std::collections::BTreeMap;

use masim_units::{Bytes, SimDuration};

use super::expand::SweepRow;
use super::result::{Asked, Chosen, Failure, Figures, Row, steady_in_words};
use super::row::{GpuAccountJson, GpuJson, GpuMemoryJson};
use crate::judging::metrics::{Account, GpuMetrics, Metrics};
use crate::program::memory::GpuMemory;
use crate::running::run::Steady;
use crate::scenario::{ContextLen, Overlap, Scenario, Workload};
use crate::search::{Found, SearchError};
use crate::timing::provenance::Provenance;
use crate::timing::regime::Regime;
use crate::timing::uncertainty::{RegimeTime, interval};
use crate::work::routing::context_lens;

/// Outcome of a scenario: the plan that was found and its numbers, or why there are none.
pub type Outcome = Result<(Found, Metrics), SearchError>;

/// The row of `scenario`, which stands in the sweep as `place`.
pub fn row(place: &SweepRow, scenario: &Scenario, outcome: &Outcome) -> Row {
    let given = Chosen::given(&scenario.strategy);
    let mut warnings = scenario.warnings();
    let (chosen, outcome) = match outcome {
        Ok((found, metrics)) => {
            let figures = figures(scenario, found, metrics);
            if let Steady::Unsettled { .. } = figures.steady {
                let steady = steady_in_words(figures.steady, figures.n_steps);
                warnings.push(format!("the time per token did not settle: {steady}"));
            }
            (given.found(&found.plan), Ok(figures))
        }
        Err(error) => {
            let fits = !matches!(error, SearchError::DoesNotFit(_));
            (given, Err(Failure { fits, error: error.to_string() }))
        }
    };
    Row { asked: Some(asked(scenario)), chosen, outcome, warnings, ..failed_row(place, "") }
}

/// A row that says only why its scenario makes no sense.
pub fn failed_row(place: &SweepRow, error: &str) -> Row {
    Row {
        row_idx: place.row_idx,
        point_idx: place.point_idx,
        name: place.name.clone(),
        side: place.side,
        tuned: place.tuned,
        axes: place.axes.clone(),
        asked: None,
        chosen: Chosen::default(),
        outcome: Err(Failure { fits: true, error: error.to_owned() }),
        warnings: Vec::new(),
    }
}

/// The part that the scenario states, without any simulation.
fn asked(scenario: &Scenario) -> Asked {
    let (workload, batch) = (&scenario.workload, scenario.workload.batch());
    let prompt_len = match *workload {
        Workload::Decode { .. } => 0,
        Workload::Prefill { prompt_len, .. } | Workload::Inference { prompt_len, .. } => prompt_len,
    };
    let context_len = workload.decode_context().unwrap_or(ContextLen::Fixed(prompt_len));
    let contexts = context_lens(&context_len, batch, scenario.seed);
    Asked {
        model: scenario.model.name.clone(),
        cluster: scenario.cluster.name.clone(),
        n_gpus: scenario.cluster.n_gpus(),
        profile: scenario.profiles.name.clone(),
        workload: workload.clone(),
        context_len: contexts.iter().map(|&len| f64::from(len)).sum::<f64>() / f64::from(batch),
        load: scenario.load.clone(),
        strategy: scenario.strategy.clone(),
        launch: scenario.launch,
        overlap: scenario.overlap,
        seed: scenario.seed,
    }
}

fn figures(scenario: &Scenario, found: &Found, metrics: &Metrics) -> Figures {
    let n_gpus = f64::from(scenario.cluster.n_gpus());
    let has_tokens = found.run.steady != Steady::Once;
    let provenance = match scenario.overlap {
        // What is left out of the path rests on the assumption too.
        Overlap::Literal { .. } => Provenance::Assumed,
        Overlap::None | Overlap::Chunks { .. } => metrics.critical_path.provenance(),
    };
    let n = f64::from(metrics.n_path_steps);
    let by_work = metrics.critical_path.by_work.iter();
    let by_provenance = metrics.critical_path.by_provenance();
    let total: SimDuration = by_provenance.values().copied().sum();
    let share = |time: SimDuration| time.as_ps() as f64 / total.as_ps() as f64;
    let regimes = regimes(scenario, metrics);
    Figures {
        n_steps: metrics.n_steps,
        tpot_us: has_tokens.then_some(metrics.period_us),
        tpot_interval_us: interval(scenario.seed, metrics.period_us, &regimes),
        tpot_step_us: has_tokens.then_some(metrics.step_us),
        step_time_us: metrics.step_time_us,
        ttft_us: metrics.request.map(|request| request.ttft_us),
        makespan_us: metrics.request.map(|request| request.makespan_us),
        closed_form_us: found.closed_form_us,
        work_bound_us: metrics.work_bound_us,
        tokens_per_sec: metrics.tokens_per_sec,
        tokens_per_sec_per_gpu: metrics.tokens_per_sec / n_gpus,
        busy_share: metrics.busy_share,
        resident_share: metrics.resident_share,
        mfu: metrics.mfu,
        mbu: metrics.mbu,
        comm_exposed_us: metrics.comm_exposed_us,
        comm_us: metrics.comm_us,
        comm_overlap: metrics.comm_overlap,
        host_us: scenario.host_overhead.map(|_| metrics.host_us),
        wait_mean_us: metrics.wait_mean_us,
        power_mean_w: metrics.power_w() / n_gpus,
        energy_per_token_j: metrics.energy_per_token_j(),
        memory_max_gib: found.memory.iter().map(|(_, memory)| memory.total()).max().map(Bytes::as_gib),
        provenance,
        provenance_shares: by_provenance.into_iter().map(|(level, time)| (level, share(time))).collect(),
        steady: found.run.steady,
        critical_path: by_work.map(|(work, time)| ((*work).to_owned(), time.as_us() / n)).collect(),
        regimes,
        gpus: gpus(scenario, found, metrics),
    }
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
