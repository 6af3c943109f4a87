//! Phase, sequences and their lengths.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use masim_units::SimDuration;

use super::strategy::Choice;
use super::trace::RequestTrace;

/// The phase and its size.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// Every sequence gains one token a step.
    Decode {
        /// Sequences in the whole system.
        batch: u32,
        /// Tokens already in the cache of each sequence.
        context_len: ContextLen,
    },
    /// Every sequence gets its first token.
    Prefill {
        /// Sequences in the whole system.
        batch: u32,
        /// Tokens of each prompt.
        prompt_len: u32,
        /// Tokens of a prompt that pass through the model at once; `Auto` is the whole prompt.
        chunk_len: Choice,
    },
    /// Every sequence gets its first token from its prompt, then one token a step.
    Inference {
        /// Sequences in the whole system.
        batch: u32,
        /// Tokens of each prompt.
        prompt_len: u32,
        /// Tokens that each sequence gets.
        output_len: u32,
    },
}

impl Workload {
    /// The name in files.
    pub const fn phase(&self) -> &'static str {
        match self {
            Self::Decode { .. } => "decode",
            Self::Prefill { .. } => "prefill",
            Self::Inference { .. } => "inference",
        }
    }

    /// Sequences in the whole system.
    pub const fn batch(&self) -> u32 {
        match self {
            Self::Decode { batch, .. } | Self::Prefill { batch, .. } | Self::Inference { batch, .. } => {
                *batch
            }
        }
    }

    /// Tokens in the caches during a step that gives each sequence one more token; `None` for prompts.
    ///
    /// The steps of an inference are represented by one at the mean context.
    pub fn decode_context(&self) -> Option<ContextLen> {
        match self {
            Self::Decode { context_len, .. } => Some(context_len.clone()),
            Self::Prefill { .. } => None,
            Self::Inference { prompt_len, output_len, .. } => {
                Some(ContextLen::Fixed(prompt_len + output_len / 2))
            }
        }
    }

    /// Tokens in the caches during the last step, beside the token under way.
    pub fn final_context(&self) -> ContextLen {
        match self {
            Self::Decode { context_len, .. } => context_len.clone(),
            Self::Prefill { prompt_len, .. } => ContextLen::Fixed(prompt_len - 1),
            // The last token of a sequence is never fed back.
            Self::Inference { prompt_len, output_len, .. } => ContextLen::Fixed(prompt_len + output_len - 2),
        }
    }

    /// The prompts of an inference, as a phase of their own; `None` for the other phases.
    pub fn prompts(&self) -> Option<Self> {
        match *self {
            Self::Decode { .. } | Self::Prefill { .. } => None,
            Self::Inference { batch, prompt_len, .. } => {
                Some(Self::Prefill { batch, prompt_len, chunk_len: Choice::Auto })
            }
        }
    }

    /// Tokens of one sequence that pass through the model at once, at most.
    pub fn tokens_at_once(&self) -> u32 {
        match *self {
            Self::Decode { .. } => 1,
            Self::Prefill { prompt_len, chunk_len: Choice::Auto, .. }
            | Self::Inference { prompt_len, .. } => prompt_len,
            Self::Prefill { prompt_len, chunk_len: Choice::Fixed(chunk), .. } => chunk.min(prompt_len),
        }
    }

    /// Parts in which each sequence passes through the model within one step.
    pub fn n_chunks(&self) -> u32 {
        match *self {
            Self::Decode { .. } | Self::Inference { .. } => 1,
            Self::Prefill { prompt_len, .. } => prompt_len.div_ceil(self.tokens_at_once().max(1)).max(1),
        }
    }
}

/// Tokens in the caches of the sequences of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum ContextLen {
    /// All alike.
    Fixed(u32),
    /// Drawn between two bounds, both included.
    Uniform {
        /// Shortest.
        min: u32,
        /// Longest.
        max: u32,
    },
    /// Drawn from a log-normal distribution, rounded, from 1 to 2^24.
    Lognormal {
        /// Mean of the lengths themselves.
        mean: f64,
        /// Standard deviation of their logarithm.
        sigma: f64,
    },
    /// Given, repeated in order until the batch is full.
    List(Vec<u32>),
    /// Drawn from the requests of a trace, as they are met in steady state.
    Trace(Arc<RequestTrace>),
}

