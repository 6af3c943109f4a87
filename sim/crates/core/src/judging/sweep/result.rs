//! One row of results as values: what was asked, what was chosen, and the figures.
//!
//! Columns are made of it when it is written, and nowhere else.

use std::collections::BTreeMap;

use super::row::{GpuJson, Side};
use crate::plan::Plan;
use crate::running::run::Steady;
use crate::scenario::{Choice, ContextLen, ExpertLoad, ExpertReduce, Launch, Overlap, Strategy, Workload};
use crate::timing::provenance::Provenance;
use crate::timing::uncertainty::RegimeTime;

/// One point and one strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Counts rows from 0.
    pub row_idx: u32,
    /// Counts combinations of the axes that do not name `strategy`, in file order.
    pub point_idx: u32,
    /// The baseline's name, or the strategy's.
    pub name: String,
    /// The side of the verdict on which it stands.
    pub side: Side,
    /// True if it is tuned as the splits are; a baseline that is not has no part in the verdict.
    pub tuned: bool,
    /// Values of the axes that have no column of their own, by path.
    pub axes: BTreeMap<String, String>,
    /// The scenario in short; none where it makes no sense.
    pub asked: Option<Asked>,
    /// The numbers of the plan.
    pub chosen: Chosen,
    /// The figures, or why there are none.
    pub outcome: Result<Figures, Failure>,
    /// Warnings to check before trusting the row.
    pub warnings: Vec<String>,
}

/// A scenario in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Model card.
    pub model: String,
    /// Cluster.
    pub cluster: String,
    /// All its GPUs.
    pub n_gpus: u32,
    /// Calibrated profile, or `none`.
    pub profile: String,
    /// The phase and its size.
    pub workload: Workload,
    /// Mean over the sequences; of prompts their length, of an inference that of its mean decode step.
    pub context_len: f64,
    /// Distribution of tokens over experts.
    pub load: ExpertLoad,
    /// The strategy, with what it leaves to the search.
    pub strategy: Strategy,
    /// Launch of kernels.
    pub launch: Launch,
    /// Place of communication beside computation.
    pub overlap: Overlap,
    /// The origin of all randomness.
    pub seed: u64,
}

impl Asked {
    /// The kind of its contexts; `fixed` for a number, and for prompts.
    pub fn context_len_kind(&self) -> &'static str {
        self.workload.decode_context().as_ref().map_or("fixed", ContextLen::kind)
    }

    /// GPUs that do attention, and GPUs that do experts, where these are different ones.
    pub fn pools(&self) -> Option<(u32, u32)> {
        match &self.strategy {
            Strategy::MaSeparation(split) => Some((split.n_attention_gpus, split.n_expert_gpus)),
            Strategy::TpPp(_) | Strategy::DpEp(_) => None,
        }
    }
}

/// The numbers of a plan: of the one that was found, or without one those that the strategy fixes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// GPUs among which the heads of a layer are split.
    pub heads: Option<u32>,
    /// GPUs among which the cache of one sequence is split.
    pub sequences: Option<u32>,
    /// Groups with sequences of their own.
    pub replicas: Option<u32>,
    /// Groups among which whole experts are spread.
    pub ep: Option<u32>,
    /// GPUs among which each expert is split.
    pub expert_tp: Option<u32>,
    /// Place of the sum over the GPUs that split an expert; none where none does, and until a plan is found.
    pub expert_reduce: Option<ExpertReduce>,
    /// Extra instances of popular experts.
    pub copies: Option<u32>,
    /// Tensor-parallel GPUs.
    pub tp: Option<u32>,
    /// Pipeline stages.
    pub pp: Option<u32>,
    /// Data-parallel groups.
    pub dp: Option<u32>,
    /// Shares of the batch that move through the pools one after the other.
    pub n_micro_batches: Option<u32>,
    /// Micro-batches under way at once in a pipeline.
    pub n_in_flight: Option<u32>,
    /// Half-batches overlapped by `dp_ep`.
    pub n_overlapped: Option<u32>,
}

