//! Memory and time that a scenario takes to simulate, and whether its amounts can be counted at all.
//!
//! The bounds of single keys are generous; their product is what takes hours, gigabytes or more than 64
//! bits. Far beyond any machine that exists, so that what is refused here is a slip of the keyboard.

use super::Findings;
use crate::inputs::topology::Cluster;
use crate::scenario::{
    Choice, ContextLen, ExpertLoad, ModelSpec, Overlap, Scenario, StepCount, Strategy, Workload,
};

/// Weights of a model: 256 TiB are 140 trillion parameters in bf16.
const WEIGHT_BYTES_MAX: u128 = 1 << 48;

/// Key/value cache of all sequences: an exbibyte.
const CACHE_BYTES_MAX: u128 = 1 << 60;

/// Tokens that choose experts in one step: positions have 32 bits.
const N_TOKENS_MAX: u128 = 1 << 31;

/// Memory of a run.
const MEMORY_MAX: u128 = 64 << 30;

/// Time of a run: a day.
const NS_MAX: u128 = 86_400 * NS_PER_S;

/// Runs that take longer say so before they begin.
const NS_NOTED: u128 = 60 * NS_PER_S;

const NS_PER_S: u128 = 1_000_000_000;

/// Memory of a message, with the steps that are in the engine at once: 2 GB for a million (docs/performance.md).
const BYTES_PER_MESSAGE: u128 = 2000;

/// Memory of a choice: two bytes in each of four steps.
const BYTES_PER_CHOICE: u128 = 8;

/// Time to build, price and run a message among equals.
const NS_PER_MESSAGE: u128 = 2000;

/// Time of a message among others of different sizes for each pair of GPUs that may exchange messages: its end
/// moves the rates of those that are under way.
const NS_PER_MESSAGE_AND_PAIR: u128 = 17;

/// Time to draw and count a choice.
const NS_PER_CHOICE: u128 = 30;

/// Steps that a run takes at least where it may end before it has so many.
const N_STEPS_AUTO: u32 = 8;

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
    pub(super) n_steps: StepCount,
}

