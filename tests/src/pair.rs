//! The smallest separation: one GPU for attention, one for experts, and times that are chosen.

use masim_core::inputs::topology::GpuCard;
use masim_core::running::run::{Run, run_plan};
use masim_core::scenario::Scenario;
use masim_core::timing::provenance::{Basis, Provenance};
use masim_core::work::cost::{Cost, CostModel, TooLong};
use masim_core::work::ops::{Op, OpKind};
use masim_units::{Bytes, SimDuration};

use crate::{only_plan, routing, scenario};

/// Attention and experts take chosen times, all other kernels and launches none.
#[derive(Clone, Copy, Debug)]
pub struct TwoKernels {
    /// Time of the attention half of a layer.
    pub attention: SimDuration,
    /// Time of the expert half.
    pub experts: SimDuration,
}

impl CostModel for TwoKernels {
    fn cost(&self, op: &Op, _card: &GpuCard) -> Result<Cost, TooLong> {
        let time = match op.kind {
            OpKind::DecodeAttention => self.attention,
            OpKind::ExpertUp => self.experts,
            _ => SimDuration::ZERO,
        };
        Ok(Cost { time, basis: Basis::unjudged(Provenance::Assumed) })
    }

    fn launch(&self, _card: &GpuCard) -> SimDuration {
        SimDuration::ZERO
    }
}

/// Two GPUs joined by a link in each direction, and micro-batches of one token of 1000 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Layers.
    pub n_layers: u32,
    /// Micro-batches.
    pub n_micro_batches: u32,
    /// Latency of a link.
    pub latency_ns: u64,
    /// Bandwidth of a link; 1000 GB/s carry a token in 1 ns.
    pub gb_per_sec: u64,
}

impl Pair {
    /// The time of one token on the way from one GPU to the other.
    ///
    /// # Panics
    ///
    /// Beyond 213 days.
    pub fn transfer(&self) -> SimDuration {
        let bandwidth = masim_units::Bandwidth::from_gb_per_sec(self.gb_per_sec);
        let latency = SimDuration::from_ns(self.latency_ns).expect("a short latency");
        latency + Bytes(1000).time_at(bandwidth).expect("a short message")
    }

    /// The scenario.
    pub fn scenario(&self) -> Scenario {
        let Self { n_layers, n_micro_batches, latency_ns, gb_per_sec } = self;
        scenario(&format!(
            r"
cluster:
  name: pair
  nodes: [ {{ name: a, gpu: a100-sxm4-80gb, node: 0 }}, {{ name: b, gpu: a100-sxm4-80gb, node: 0 }} ]
  links:
    - {{ src: a, dst: b, bandwidth: {gb_per_sec} GB/s, latency: {latency_ns} ns, duplex: true, source: made up }}
model:
  name: made-up
  n_layers: {n_layers}
  hidden: 500
  attention: {{ kind: mha, n_heads: 4, n_kv_heads: 4, head_dim: 64, position: none }}
  ffn: {{ kind: moe, gated: false, n_routed_experts: 2, n_shared_experts: 0, experts_per_token: 1, expert_hidden: 64, n_dense_layers: 0, dense_hidden: null }}
  vocab: null
  dtype: {{ weights: bf16, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 }}
workload: {{ phase: decode, batch: {n_micro_batches}, context_len: 16 }}
strategy:
  kind: ma_separation
  n_attention_gpus: 1
  n_expert_gpus: 1
  n_micro_batches: {n_micro_batches}
"
        ))
    }

    /// Runs it with the times of `kernels`.
    ///
    /// # Panics
    ///
    /// When the run fails.
    pub fn run(&self, kernels: TwoKernels) -> Run {
        let scenario = self.scenario();
        run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &kernels).expect("the run ends")
    }
}