impl ContextLen {
    /// The name of its kind in files; `fixed` for a number.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Fixed(_) => "fixed",
            Self::Uniform { .. } => "uniform",
            Self::Lognormal { .. } => "lognormal",
            Self::List(_) => "list",
            Self::Trace(_) => "trace",
        }
    }
}

/// Distribution of tokens over the experts of a layer.
#[derive(Clone, Debug)]
pub enum ExpertLoad {
    /// Every expert gets the same number of tokens, exactly.
    Balanced,
    /// Every expert is equally likely.
    Uniform,
    /// The r-th most popular expert is chosen in proportion to `r^-exponent`.
    Zipf {
        /// Skew; 0 is uniform.
        exponent: f64,
    },
    /// Popularities are drawn from a density in proportion to `x^-exponent`.
    PowerLaw {
        /// Skew; above 1.
        exponent: f64,
    },
    /// Popularities in proportion to counts that were observed.
    Histogram {
        /// One count for each expert.
        tokens: Vec<u64>,
    },
}

impl ExpertLoad {
    /// Kind, skew and counts, which order it among others.
    fn rank(&self) -> (u8, f64, &[u64]) {
        match self {
            Self::Balanced => (0, 0.0, &[]),
            Self::Uniform => (1, 0.0, &[]),
            Self::Zipf { exponent } => (2, *exponent, &[]),
            Self::PowerLaw { exponent } => (3, *exponent, &[]),
            Self::Histogram { tokens } => (4, 0.0, tokens),
        }
    }
}

/// Its name in results, such as `zipf(0.8)`.
impl fmt::Display for ExpertLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => f.write_str("balanced"),
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf { exponent } => write!(f, "zipf({exponent})"),
            Self::PowerLaw { exponent } => write!(f, "power_law({exponent})"),
            Self::Histogram { tokens } => {
                let counts: Vec<String> = tokens.iter().map(u64::to_string).collect();
                write!(f, "histogram({})", counts.join(" "))
            }
        }
    }
}

impl Ord for ExpertLoad {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((kind, skew, counts), (other_kind, other_skew, other_counts)) = (self.rank(), other.rank());
        kind.cmp(&other_kind).then(skew.total_cmp(&other_skew)).then_with(|| counts.cmp(other_counts))
    }
}

impl PartialOrd for ExpertLoad {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ExpertLoad {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ExpertLoad {}

/// Launch of kernels by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// One by one.
    Eager,
    /// Replayed from a captured graph.
    Graph,
}

impl Launch {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Graph => "graph",
        }
    }
}

/// Time that the host of a serving stack spends beside the GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostOverhead {
    /// One kernel launched by the host, or one captured graph of a micro-batch.
    pub per_launch: SimDuration,
    /// Scheduling, preparing inputs and returning tokens, once a step and micro-batch; the GPUs wait for it.
    pub per_step: SimDuration,
    /// The same, for each sequence of the micro-batch.
    pub per_sequence: SimDuration,
    /// Graphs are captured for powers of two below this number of sequences and for its multiples, and steps are filled up
    /// to one of them; `None` captures every number.
    pub graph_batch: Option<u32>,
    /// Handing the step to the processes of further GPUs.
    pub hand_over: Option<HandOver>,
}

/// Time to hand a step to the processes of further GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Once a step and micro-batch, if there is a further GPU.
    pub per_step: SimDuration,
    /// For each sequence of the micro-batch and each further GPU.
    pub per_sequence: SimDuration,
}

impl HostOverhead {
    /// Time that GPUs wait before a pass of `n_sequences` on `n_gpus`, each with its process; `None` beyond 213 days.
    ///
    /// A captured graph is launched with it.
    pub fn scheduling(&self, launch: Launch, n_sequences: u64, n_gpus: u64) -> Option<SimDuration> {
        let graph = match launch {
            Launch::Eager => SimDuration::ZERO,
            Launch::Graph => self.per_launch,
        };
        let own =
            self.per_sequence.checked_mul(n_sequences)?.checked_add(self.per_step)?.checked_add(graph)?;
        match self.hand_over {
            Some(handed) if n_gpus > 1 => {
                let of_sequences = handed.per_sequence.checked_mul(n_sequences)?.checked_mul(n_gpus - 1)?;
                own.checked_add(of_sequences)?.checked_add(handed.per_step)
            }
            Some(_) | None => Some(own),
        }
    }
}
