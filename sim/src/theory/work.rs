//! The work of one step, whoever does it: arithmetic, memory traffic, and the time that both need at least.

use masim_units::{Bytes, Flops};

use crate::load::{StepRouting, context_lens};
use crate::model::{LayerOps, Op};
use crate::scenario::{Scenario, Workload};

/// What one step of the whole model needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepWork {
    /// Arithmetic of all matrix products and of attention.
    pub flops: Flops,
    /// Weights, caches and activations, each read or written once.
    pub bytes: Bytes,
    /// Seconds that all GPUs together need at least: every operation at peak rates, spread evenly, no launch.
    pub bound_secs: f64,
}

/// The work of one step in which tokens choose experts as `routing` says.
///
/// Only operations that no strategy can leave out are counted: weights are read once, all activated experts
/// of a layer are one operation, and experts that no token chose are not read. Gathering rows and summing
/// expert outputs can be fused away and are not.
///
/// # Source
///
/// The roofline is superadditive: parts of an operation need at least the time of the whole.
pub fn step_work(scenario: &Scenario, routing: &StepRouting) -> StepWork {
    let Workload::Decode { batch, context_len } = &scenario.workload;
    let cached = context_lens(context_len, *batch, scenario.seed).into_iter().map(u64::from).sum();
    let mut sum = StepWork { flops: Flops::ZERO, bytes: Bytes::ZERO, bound_secs: 0.0 };
    for op in unavoidable(scenario, u64::from(*batch), cached, routing) {
        sum.add(&op, scenario);
    }
    sum
}

fn unavoidable(scenario: &Scenario, tokens: u64, cached: u64, routing: &StepRouting) -> Vec<Op> {
    let (model, ops) = (&scenario.model, LayerOps::new(&scenario.model));
    let (attention, moe) = (model.attention, ops.moe());
    let (n_heads, n_kv_heads) = (attention.n_heads, attention.n_kv_heads);
    let mut all = Vec::new();
    for layer in routing {
        let rows = tokens * u64::from(moe.experts_per_token);
        all.extend([
            ops.residual_norm(tokens),
            ops.qkv_projection(tokens, n_heads, n_kv_heads),
            ops.decode_attention(tokens, cached, n_heads, n_kv_heads),
            ops.output_projection(tokens, n_heads),
            ops.residual_norm(tokens),
        ]);
        all.extend(ops.gate(tokens));
        all.extend(ops.experts(rows, u64::from(layer.n_activated()), u64::from(moe.expert_hidden)));
    }
    if let Some(vocab) = model.vocab {
        all.push(ops.embedding(tokens));
        all.extend(ops.lm_head(tokens, u64::from(vocab)));
    }
    all
}

impl StepWork {
    fn add(&mut self, op: &Op, scenario: &Scenario) {
        let dtypes = &scenario.model.dtype;
        let dtype = Op::compute_dtype(dtypes);
        let cards = || scenario.cluster.gpus.iter().map(|gpu| &gpu.card);
        let peak: f64 = cards().map(|card| card.peak[&dtype].per_sec()).sum();
        let bandwidth: f64 = cards().map(|card| card.memory_bandwidth.bytes_per_sec() as f64).sum();
        let (flops, bytes) = (op.flops(), op.traffic(dtypes));
        self.flops += flops;
        self.bytes += bytes;
        self.bound_secs += (flops.0 / peak).max(bytes.0 as f64 / bandwidth);
    }
}
