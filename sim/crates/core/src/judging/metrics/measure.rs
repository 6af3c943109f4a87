//! The numbers of a run: what a row of results says.

use masim_engine::GraphId;
use masim_units::{SimDuration, SimTime};

use super::account::{Account, GpuMetrics, accounts};
use super::critical::{CriticalPath, critical_path};
use super::energy::energy_j;
use super::overlap::Communication;
use crate::plan::Plan;
use crate::running::run::{Run, Steady, steady};
use crate::scenario::{Overlap, Scenario, Workload};
use crate::search::theory::step_work;
use crate::work::ops::Op;
use crate::work::routing::RoutingSource;

/// What a run means.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Measured steps.
    pub n_steps: u32,
    /// Time between two tokens of one micro-batch in steady state; of prompts, the makespan.
    pub period_us: f64,
    /// 5th and 95th percentile of the measured steps, nearest rank.
    pub step_us: (f64, f64),
    /// Makespan of one cold step, fill and drain included.
    pub step_time_us: f64,
    /// No strategy on these GPUs can be faster.
    pub work_bound_us: f64,
    /// Output tokens of the whole system.
    pub tokens_per_sec: f64,
    /// Share of the time in which a compute kernel runs, mean over GPUs.
    pub busy_share: f64,
    /// Share in which any kernel is resident, waiting inside a communication kernel included.
    pub resident_share: f64,
    /// Model FLOPs over time x peak of all GPUs.
    pub mfu: f64,
    /// Bytes that must be read over time x memory bandwidth of all GPUs.
    pub mbu: f64,
    /// Idle time in which data was on its way, mean over GPUs.
    pub comm_exposed_us: f64,
    /// Time in which data of a GPU is on its way, mean over GPUs.
    pub comm_us: f64,
    /// The share of it in which the same GPU computes; `None` without communication, or where it is assumed.
    pub comm_overlap: Option<f64>,
    /// Idle time, mean over GPUs.
    pub wait_mean_us: f64,
    /// Joules of all GPUs in a measured step.
    pub energy_j: f64,
    /// What requests see from their beginning, where the workload has one.
    pub request: Option<Request>,
    /// The longest dependent chain of the window.
    pub critical_path: CriticalPath,
    /// By GPU: its role, a steady step, and the cold step.
    pub gpus: Vec<GpuMetrics>,
}

/// Requests from their prompts on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Time to the first token of all sequences.
    pub ttft_us: f64,
    /// Time to the last token of all sequences.
    pub makespan_us: f64,
    /// Joules of all GPUs until then.
    pub energy_j: f64,
}

/// Measures a finished run of `plan`.
pub fn measure(scenario: &Scenario, plan: &Plan, run: &Run, routing: &RoutingSource) -> Metrics {
    let batch = scenario.workload.batch();
    let n_steps = run.n_measured();
    let (from, to) = run.measured();
    let window = to.since(from);
    let period_us = window.as_us() / f64::from(n_steps);
    let roles = plan.roles();
    let (steady, cold) = accounts(run, &roles);
    let gpus: Vec<GpuMetrics> = roles
        .into_iter()
        .zip(steady.into_iter().zip(cold))
        .map(|((gpu, role), (window, cold))| GpuMetrics { gpu, role, window, cold })
        .collect();
    let mean_us = |of: fn(&Account) -> SimDuration| {
        gpus.iter().map(|gpu| of(&gpu.window).as_us()).sum::<f64>() / (gpus.len() as f64 * f64::from(n_steps))
    };
    let communication = Communication::of(run);
    let need = Need::of(scenario, run, routing);
    let energy_j = energy_j(scenario, run, &gpus) / f64::from(n_steps);
    let period_secs = period_us * 1e-6;
    Metrics {
        n_steps,
        period_us,
        step_us: percentiles(run),
        step_time_us: run.cold_end().as_us(),
        work_bound_us: need.bound_secs * 1e6,
        tokens_per_sec: f64::from(batch) / period_secs,
        busy_share: mean_us(|account| account.busy) / period_us,
        resident_share: mean_us(|account| account.busy + account.resident_wait) / period_us,
        mfu: need.flops / need.peak / period_secs,
        mbu: need.bytes / need.memory_bandwidth / period_secs,
        comm_exposed_us: mean_us(|account| account.wire),
        comm_us: communication.total.as_us() / (gpus.len() as f64 * f64::from(n_steps)),
        comm_overlap: match scenario.overlap {
            Overlap::None | Overlap::Chunks { .. } => communication.overlap(),
            Overlap::Literal { .. } => None,
        },
        wait_mean_us: mean_us(Account::waits),
        energy_j,
        request: match scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => None,
            Workload::Prefill { .. } => {
                Some(Request { ttft_us: period_us, makespan_us: period_us, energy_j })
            }
        },
        critical_path: critical_path(run),
        gpus,
    }
}

