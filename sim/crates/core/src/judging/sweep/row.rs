//! One row of results as it is written: what `results.csv` and `results.json` hold, in the order of their
//! columns.
//!
//! Times are microseconds, shares are fractions. `None` is an empty cell: it does not apply, or the
//! point does not fit into memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timing::uncertainty::RegimeTime;

/// The side of the verdict on which a row stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Attention and experts on different GPUs, as the base of a sweep has them.
    Split,
    /// Rows that splits are compared with: every entry of `baselines`, and a base that splits nothing.
    #[default]
    Baseline,
}

/// The columns of one point and one strategy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowJson {
    /// Counts rows from 0; `masim run --from results.csv --row N` takes it.
    pub row_idx: u32,
    /// Counts combinations of the axes that do not name `strategy`, in file order.
    pub point_idx: u32,
    /// `ma_separation`, `tp_pp` or `dp_ep`.
    pub strategy: String,
    /// The baseline's name, or the strategy's.
    pub name: String,
    /// Model card.
    pub model: String,
    /// Cluster.
    pub cluster: String,
    /// Calibrated profile, or `none`.
    pub profile: String,
    /// `decode`, `prefill` or `inference`.
    pub phase: String,
    /// Sequences in the whole system.
    pub batch: u32,
    /// Mean over the sequences; of prompts their length, of an inference that of its mean decode step.
    pub context_len: f64,
    /// `fixed`, `uniform`, `lognormal` or `list`.
    pub context_len_kind: String,
    /// Such as `balanced` or `zipf(0.8)`.
    pub expert_load: String,
    /// All GPUs.
    pub n_gpus: u32,
    /// GPUs that do attention; `ma_separation` alone.
    pub n_attention_gpus: Option<u32>,
    /// GPUs that do experts; `ma_separation` alone.
    pub n_expert_gpus: Option<u32>,
    /// GPUs among which the heads of a layer are split.
    pub heads: Option<u32>,
    /// GPUs among which the cache of one sequence is split.
    pub sequences: Option<u32>,
    /// Groups with sequences of their own.
    pub replicas: Option<u32>,
    /// `data`.
    pub replica_mode: Option<String>,
    /// Groups among which whole experts are spread.
    pub ep: Option<u32>,
    /// GPUs among which each expert is split.
    pub expert_tp: Option<u32>,
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
    /// `blocked`, `interleaved` or the list as JSON.
    pub placement: Option<String>,
    /// `m2n` or `broadcast`.
    pub dispatch: Option<String>,
    /// `none` or `node`.
    pub forward: Option<String>,
    /// `dataflow` or `lockstep`.
    pub schedule: Option<String>,
    /// `graph` or `eager`.
    pub launch: String,
    /// The origin of all randomness.
    pub seed: u64,
    /// True if weights, cache and buffers fit into every GPU.
    pub fits: bool,
    /// Measured steps.
    pub n_steps: Option<u32>,
    /// Time between two tokens of one micro-batch in steady state.
    pub tpot_us: Option<f64>,
    /// Lower end of the model-error interval; empty until a profile has residuals.
    pub tpot_p05_us: Option<f64>,
    /// Upper end of the model-error interval.
    pub tpot_p95_us: Option<f64>,
    /// 5th percentile over the measured steps.
    pub tpot_step_p05_us: Option<f64>,
    /// 95th percentile over the measured steps.
    pub tpot_step_p95_us: Option<f64>,
    /// Makespan of one cold step, fill and drain included.
    pub step_time_us: Option<f64>,
    /// What the closed form says of `tpot_us`.
    pub closed_form_us: Option<f64>,
    /// No strategy on these GPUs can be faster.
    pub work_bound_us: Option<f64>,
    /// Output tokens of the whole system.
    pub tokens_per_sec: Option<f64>,
    /// The same per GPU, both roles counted.
    pub tokens_per_sec_per_gpu: Option<f64>,
    /// Share of the time in which a compute kernel runs, mean over GPUs.
    pub busy_share: Option<f64>,
    /// Share in which any kernel is resident, waiting inside a communication kernel included.
    pub resident_share: Option<f64>,
    /// Model FLOPs over time x GPUs x peak.
    pub mfu: Option<f64>,
    /// Bytes that must be read over time x memory bandwidth.
    pub mbu: Option<f64>,
    /// Idle time in which the wire was waited for, mean over GPUs.
    pub comm_exposed_us: Option<f64>,
    /// Idle time, mean over GPUs.
    pub wait_mean_us: Option<f64>,
    /// The fullest GPU.
    pub memory_max_gib: Option<f64>,
    /// Weakest level that carries at least 5 % of the critical path.
    pub provenance: Option<String>,
    /// Why there are no figures.
    pub error: Option<String>,
    /// Tokens of each prompt; `prefill` and `inference` alone.
    pub prompt_len: Option<u32>,
    /// Tokens that each sequence gets; `inference` alone.
    pub output_len: Option<u32>,
    /// Tokens of a prompt that pass through the model at once; `prefill` alone.
    pub chunk_len: Option<u32>,
    /// Time to the first token of all sequences; `prefill` and `inference` alone.
    pub ttft_us: Option<f64>,
    /// Time to the last token of all sequences; `prefill` and `inference` alone.
    pub makespan_us: Option<f64>,
    /// Watts of one GPU, mean over GPUs and over the measured step, or over whole requests.
    pub power_mean_w: Option<f64>,
    /// Joules of all GPUs for an output token.
    pub energy_per_token_j: Option<f64>,
    /// `none`, `chunks(4)` or `literal(0.25)`.
    #[serde(default)]
    pub overlap: String,
    /// Time in which data of a GPU is on its way, mean over GPUs; what is assumed to be hidden is left out.
    pub comm_us: Option<f64>,
    /// The share of it in which the same GPU computes; empty where it is assumed.
    pub comm_overlap: Option<f64>,
    /// Time in which the host was waited for, mean over GPUs; part of the busy time of accounts, not of
    /// `busy_share`. Empty without `host_overhead`.
    pub host_us: Option<f64>,
    /// `inside` or `none`: place of the sum over the GPUs that split an expert; empty where none does.
    #[serde(default)]
    pub expert_reduce: Option<String>,
    /// The side of the verdict on which the row stands.
    #[serde(default)]
    pub side: Side,
    /// True if it is tuned as the splits are; a baseline that is not has no part in the verdict.
    #[serde(default)]
    pub tuned: bool,
    /// Values of the axes that have no column of their own, by path.
    #[serde(flatten)]
    pub axes: BTreeMap<String, String>,
    /// How `tpot_us` was settled, in words; in `results.json` alone.
    pub steady: Option<String>,
    /// What to check before trusting the row; in `results.json` alone.
    pub warnings: Vec<String>,
    /// Critical path of a steady step by kind of work; in `results.json` alone.
    pub critical_path: Vec<CriticalJson>,
    /// Share of the critical path from each level of provenance; in `results.json` alone.
    pub provenance_shares: BTreeMap<String, f64>,
    /// Times of the critical path that share their errors; in `results.json` alone.
    pub regimes: Vec<RegimeTime>,
    /// Account of each GPU; in `results.json` alone.
    pub gpus: Vec<GpuJson>,
}

