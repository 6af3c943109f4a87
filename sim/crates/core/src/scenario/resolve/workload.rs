//! From the YAML of a workload and an expert load to their meaning.

use std::sync::Arc;

use masim_units::SimDuration;

use super::Findings;
use crate::scenario::file::{
    ContextLenFile, DistributionFile, HandOverFile, HostOverheadFile, LoadFile, WorkloadFile,
};
use crate::scenario::{ContextLen, ExpertLoad, HandOver, HostOverhead, ModelSpec, RequestTrace, Workload};

/// Bounds far beyond any cluster; those of products of counts stand in `size`.
const BATCH_MAX: u32 = 1 << 20;
pub(super) const CONTEXT_LEN_MAX: u32 = 1 << 24;
const HOST_TIME_MAX: SimDuration = SimDuration::from_us(1_000_000);
const GRAPH_BATCH_MAX: u32 = 1 << 12;
const TOKENS_MAX: u64 = 1_000_000_000_000;

pub(super) fn workload_of(
    file: &WorkloadFile,
    trace: Option<&Arc<RequestTrace>>,
    findings: &mut Findings,
) -> Workload {
    let batch = match file {
        WorkloadFile::Decode(decode) => decode.batch,
        WorkloadFile::Prefill(prefill) => prefill.batch,
        WorkloadFile::Inference(inference) => inference.batch,
    };
    findings.count("workload.batch", batch, BATCH_MAX);
    match file {
        WorkloadFile::Decode(decode) => {
            let context_len = match trace {
                Some(trace) => ContextLen::Trace(Arc::clone(trace)),
                None => context_len_of(&decode.context_len, batch, findings),
            };
            Workload::Decode { batch, context_len }
        }
        WorkloadFile::Prefill(prefill) => {
            let prompt_len = prefill.prompt_len;
            findings.count("workload.prompt_len", prompt_len, CONTEXT_LEN_MAX);
            let chunk_len = findings.choice("workload.chunk_len", prefill.chunk_len, prompt_len.max(1));
            Workload::Prefill { batch, prompt_len, chunk_len }
        }
        WorkloadFile::Inference(inference) => {
            let (prompt_len, output_len) = (inference.prompt_len, inference.output_len);
            findings.count("workload.prompt_len", prompt_len, CONTEXT_LEN_MAX);
            findings.count("workload.output_len", output_len, CONTEXT_LEN_MAX);
            Workload::Inference { batch, prompt_len, output_len }
        }
    }
}

pub(super) fn host_overhead_of(
    file: Option<&HostOverheadFile>,
    findings: &mut Findings,
) -> Option<HostOverhead> {
    let HostOverheadFile { per_launch, per_step, per_sequence, graph_batch, hand_over, source } = file?;
    if source.trim().is_empty() {
        findings.add("host_overhead.source", "is empty; expected where the figures come from");
    }
    let handed = hand_over.map(|HandOverFile { per_step, per_sequence }| HandOver { per_step, per_sequence });
    let of_others = handed.iter().flat_map(|handed| {
        [("hand_over.per_step", &handed.per_step), ("hand_over.per_sequence", &handed.per_sequence)]
    });
    let own = [("per_launch", per_launch), ("per_step", per_step), ("per_sequence", per_sequence)];
    for (key, time) in own.into_iter().chain(of_others) {
        if *time > HOST_TIME_MAX {
            let range = format_args!("{time} is out of range; expected at most 1 s");
            findings.add(&format!("host_overhead.{key}"), range);
        }
    }
    if let Some(multiple) = *graph_batch {
        findings.count("host_overhead.graph_batch", multiple, GRAPH_BATCH_MAX);
    }
    Some(HostOverhead {
        per_launch: *per_launch,
        per_step: *per_step,
        per_sequence: *per_sequence,
        graph_batch: *graph_batch,
        hand_over: handed,
    })
}

