//! The numbers of a run: what a row of results says.

use std::collections::BTreeMap;

use masim_units::{SimDuration, SimTime};

use super::account::{Account, GpuMetrics, cold_accounts};
use super::critical::CriticalPath;
use super::energy::beside_kernels_j;
use super::ledger::Ledger;
use super::overlap::Communication;
use crate::inputs::topology::GpuIdx;
use crate::plan::Plan;
use crate::running::run::{CopySteps, Run, Steady, steady};
use crate::scenario::{Overlap, Scenario, Workload};
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
    /// Time in which the host was waited for, mean over GPUs.
    pub host_us: f64,
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
    /// The longest dependent chain of the window, added up over copies.
    pub critical_path: CriticalPath,
    /// Steps that the critical path goes through: the measured ones of each copy.
    pub n_path_steps: u32,
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

/// Measures a finished run of `plan` that kept all measured steps.
///
/// # Panics
///
/// When the run has forgotten steps.
pub fn measure(scenario: &Scenario, plan: &Plan, run: &Run, routing: &RoutingSource) -> Metrics {
    let ledger = Ledger::new(scenario, plan, routing);
    measure_folded(scenario, plan, run, vec![ledger; run.copies.len()])
}

/// Measures a finished run of `plan`, of which `ledgers` have taken in the steps of each copy that it has forgotten.
///
/// # Panics
///
/// When they are those of another run.
pub fn measure_folded(scenario: &Scenario, plan: &Plan, run: &Run, ledgers: Vec<Ledger<'_>>) -> Metrics {
    assert_eq!(ledgers.len(), run.copies.len(), "each copy has a ledger");
    let n_steps = run.n_measured();
    let period_us = run.period_us();
    let closed: Vec<_> =
        ledgers.into_iter().zip(&run.copies).map(|(ledger, copy)| ledger.close(run, copy)).collect();
    let need = closed[0].1.mean();
    let gpus = gpus(plan, run, closed.iter().flat_map(|(copy, _)| copy.accounts.iter().copied()));
    let n_gpu_steps = gpus.len() as f64 * f64::from(n_steps);
    let mean_us = |of: fn(&Account) -> SimDuration| {
        gpus.iter().map(|gpu| of(&gpu.window).as_us()).sum::<f64>() / n_gpu_steps
    };
    let mut communication = Communication::default();
    let mut path = CriticalPath::default();
    for (copy, _) in &closed {
        communication.add(&copy.communication);
        path.join(&copy.path);
    }
    let kernels_j: Vec<f64> = closed.iter().map(|(copy, _)| copy.kernels_j).collect();
    let energy_j = energy_j(scenario, run, &gpus, &kernels_j);
    let period_secs = period_us * 1e-6;
    Metrics {
        n_steps,
        period_us,
        step_us: percentiles(run),
        step_time_us: run.cold_end().as_us(),
        work_bound_us: need.bound_secs * 1e6,
        tokens_per_sec: tokens_per_sec(scenario, plan, run),
        busy_share: mean_us(Account::kernels) / period_us,
        host_us: mean_us(|account| account.host),
        resident_share: mean_us(|account| account.kernels() + account.resident_wait) / period_us,
        mfu: need.flops / need.peak / period_secs,
        mbu: need.bytes / need.memory_bandwidth / period_secs,
        comm_exposed_us: mean_us(|account| account.wire),
        comm_us: communication.total.as_us() / n_gpu_steps,
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
        critical_path: path,
        n_path_steps: n_steps * u32::try_from(run.copies.len()).expect("few copies"),
        gpus,
    }
}

/// The accounts of all GPUs: `window` in the measured stretch of each one's copy, and those of the cold step.
fn gpus(plan: &Plan, run: &Run, window: impl Iterator<Item = (GpuIdx, Account)>) -> Vec<GpuMetrics> {
    let window: BTreeMap<GpuIdx, Account> = window.collect();
    let roles = plan.roles();
    let cold = cold_accounts(run, &roles);
    let metrics = |((gpu, role), cold)| GpuMetrics { gpu, role, window: window[&gpu], cold };
    roles.into_iter().zip(cold).map(metrics).collect()
}

/// Output tokens of all copies, each at its own pace.
fn tokens_per_sec(scenario: &Scenario, plan: &Plan, run: &Run) -> f64 {
    let batch = |copy: &CopySteps| match plan {
        Plan::Pipeline(pipeline) if run.copies.len() > 1 => {
            pipeline.copies[copy.position].tokens.len() as f64
        }
        Plan::Pipeline(_) | Plan::Routed(_) => f64::from(scenario.workload.batch()),
    };
    run.copies.iter().map(|copy| batch(copy) / (run.period_of_us(copy) * 1e-6)).sum()
}

/// Joules of all GPUs in a measured step; those of each copy over its own stretch.
fn energy_j(scenario: &Scenario, run: &Run, gpus: &[GpuMetrics], kernels_j: &[f64]) -> f64 {
    let n_steps = f64::from(run.n_measured());
    let of_copy = |(copy, kernels_j): (&CopySteps, &f64)| {
        let stretch = run.stretch(copy);
        let secs = stretch.to.since(stretch.from).as_secs();
        let own = gpus.iter().filter(|gpu| copy.gpus.contains(&gpu.gpu));
        let beside: f64 = own.map(|gpu| beside_kernels_j(scenario, gpu, secs)).sum();
        // A copy that is faster than the mean does more of its steps in a mean one.
        (beside + kernels_j) / n_steps * (run.period_us() / run.period_of_us(copy))
    };
    run.copies.iter().zip(kernels_j).map(of_copy).sum()
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

/// 5th and 95th percentile of the measured steps of all copies.
fn percentiles(run: &Run) -> (f64, f64) {
    if run.steady == Steady::Once {
        return (run.cold_end().as_us(), run.cold_end().as_us());
    }
    let of_copy = |copy: &CopySteps| {
        let ends: Vec<SimTime> = (run.window.first..=run.window.last).map(|step| copy.end_of(step)).collect();
        steady::periods(&ends)
    };
    let mut periods: Vec<f64> = run.copies.iter().flat_map(of_copy).collect();
    periods.sort_by(f64::total_cmp);
    let at = |percent: usize| periods[(periods.len() * percent).div_ceil(100).max(1) - 1];
    (at(5), at(95))
}