/// One kind of work on the critical path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalJson {
    /// Such as `attention`, `experts`, `dispatch`.
    pub work: String,
    /// Its share of one steady step.
    pub time_us: f64,
}

/// The account of one GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuJson {
    /// Name of its vertex, such as `n0.g1`.
    pub gpu: String,
    /// `attention`, `expert`, `both` or `stage 0`.
    pub role: String,
    /// One steady step; the five times add up to `tpot_us`.
    #[serde(flatten)]
    pub steady: GpuAccountJson,
    /// The share of `busy_us` in which the host was waited for.
    #[serde(default)]
    pub host_us: f64,
    /// The cold step; the five times add up to `step_time_us`.
    pub cold: GpuAccountJson,
    /// What its memory holds.
    pub memory_gib: GpuMemoryJson,
}

/// Where the time of one GPU went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuAccountJson {
    /// A compute kernel ran.
    pub busy_us: f64,
    /// A slower peer of the same pool was waited for.
    pub wait_imbalance_us: f64,
    /// The other pool, or another stage, was waited for.
    pub wait_dependency_us: f64,
    /// Data was on its way.
    pub wait_wire_us: f64,
    /// Before the first and after the last task.
    pub fill_drain_us: f64,
}

/// What the memory of one GPU holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuMemoryJson {
    /// Weights.
    pub weights: f64,
    /// Key/value cache.
    pub kv: f64,
    /// Activations of the micro-batches under way.
    pub activations: f64,
    /// Send and receive buffers.
    pub buffers: f64,
}

impl GpuAccountJson {
    /// The five times in the order in which they are drawn.
    pub fn parts(&self) -> [f64; 5] {
        [self.busy_us, self.wait_imbalance_us, self.wait_dependency_us, self.wait_wire_us, self.fill_drain_us]
    }

    /// An account of five times in the order in which they are drawn.
    pub fn from_parts([busy, imbalance, dependency, wire, fill]: [f64; 5]) -> Self {
        Self {
            busy_us: busy,
            wait_imbalance_us: imbalance,
            wait_dependency_us: dependency,
            wait_wire_us: wire,
            fill_drain_us: fill,
        }
    }
}

impl GpuMemoryJson {
    /// The four contents in the order in which they are drawn.
    pub fn parts(&self) -> [f64; 4] {
        [self.weights, self.kv, self.activations, self.buffers]
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        self.parts().iter().sum()
    }
}