impl Chosen {
    /// Choices that `strategy` fixes.
    pub fn given(strategy: &Strategy) -> Self {
        let fixed = |choice: Choice| match choice {
            Choice::Auto => None,
            Choice::Fixed(n) => Some(n),
        };
        match strategy {
            Strategy::MaSeparation(split) => Self {
                heads: fixed(split.attention.heads),
                sequences: fixed(split.attention.sequences),
                replicas: fixed(split.attention.replicas),
                ep: fixed(split.experts.ep),
                expert_tp: fixed(split.experts.tp),
                copies: Some(split.experts.copies),
                n_micro_batches: fixed(split.n_micro_batches),
                ..Self::default()
            },
            Strategy::TpPp(spec) => Self {
                tp: Some(spec.tp),
                pp: Some(spec.pp),
                dp: Some(spec.dp),
                n_in_flight: fixed(spec.n_in_flight),
                ..Self::default()
            },
            Strategy::DpEp(spec) => Self {
                tp: Some(spec.tp),
                dp: Some(spec.dp),
                ep: Some(spec.ep),
                n_overlapped: Some(spec.n_overlapped),
                ..Self::default()
            },
        }
    }

    /// The same beside what `plan` chose.
    #[must_use]
    pub fn found(self, plan: &Plan) -> Self {
        match plan {
            Plan::Routed(plan) => {
                let experts = Self {
                    ep: Some(plan.experts.ep()),
                    expert_tp: Some(plan.experts.tp()),
                    expert_reduce: (plan.experts.tp() > 1).then_some(plan.reduce),
                    ..self
                };
                if plan.colocated {
                    return experts;
                }
                Self {
                    heads: Some(plan.attention.heads),
                    sequences: Some(plan.attention.sequences),
                    replicas: u32::try_from(plan.attention.replicas.len()).ok(),
                    n_micro_batches: Some(plan.n_micro_batches),
                    ..experts
                }
            }
            Plan::Pipeline(plan) => Self { n_in_flight: Some(plan.n_in_flight), ..self },
        }
    }
}

/// Why there are no figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// True if weights, cache and buffers fit into every GPU, as far as that was asked.
    pub fits: bool,
    /// In a sentence.
    pub error: String,
}

/// The numbers of a run. Times are microseconds, shares are fractions.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Measured steps.
    pub n_steps: u32,
    /// Time between two tokens of one micro-batch in steady state; none for prompts.
    pub tpot_us: Option<f64>,
    /// 90 % of the model errors keep it between these; none until a profile has residuals.
    pub tpot_interval_us: Option<(f64, f64)>,
    /// 5th and 95th percentile over the measured steps; none for prompts.
    pub tpot_step_us: Option<(f64, f64)>,
    /// Makespan of one cold step, fill and drain included.
    pub step_time_us: f64,
    /// Time to the first token of all sequences, where there are prompts.
    pub ttft_us: Option<f64>,
    /// Time to the last token of all sequences, where there are prompts.
    pub makespan_us: Option<f64>,
    /// The time by the closed form.
    pub closed_form_us: f64,
    /// No strategy on these GPUs can be faster.
    pub work_bound_us: f64,
    /// Output tokens of the whole system.
    pub tokens_per_sec: f64,
    /// The same per GPU, both roles counted.
    pub tokens_per_sec_per_gpu: f64,
    /// Share of the time in which a compute kernel runs, mean over GPUs.
    pub busy_share: f64,
    /// Share in which any kernel is resident, waiting inside a communication kernel included.
    pub resident_share: f64,
    /// Model FLOPs over time x GPUs x peak.
    pub mfu: f64,
    /// Bytes that must be read over time x memory bandwidth.
    pub mbu: f64,
    /// Idle time in which the wire was waited for, mean over GPUs.
    pub comm_exposed_us: f64,
    /// Time in which data of a GPU is on its way, mean over GPUs; what is assumed to be hidden is left out.
    pub comm_us: f64,
    /// The share of it in which the same GPU computes; none where it is assumed.
    pub comm_overlap: Option<f64>,
    /// Time in which GPUs wait for their host, mean over GPUs; none without a model of the host.
    pub host_us: Option<f64>,
    /// Idle time, mean over GPUs.
    pub wait_mean_us: f64,
    /// Watts of one GPU, mean over GPUs and over the measured step, or over whole requests.
    pub power_mean_w: f64,
    /// Joules of all GPUs for an output token.
    pub energy_per_token_j: f64,
    /// The fullest GPU.
    pub memory_max_gib: Option<f64>,
    /// Weakest level that carries at least 5 % of the critical path.
    pub provenance: Provenance,
    /// Share of the critical path from each level of provenance.
    pub provenance_shares: BTreeMap<Provenance, f64>,
    /// Outcome of the measurement.
    pub steady: Steady,
    /// Critical path of a steady step: microseconds by kind of work.
    pub critical_path: Vec<(String, f64)>,
    /// Times of the critical path that share their errors.
    pub regimes: Vec<RegimeTime>,
    /// Account of each GPU.
    pub gpus: Vec<GpuJson>,
}