impl Metrics {
    /// Whole requests: `prompts`, then these steps until every sequence has `output_len` tokens.
    #[must_use]
    pub fn with_prompts(self, prompts: &Self, batch: u32, output_len: u32) -> Self {
        // The prompt gives the first token.
        let n_steps = f64::from(output_len - 1);
        let makespan_us = prompts.period_us + n_steps * self.period_us;
        let energy_j = prompts.energy_j + n_steps * self.energy_j;
        let tokens_per_sec = f64::from(batch) * f64::from(output_len) / (makespan_us * 1e-6);
        let request = Request { ttft_us: prompts.period_us, makespan_us, energy_j };
        Self { tokens_per_sec, request: Some(request), ..self }
    }

    /// Joules of all GPUs for an output token.
    pub fn energy_per_token_j(&self) -> f64 {
        self.power_w() / self.tokens_per_sec
    }

    /// Watts of all GPUs, mean over the measured step or over whole requests.
    pub fn power_w(&self) -> f64 {
        let (energy_j, us) = match self.request {
            Some(request) => (request.energy_j, request.makespan_us),
            None => (self.energy_j, self.period_us),
        };
        energy_j / (us * 1e-6)
    }
}

/// What the measured steps need on average, and what the cluster gives.
struct Need {
    flops: f64,
    bytes: f64,
    bound_secs: f64,
    peak: f64,
    memory_bandwidth: f64,
}

impl Need {
    fn of(scenario: &Scenario, run: &Run, routing: &RoutingSource) -> Self {
        let dtype = Op::compute_dtype(&scenario.model.dtype);
        let cards = || scenario.cluster.gpus.iter().map(|gpu| &gpu.card);
        let mut need = Self {
            flops: 0.0,
            bytes: 0.0,
            bound_secs: 0.0,
            peak: cards().map(|card| card.peak[&dtype].per_sec()).sum(),
            memory_bandwidth: cards().map(|card| card.memory_bandwidth.bytes_per_sec() as f64).sum(),
        };
        let steps = run.measured_steps();
        // Constant work is the same in all steps: one of them is their mean.
        let last = if routing.is_constant() { *steps.start() } else { *steps.end() };
        let n = f64::from(last - steps.start() + 1);
        for step in *steps.start()..=last {
            let work = step_work(scenario, &routing.step(step));
            need.flops += work.flops.0 / n;
            need.bytes += work.bytes.0 as f64 / n;
            need.bound_secs += work.bound_secs / n;
        }
        need
    }
}

/// 5th and 95th percentile of the measured steps.
fn percentiles(run: &Run) -> (f64, f64) {
    if run.steady == Steady::Once {
        return (run.cold_end().as_us(), run.cold_end().as_us());
    }
    let ends = |step: u32| -> Vec<SimTime> {
        let trace = &run.steps[step as usize].trace;
        debug_assert_eq!(trace.graph, GraphId(u64::from(step)), "steps are in order of graphs");
        run.done.iter().map(|&task| trace.span(task).end).collect()
    };
    let all: Vec<Vec<SimTime>> = (run.window.first..=run.window.last).map(ends).collect();
    let mut periods = steady::periods(all.iter().map(Vec::as_slice));
    periods.sort_by(f64::total_cmp);
    let at = |percent: usize| periods[(periods.len() * percent).div_ceil(100).max(1) - 1];
    (at(5), at(95))
}
