//! The work of one step, whoever does it: arithmetic, memory traffic, and the time that both need at least.

use masim_units::{Bytes, Flops};

use crate::scenario::{ContextLen, Logits, Scenario, Workload};
use crate::work::ops::{GroupRows, LayerOps, Op, OpShape};
use crate::work::routing::{StepRouting, context_lens};

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
    let mut sum = StepWork { flops: Flops::ZERO, bytes: Bytes::ZERO, bound_secs: 0.0 };
    for op in unavoidable(scenario, routing) {
        sum.add(&op, scenario);
    }
    sum
}

fn unavoidable(scenario: &Scenario, routing: &StepRouting) -> Vec<Op> {
    let (model, ops) = (&scenario.model, LayerOps::new(&scenario.model));
    let (attention, moe) = (model.attention, ops.moe());
    let (n_heads, n_kv_heads) = (attention.n_heads, attention.n_kv_heads);
    let batch = u64::from(scenario.workload.batch());
    let (tokens, over_cache) = match scenario.workload {
        Workload::Decode { .. } | Workload::Inference { .. } => {
            let mut all = ops.decode_queries(batch, n_heads, n_kv_heads);
            // The longest sequence sets no bound on GPUs that share it.
            all.push(ops.decode_attention(batch, (cached(scenario), 0), n_heads, n_kv_heads));
            all.extend(ops.decode_outputs(batch, n_heads));
            (batch, all)
        }
        Workload::Prefill { prompt_len, .. } => {
            let len = u64::from(prompt_len);
            let mut all = ops.prefill_queries(batch * len, n_heads, n_kv_heads);
            all.extend(ops.prefill_attention(batch, (len, len), n_heads, n_kv_heads));
            all.push(ops.output_projection(batch * len, n_heads));
            (batch * len, all)
        }
    };
    let mut all = Vec::new();
    for layer in routing {
        let rows = tokens * u64::from(moe.experts_per_token);
        all.push(ops.residual_norm(tokens));
        // Rotations, and norms of latents, can be part of the products beside them.
        let is_apart = |op: &&Op| !matches!(op.shape, OpShape::Elementwise { .. });
        all.extend(over_cache.iter().filter(is_apart));
        all.push(ops.residual_norm(tokens));
        all.extend(ops.gate(tokens));
        let experts = (u64::from(layer.n_activated()), u64::from(moe.n_routed_experts));
        all.extend(
            ops.shared_experts(tokens, moe.shared_width().into()).into_iter().filter(|op| is_apart(&op)),
        );
        all.extend(ops.experts(GroupRows::even(tokens, rows, experts), u64::from(moe.expert_hidden)));
    }
    if let Some(vocab) = model.vocab {
        all.push(ops.embedding(tokens));
        all.push(ops.lm_head(batch, u64::from(vocab)));
        all.push(ops.sampling(batch, u64::from(vocab), Logits::Local));
    }
    all
}

/// Tokens in the caches of all sequences before a decode step.
fn cached(scenario: &Scenario) -> u64 {
    let context = scenario.workload.decode_context().unwrap_or(ContextLen::Fixed(0));
    context_lens(&context, scenario.workload.batch(), scenario.seed).into_iter().map(u64::from).sum()
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
