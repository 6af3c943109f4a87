//! What is asked of the model.

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
}

/// How tokens spread over the experts of a layer.
#[derive(Clone, Debug, PartialEq)]
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

/// How the host launches kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// One by one.
    Eager,
    /// Replayed from a captured graph.
    Graph,
}