impl<'a> Size<'a> {
    /// The size of a scenario that is valid.
    pub(super) fn of(scenario: &'a Scenario) -> Self {
        let Scenario { cluster, model, workload, strategy, load, overlap, n_steps, .. } = scenario;
        Self { cluster, model, workload, strategy, load, overlap: *overlap, n_steps: *n_steps }
    }

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
        let (n_layers, moe) = (self.model.n_layers, self.model.ffn.as_moe());
        let choices = format_args!(
            "{n_tokens} tokens that choose {} of {} experts in {n_layers} layers",
            moe.experts_per_token, moe.n_routed_experts
        )
        .to_string();
        let bytes = self.n_choices() * BYTES_PER_CHOICE;
        if n_tokens > N_TOKENS_MAX {
            findings
                .add("workload.batch", format_args!("{choices} are too many; expected at most 2^31 tokens"));
        } else if bytes > MEMORY_MAX {
            findings.add(
                "workload.batch",
                format_args!("{choices} need {} GiB; expected at most {} GiB", bytes >> 30, MEMORY_MAX >> 30),
            );
        } else if self.draws_ns() > NS_MAX {
            let long = duration(self.draws_ns());
            findings.add(
                "workload.batch",
                format_args!("{choices} take {long} to draw; expected at most {}", duration(NS_MAX)),
            );
        }
        let n_messages = self.messages();
        let bytes = n_messages * BYTES_PER_MESSAGE;
        let hint = "fewer micro-batches, chunks, layers or GPUs make fewer messages";
        if bytes > MEMORY_MAX {
            findings.add_with_hint(
                "strategy",
                format_args!(
                    "a step would have about {n_messages} messages, which need {} GiB; expected at most {} GiB",
                    bytes >> 30,
                    MEMORY_MAX >> 30
                ),
                hint,
            );
        } else if self.messages_ns() > NS_MAX {
            let long = duration(self.messages_ns());
            findings.add_with_hint(
                "strategy",
                format_args!(
                    "steps of about {n_messages} messages would take {long}; expected at most {}",
                    duration(NS_MAX)
                ),
                hint,
            );
        }
    }

    /// Time and memory of a run that takes long; nothing of others.
    pub(super) fn note(&self) -> Option<String> {
        let ns = self.messages_ns() + self.draws_ns();
        let bytes = self.messages() * BYTES_PER_MESSAGE + self.n_choices() * BYTES_PER_CHOICE;
        (ns > NS_NOTED).then(|| {
            let gib = (bytes >> 30) + 1;
            format!(
                "a step has about {} messages: a run takes at least {} and up to {gib} GiB",
                self.messages(),
                duration(ns)
            )
        })
    }

    fn n_steps(&self) -> u128 {
        match self.workload {
            Workload::Prefill { .. } => 1,
            Workload::Decode { .. } | Workload::Inference { .. } => match self.n_steps {
                StepCount::Auto => N_STEPS_AUTO.into(),
                StepCount::AtMost(n) => n.min(N_STEPS_AUTO).into(),
                StepCount::Exactly(n) => n.into(),
            },
        }
    }

    /// Time to draw the choices of a run.
    fn draws_ns(&self) -> u128 {
        let moe = self.model.ffn.as_moe();
        let (n_experts, k) = (u128::from(moe.n_routed_experts), u128::from(moe.experts_per_token));
        let weighed = match self.load {
            ExpertLoad::Balanced => return 0,
            ExpertLoad::Uniform if 2 * k <= n_experts => 0,
            // Where few are left to choose, or few are popular, every expert is weighed.
            ExpertLoad::Uniform
            | ExpertLoad::Zipf { .. }
            | ExpertLoad::PowerLaw { .. }
            | ExpertLoad::Histogram { .. } => n_experts,
        };
        self.n_steps() * self.n_choices() * (NS_PER_CHOICE + weighed)
    }

    /// Time to build, price and run the messages of a run.
    fn messages_ns(&self) -> u128 {
        let n_messages = self.messages();
        match self.load {
            ExpertLoad::Balanced => n_messages * NS_PER_MESSAGE * u128::from(N_STEPS_AUTO),
            ExpertLoad::Uniform
            | ExpertLoad::Zipf { .. }
            | ExpertLoad::PowerLaw { .. }
            | ExpertLoad::Histogram { .. } => {
                let per_message = NS_PER_MESSAGE + self.n_pairs() * NS_PER_MESSAGE_AND_PAIR;
                self.n_steps() * n_messages * per_message
            }
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

    /// Choices of experts in one step.
    fn n_choices(&self) -> u128 {
        let k = self.model.ffn.as_moe().experts_per_token;
        self.n_tokens() * u128::from(self.model.n_layers) * u128::from(k)
    }

    /// Pairs of GPUs of which one sends to the other.
    fn n_pairs(&self) -> u128 {
        let n_gpus = u128::from(self.cluster.n_gpus());
        match self.strategy {
            Strategy::MaSeparation(split) => {
                u128::from(split.n_attention_gpus) * u128::from(split.n_expert_gpus)
            }
            Strategy::DpEp(_) => n_gpus * n_gpus,
            // Each rank of a layer's group meets every other one.
            Strategy::TpPp(spec) => u128::from(spec.dp) * u128::from(spec.tp) * u128::from(spec.tp),
        }
    }

    /// Messages of one step: from each sender to each receiver and back, in each layer, micro-batch and chunk.
    fn messages(&self) -> u128 {
        let n_micro_batches = match self.strategy {
            Strategy::MaSeparation(split) => count(split.n_micro_batches, N_MICRO_BATCHES_AUTO),
            Strategy::DpEp(spec) => spec.n_overlapped,
            Strategy::TpPp(spec) => count(spec.n_in_flight, 4 * spec.pp),
        };
        let n_passes = u128::from(n_micro_batches) * u128::from(self.workload.n_chunks());
        2 * u128::from(self.model.n_layers) * n_passes * self.n_pairs() * u128::from(self.overlap.n_chunks())
    }
}

fn count(choice: Choice, auto: u32) -> u32 {
    match choice {
        Choice::Auto => auto,
        Choice::Fixed(n) => n,
    }
}

/// A time in the unit that a reader would choose.
fn duration(ns: u128) -> String {
    let s = ns / NS_PER_S;
    match s {
        0..120 => format!("{s} s"),
        120..7200 => format!("{} min", s / 60),
        _ => format!("{} h", s / 3600),
    }
}