fn context_len_of(file: &ContextLenFile, batch: u32, findings: &mut Findings) -> ContextLen {
    const KEY: &str = "workload.context_len";
    match file {
        ContextLenFile::Fixed(n) => {
            findings.count(KEY, *n, CONTEXT_LEN_MAX);
            ContextLen::Fixed(*n)
        }
        ContextLenFile::Distribution(DistributionFile::Uniform(bounds)) => {
            let (min, max) = (bounds.min, bounds.max);
            findings.count("workload.context_len.max", max, CONTEXT_LEN_MAX);
            findings.count("workload.context_len.min", min, CONTEXT_LEN_MAX);
            if min > max {
                findings
                    .add("workload.context_len.min", format_args!("{min} is above `max`, which is {max}"));
            }
            ContextLen::Uniform { min, max }
        }
        ContextLenFile::Distribution(DistributionFile::Lognormal(shape)) => {
            let (mean, sigma) = (shape.mean, shape.sigma);
            if !(1.0..=f64::from(CONTEXT_LEN_MAX)).contains(&mean) {
                let range = format_args!("{mean:?} is out of range; expected 1 to {CONTEXT_LEN_MAX}");
                findings.add("workload.context_len.mean", range);
            }
            if !(0.0..=4.0).contains(&sigma) {
                let range = format_args!("{sigma:?} is out of range; expected 0 to 4");
                findings.add("workload.context_len.sigma", range);
            }
            ContextLen::Lognormal { mean, sigma }
        }
        ContextLenFile::Distribution(DistributionFile::List(list)) => {
            check_list(&list.values, batch, findings);
            ContextLen::List(list.values.clone())
        }
        ContextLenFile::Distribution(DistributionFile::Trace(_)) => {
            unreachable!("a trace is read before its scenario is judged")
        }
    }
}

fn check_list(values: &[u32], batch: u32, findings: &mut Findings) {
    const KEY: &str = "workload.context_len.values";
    let n_values = values.len();
    if n_values == 0 {
        findings.add(KEY, "the list is empty; expected a length for each sequence");
    } else if n_values > batch as usize {
        findings.add(
            KEY,
            format_args!("there are {n_values} lengths for a batch of {batch}; expected at most {batch}"),
        );
    }
    for (idx, value) in values.iter().enumerate() {
        findings.count(&format!("{KEY}[{idx}]"), *value, CONTEXT_LEN_MAX);
    }
}

pub(super) fn load_of(file: &LoadFile, model: &ModelSpec, findings: &mut Findings) -> ExpertLoad {
    match file {
        LoadFile::Balanced => ExpertLoad::Balanced,
        LoadFile::Uniform => ExpertLoad::Uniform,
        LoadFile::Zipf(skew) => {
            check_exponent(skew.exponent, 0.0, findings);
            ExpertLoad::Zipf { exponent: skew.exponent }
        }
        LoadFile::PowerLaw(skew) => {
            check_exponent(skew.exponent, 1.0 + f64::EPSILON, findings);
            ExpertLoad::PowerLaw { exponent: skew.exponent }
        }
        LoadFile::Histogram(histogram) => {
            check_histogram(&histogram.tokens, model, findings);
            ExpertLoad::Histogram { tokens: histogram.tokens.clone() }
        }
    }
}

fn check_exponent(exponent: f64, min: f64, findings: &mut Findings) {
    if !(min..=20.0).contains(&exponent) {
        let more_than = if min > 0.0 { "more than 1, at most 20" } else { "0 to 20" };
        findings.add("load.exponent", format_args!("{exponent:?} is out of range; expected {more_than}"));
    }
}

fn check_histogram(tokens: &[u64], model: &ModelSpec, findings: &mut Findings) {
    const KEY: &str = "load.tokens";
    let moe = model.ffn.as_moe();
    let (n_counts, n_experts) = (tokens.len(), moe.n_routed_experts);
    if n_counts != n_experts as usize {
        let model = &model.name;
        findings.add(
            KEY,
            format_args!(
                "there are {n_counts} counts, but model `{model}` has {n_experts} experts; expected one each"
            ),
        );
    }
    let n_chosen = tokens.iter().filter(|count| **count > 0).count();
    if n_chosen < moe.experts_per_token as usize {
        let needed = moe.experts_per_token;
        findings.add(
            KEY,
            format_args!(
                "{n_chosen} counts are above 0; expected at least {needed}, one for each expert of a token"
            ),
        );
    }
    for (idx, count) in tokens.iter().enumerate().filter(|(_, count)| **count > TOKENS_MAX) {
        findings.add(
            &format!("{KEY}[{idx}]"),
            format_args!("{count} is out of range; expected 0 to {TOKENS_MAX}"),
        );
    }
}
