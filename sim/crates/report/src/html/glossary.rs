//! The terms of the page in a sentence each.

/// Term and meaning.
pub(super) const TERMS: &[(&str, &str)] = &[
    (
        "a:e \u{d7}m",
        "A split: a GPUs do attention, e GPUs hold the experts, and the batch moves between the two pools in m micro-batches.",
    ),
    (
        "TPOT, ms",
        "Time per output token: the time between two tokens of one micro-batch once the run repeats (steady state). Not the makespan of a step.",
    ),
    (
        "cold step, ms",
        "Makespan of one decode step that starts with an empty pipeline; fill and drain are included. Never used in a verdict.",
    ),
    (
        "tokens/s per GPU",
        "Output tokens per second of the whole system over the number of all its GPUs, both roles counted.",
    ),
    (
        "tp_pp",
        "Baseline: every layer split over tp GPUs, the layers over pp stages; the number of batches in flight is tuned.",
    ),
    (
        "baseline that is not tuned",
        "One that the sweep marks `tuned: false`, such as the paper's own as it reads literally. Shown, but no part of the verdict: it was given no chance to tune.",
    ),
    (
        "dp_ep",
        "Baseline: data-parallel attention on every GPU, experts spread over the same GPUs; the best of its variants (half-batches overlapped or not).",
    ),
    ("co-location", "Attention and experts on the same GPUs: every baseline."),
    (
        "fair baseline",
        "A baseline that is tuned as the splits are: every one that the sweep does not mark `tuned: false`.",
    ),
    (
        "heads \u{d7} sequences \u{d7} replicas",
        "Layout of the attention pool: the heads of a layer over so many GPUs, the cache of one sequence over so many, and so many groups with sequences of their own.",
    ),
    (
        "ep \u{d7} tp",
        "Layout of the expert pool: whole experts spread over ep groups, each expert sliced over the tp GPUs of a group.",
    ),
    (
        "balanced, zipf(s)",
        "Expert load: every expert gets as many tokens; or the i-th most popular expert gets a share proportional to i to the power of \u{2212}s.",
    ),
    ("tie", "Two values of TPOT that differ by no more than 1 %."),
    (
        "median",
        "The value in the middle of the sorted list; of an even number of values the mean of the two in the middle.",
    ),
    ("busy", "A compute kernel ran."),
    ("waits: imbalance", "A slower peer of the same pool was waited for."),
    ("waits: dependency", "The other pool, or another stage, was waited for."),
    ("waits: wire", "Data was on its way."),
    ("fill and drain", "Before the first and after the last task of a cold step."),
    (
        "overlap",
        "Share of the time in which data of a GPU is on its way that the same GPU computes, over all GPUs. The paper assumes 75 %.",
    ),
    ("exposed communication", "Idle time in which the wire was waited for, mean over GPUs."),
    (
        "MFU, MBU",
        "Model FLOPs over time \u{d7} GPUs \u{d7} dense peak; bytes that must be read over time \u{d7} memory bandwidth.",
    ),
    (
        "closed form",
        "TPOT by a formula for the steady state, without contention and without differences among GPUs of a pool.",
    ),
    (
        "work bound",
        "GPU-seconds of all operations at full efficiency and without launch costs, weights read once, over the number of GPUs. No strategy on identical GPUs can be faster.",
    ),
    (
        "provenance",
        "Origin of a time: measured, fitted to measurements, extrapolated from a fit, from datasheet figures (roofline), or assumed.",
    ),
    ("GiB", "2^30 bytes."),
];
