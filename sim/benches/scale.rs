//! Time of one more step of a large model: DeepSeek-like layers on 64 GPUs, 4,096 sequences.
//!
//! Prints a line of CSV for each scenario: CPU seconds of this thread (Linux) for the draws of a step, for building and
//! pricing a step whose shape is known, and for running it in the engine; then tasks, flows and the largest memory so far.
//! `cargo bench -p masim --bench scale -- uniform` runs those whose name contains the word.

use std::collections::BTreeSet;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;

use masim_core::running::price::{Pricer, n_streams};
use masim_core::scenario::Scenario;
use masim_core::work::cost::RooflineCost;
use masim_engine::{Graph, Resources, Work, run_graph};
use masim_tests::{only_plan, routing, scenario};

const CLUSTER: &str = "\
cluster:
  schema: 1
  name: h100-8x8
  gpu: h100-sxm
  n_nodes: 8
  n_gpus_per_node: 8
  scale_up: { kind: switch, bandwidth: 450 GB/s, latency: 0.5 us, source: as in h100-2x8 }
  host: { n_gpus_per_switch: 2, bandwidth: 50 GB/s, latency: 0.5 us, source: as in h100-2x8 }
  scale_out: { kind: switch, n_nics_per_node: 8, bandwidth: 50 GB/s, latency: 1 us, gpudirect: true, relay: none, source: as in h100-2x8 }
";

/// Layers, widths and experts of DeepSeek-V3 (arXiv:2412.19437), weights of one byte.
const MODEL: &str = "\
model:
  name: deepseek-like
  n_layers: 61
  hidden: 7168
  attention: { kind: mla, n_heads: 128, q_lora_rank: 1536, kv_lora_rank: 512, rope_dim: 64, nope_dim: 128, v_dim: 128 }
  ffn: { kind: moe, gated: true, n_routed_experts: 256, n_shared_experts: 1, experts_per_token: 8, expert_hidden: 2048 }
  vocab: 129280
  dtype: { weights: fp8, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 }
workload: { phase: decode, batch: 4096, context_len: 4096 }
seed: 1
";

const STRATEGIES: [(&str, &str); 2] = [
    ("dp_ep", "{ kind: dp_ep, dp: 64, tp: 1, ep: 64, n_overlapped: 1 }"),
    (
        "ma_separation",
        "{ kind: ma_separation, n_attention_gpus: 48, n_expert_gpus: 16, attention: { heads: 1, sequences: 1, replicas: 48 }, \
         experts: { ep: 16, tp: 1 }, n_micro_batches: 2 }",
    ),
];

fn cases() -> Vec<(String, Scenario)> {
    let mut cases = Vec::new();
    for (strategy, text) in STRATEGIES {
        for load in ["balanced", "uniform"] {
            let text = format!("{CLUSTER}{MODEL}strategy: {text}\nload: {{ kind: {load} }}\n");
            cases.push((format!("{strategy}_{load}"), scenario(&text)));
        }
    }
    cases
}

/// CPU seconds of this thread, where the system tells.
fn cpu_s() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns * 1e-9)
}

/// The most memory that was ever held, in GB.
fn peak_gb() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).map_or(f64::NAN, |kb| kb * 1024e-9)
}

/// The outcome of `run` and the CPU seconds that it took.
fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let began = cpu_s();
    let outcome = black_box(run());
    (outcome, cpu_s() - began)
}

/// Draws, builds, prices and runs the second step of `scenario`.
fn measured(name: &str, scenario: &Scenario) {
    let plan = only_plan(scenario);
    let cost = RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
    let routing = routing(scenario);
    let mut pricer = Pricer::new(scenario, &plan, &cost);
    let first = pricer.step(&routing.step(0)).expect("its times are representable");
    let shape = first.shape.and_then(|shape| shape.build().ok()).expect("the first step has a sound shape");
    let (drawn, draws_s) = timed(|| routing.step(1));
    let (second, build_s) = timed(|| pricer.step(&drawn).expect("its times are representable"));
    let n_tasks = second.works.len();
    let n_flows: usize = second
        .works
        .iter()
        .map(|work| match work {
            Work::Transfer { flows, .. } => flows.len(),
            Work::Compute { .. } | Work::Delay { .. } | Work::Barrier => 0,
        })
        .sum();
    let graph = Graph { shape: Arc::new(shape), works: Arc::new(second.works), after: Vec::new() };
    let resources =
        Resources { n_streams: n_streams(scenario.cluster.n_gpus()), links: pricer.fabric().rates_in_run() };
    let paths = pricer.fabric().essential_paths(&BTreeSet::new());
    let (trace, engine_s) =
        timed(|| run_graph(resources, &paths, graph).expect("its times are representable"));
    let end = trace.spans.iter().map(|span| span.end.as_ps()).max().unwrap_or(0);
    let gb = peak_gb();
    println!("{name},{n_tasks},{n_flows},{draws_s:.3},{build_s:.3},{engine_s:.3},{gb:.2},{end}");
}

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    println!("case,tasks,flows,draws_s,build_s,engine_s,peak_gb,step_ps");
    for (name, scenario) in cases() {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            measured(&name, &scenario);
        }
    }
}
