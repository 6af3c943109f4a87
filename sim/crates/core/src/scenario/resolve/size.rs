//! Bounds on the cost of simulating a scenario, and on amounts that can be counted at all.
//!
//! The bounds of single keys are generous; it is their product that takes hours, gigabytes or more than 64
//! bits. Far beyond any machine that exists, so that what is refused here is a slip of the keyboard.

use super::Findings;
use crate::inputs::topology::Cluster;
use crate::scenario::{Choice, ContextLen, ExpertLoad, ModelSpec, Overlap, Strategy, Workload};

/// Weights of a model: 256 TiB are 140 trillion parameters in bf16.
const WEIGHT_BYTES_MAX: u128 = 1 << 48;

/// Key/value cache of all sequences: an exbibyte.
const CACHE_BYTES_MAX: u128 = 1 << 60;

/// Choices of experts in one step, two bytes each.
const N_CHOICES_MAX: u128 = 1 << 26;

/// Popularities that random choices of one step are weighed with, a nanosecond or two each.
const N_WEIGHED_MAX: u128 = 1 << 32;

/// Messages of one step; with a balanced load, a run of so many takes about 2 GB.
const N_MESSAGES_MAX: u128 = 1 << 20;

/// The most micro-batches that are tried where their number is left open.
const N_MICRO_BATCHES_AUTO: u32 = 4;

/// Everything of a scenario that its size depends on; each value is in its own range.
pub(super) struct Size<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) model: &'a ModelSpec,
    pub(super) workload: &'a Workload,
    pub(super) strategy: &'a Strategy,
    pub(super) load: &'a ExpertLoad,
    pub(super) overlap: Overlap,
}

impl Size<'_> {
    /// Notes what is too large.
    pub(super) fn check(&self, findings: &mut Findings) {
        let n_tokens = self.n_tokens();
        let (weights, cache) = (self.weight_bytes(), self.cache_bytes());
        if weights > WEIGHT_BYTES_MAX {
            let tib = weights >> 40;
            findings.add("model", format_args!("its weights are {tib} TiB; expected at most 256 TiB"));
        }
        if cache > CACHE_BYTES_MAX {
            let pib = cache >> 50;
            findings.add(
                "workload",
                format_args!("the key/value cache of all sequences is {pib} PiB; expected at most 1024 PiB"),
            );
        }
        let (n_choices, n_weighed) = self.choices();
        if n_choices > N_CHOICES_MAX || n_weighed > N_WEIGHED_MAX {
            let (n_layers, moe) = (self.model.n_layers, self.model.ffn.as_moe());
            findings.add(
                "workload.batch",
                format_args!(
                    "{n_tokens} tokens that choose {} of {} experts in {n_layers} layers are too many to simulate one by one",
                    moe.experts_per_token, moe.n_routed_experts
                ),
            );
        }
        let n_messages = self.messages();
        if n_messages > N_MESSAGES_MAX {
            findings.add_with_hint(
                "strategy",
                format_args!(
                    "a step would have about {n_messages} messages; expected at most {N_MESSAGES_MAX}"
                ),
                "fewer micro-batches, chunks, layers or GPUs make fewer messages",
            );
        }
    }

    /// Matrices of all layers; embedding and head are bounded by their own keys.
    fn weight_bytes(&self) -> u128 {
        let (model, moe) = (self.model, self.model.ffn.as_moe());
        let spec = model.attention;
        let attention = spec.n_weights(model.hidden, spec.n_heads, spec.n_kv_heads);
        let experts =
            u128::from(moe.n_routed_experts) * u128::from(moe.n_matrices()) * u128::from(moe.expert_hidden);
        let shared = u128::from(moe.n_matrices()) * u128::from(moe.shared_width());
        u128::from(model.n_layers)
            * (attention + u128::from(model.hidden) * (experts + shared))
            * u128::from(model.dtype.weights.bytes())
    }

    fn cache_bytes(&self) -> u128 {
        let longest = match self.workload.final_context() {
            ContextLen::Fixed(len) => len,
            ContextLen::Uniform { max, .. } => max,
            // Draws are not bounded by the mean, but cut at the longest context.
            ContextLen::Lognormal { .. } => super::workload::CONTEXT_LEN_MAX,
            ContextLen::List(lens) => lens.iter().copied().max().unwrap_or(1),
            ContextLen::Trace(trace) => trace.longest(),
        };
        let model = self.model;
        let per_token = u128::from(model.n_layers)
            * u128::from(model.attention.n_kept(model.attention.n_kv_heads))
            * u128::from(model.dtype.kv.bytes());
        u128::from(self.workload.batch()) * (u128::from(longest) + 1) * per_token
    }

    /// Tokens that pass through the model at once, at most.
    fn n_tokens(&self) -> u128 {
        u128::from(self.workload.batch()) * u128::from(self.workload.tokens_at_once())
    }

    /// Choices of experts in one step, and the popularities that they are drawn from.
    fn choices(&self) -> (u128, u128) {
        let moe = self.model.ffn.as_moe();
        let n_choices = self.n_tokens() * u128::from(self.model.n_layers) * u128::from(moe.experts_per_token);
        match self.load {
            ExpertLoad::Balanced => (n_choices, 0),
            ExpertLoad::Uniform
            | ExpertLoad::Zipf { .. }
            | ExpertLoad::PowerLaw { .. }
            | ExpertLoad::Histogram { .. } => (n_choices, n_choices * u128::from(moe.n_routed_experts)),
        }
    }

    /// Messages of one step: from each sender to each receiver and back, in each layer, micro-batch and chunk.
    fn messages(&self) -> u128 {
        let n_gpus = u128::from(self.cluster.n_gpus());
        let (n_pairs, n_micro_batches) = match self.strategy {
            Strategy::MaSeparation(split) => {
                let n_pairs = u128::from(split.n_attention_gpus) * u128::from(split.n_expert_gpus);
                (n_pairs, count(split.n_micro_batches, N_MICRO_BATCHES_AUTO))
            }
            Strategy::DpEp(spec) => (n_gpus * n_gpus, spec.n_overlapped),
            Strategy::TpPp(spec) => {
                // Each rank of a layer's group meets every other one.
                let n_pairs = u128::from(spec.dp) * u128::from(spec.tp) * u128::from(spec.tp);
                (n_pairs, count(spec.n_in_flight, 4 * spec.pp))
            }
        };
        let n_passes = u128::from(n_micro_batches) * u128::from(self.workload.n_chunks());
        2 * u128::from(self.model.n_layers) * n_passes * n_pairs * u128::from(self.overlap.n_chunks())
    }
}

fn count(choice: Choice, auto: u32) -> u32 {
    match choice {
        Choice::Auto => auto,
        Choice::Fixed(n) => n,
    }
}