impl Row {
    /// The figures, if it has some.
    pub fn figures(&self) -> Option<&Figures> {
        self.outcome.as_ref().ok()
    }

    /// One of the figures, if it has some.
    pub fn figure<T>(&self, of: impl Fn(&Figures) -> T) -> Option<T> {
        self.figures().map(of)
    }

    /// Why there are no figures.
    pub fn failure(&self) -> Option<&Failure> {
        self.outcome.as_ref().err()
    }

    /// True if weights, cache and buffers fit into every GPU.
    pub fn fits(&self) -> bool {
        self.failure().is_none_or(|failure| failure.fits)
    }

    /// The time by which rows are compared: that per token, or of prompts that to the first tokens.
    pub fn answer_us(&self) -> Option<f64> {
        self.figures().and_then(|figures| figures.tpot_us.or(figures.ttft_us))
    }

    /// The account of each GPU; empty without figures.
    pub fn gpus(&self) -> &[GpuJson] {
        self.figures().map_or(&[], |figures| &figures.gpus)
    }

    /// All GPUs; 0 where the scenario makes no sense.
    pub fn n_gpus(&self) -> u32 {
        self.asked.as_ref().map_or(0, |asked| asked.n_gpus)
    }

    /// Sequences in the whole system; 0 where the scenario makes no sense.
    pub fn batch(&self) -> u32 {
        self.asked.as_ref().map_or(0, |asked| asked.workload.batch())
    }

    /// Mean context; 0 where the scenario makes no sense.
    pub fn context_len(&self) -> f64 {
        self.asked.as_ref().map_or(0.0, |asked| asked.context_len)
    }

    /// GPUs that do attention, and GPUs that do experts, where these are different ones.
    pub fn pools(&self) -> Option<(u32, u32)> {
        self.asked.as_ref()?.pools()
    }
}

/// Outcome of a measurement, in words.
pub fn steady_in_words(steady: Steady, n_steps: u32) -> String {
    let known = |only: &str, half_width: f64| {
        format!("mean of {n_steps} steps, known {only}to {:.2} % (95 % confidence)", 100.0 * half_width)
    };
    match steady {
        Steady::Repeats { n_steps: 1 } => "every step repeats to the picosecond".to_owned(),
        Steady::Once => "prompts follow no others: their makespan".to_owned(),
        Steady::Repeats { n_steps } => format!("every {n_steps} steps repeat to the picosecond"),
        Steady::Settled { half_width } => known("", half_width),
        Steady::Unsettled { half_width } => known("only ", half_width),
    }
}
