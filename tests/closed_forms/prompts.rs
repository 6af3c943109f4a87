//! Prompts and hosts on stages of known length.

use masim_core::inputs::topology::GpuCard;
use masim_core::judging::metrics::measure;
use masim_core::judging::sweep::{RowJson, SweepRow, simulate_row};
use masim_core::running::run::{Run, run_once, run_plan};
use masim_core::scenario::Scenario;
use masim_core::timing::provenance::{Basis, Provenance};
use masim_core::work::cost::{Cost, CostModel, TooLong};
use masim_core::work::ops::{Op, OpKind, OpShape};
use masim_core::work::routing::RoutingPool;
use masim_tests::{TwoKernels, only_plan, routing, scenario, steady_time};
use masim_units::SimDuration;

/// Attention takes 1 us for each query, experts take 2 us; all other kernels and launches take no time.
struct ByQuery;

impl CostModel for ByQuery {
    fn cost(&self, op: &Op, _card: &GpuCard) -> Result<Cost, TooLong> {
        let time = match op.shape {
            OpShape::PrefillAttention { q_len, .. } => SimDuration::from_us(q_len),
            _ if op.kind == OpKind::ExpertUp => SimDuration::from_us(2),
            _ => SimDuration::ZERO,
        };
        Ok(Cost { time, basis: Basis::unjudged(Provenance::Assumed) })
    }

    fn launch(&self, _card: &GpuCard) -> SimDuration {
        SimDuration::ZERO
    }
}

/// Four layers over `pp` GPUs on one switch, each token 1000 bytes wide, and `rest` of the scenario.
fn row_of(pp: u32, n_in_flight: u32, rest: &str) -> Scenario {
    let gpus: Vec<String> =
        (0..pp).map(|gpu| format!("{{ name: g{gpu}, gpu: a100-sxm4-80gb, node: 0 }}")).collect();
    let link = "bandwidth: 1000 GB/s, latency: 10 ns, duplex: true, source: made up";
    let links: Vec<String> = (0..pp).map(|gpu| format!("{{ src: g{gpu}, dst: sw, {link} }}")).collect();
    let (gpus, links) = (gpus.join(", "), links.join(", "));
    scenario(&format!(
        r"
cluster: {{ name: row, nodes: [ {gpus}, {{ name: sw, node: 0 }} ], links: [ {links} ] }}
model:
  name: made-up
  n_layers: 4
  hidden: 500
  attention: {{ kind: mha, n_heads: 4, n_kv_heads: 4, head_dim: 64, position: none }}
  ffn: {{ kind: moe, gated: false, n_routed_experts: 2, n_shared_experts: 0, experts_per_token: 1, expert_hidden: 64, n_dense_layers: 0, dense_hidden: null }}
  vocab: null
  dtype: {{ weights: bf16, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 }}
strategy: {{ kind: tp_pp, tp: 1, pp: {pp}, dp: 1, n_in_flight: {n_in_flight} }}
{rest}
"
    ))
}

fn makespan_ns(pp: u32, batch: u32, prompt: &str) -> u64 {
    let workload = format!("workload: {{ phase: prefill, batch: {batch}, {prompt} }}");
    let scenario = row_of(pp, batch, &workload);
    let run = run_once(&scenario, &only_plan(&scenario), &routing(&scenario), &ByQuery).unwrap();
    let metrics = measure(&scenario, &only_plan(&scenario), &run, &routing(&scenario));
    assert_eq!(run.measured().1, run.cold_end());
    assert!((metrics.request.unwrap().ttft_us - run.cold_end().as_us()).abs() < 1e-9);
    run.cold_end().as_ps() / 1000
}

/// A layer of a prompt of 8 takes 8 + 2 us: 4 layers, 40 us. In 4 chunks of 2, each takes 2 + 2 us: 64 us.
#[test]
fn a_prompt_takes_its_layers_and_chunks_take_theirs() {
    assert_eq!(makespan_ns(1, 1, "prompt_len: 8"), 40_000);
    assert_eq!(makespan_ns(1, 1, "prompt_len: 8, chunk_len: 2"), 64_000);
    // 3 + 3 + 2 queries and three times the experts: 4 x (8 + 6) us.
    assert_eq!(makespan_ns(1, 1, "prompt_len: 8, chunk_len: 3"), 56_000);
}

/// Two stages of 2 layers, 20 us each: two prompts take three of them, and 8 x 1000 B take 8 ns after 20 ns of
/// latency. Nothing returns to the first stage.
#[test]
fn prompts_fill_and_drain_a_pipeline() {
    assert_eq!(makespan_ns(2, 2, "prompt_len: 8"), 3 * 20_000 + 28);
    // Chunks of one prompt follow each other through the stages: 4 of 8 us and one more, 2 ns + 20 ns of wire.
    assert_eq!(makespan_ns(2, 1, "prompt_len: 8, chunk_len: 2"), 5 * 8_000 + 22);
}

const KERNELS: TwoKernels =
    TwoKernels { attention: SimDuration::from_us(3), experts: SimDuration::from_us(2) };

/// One GPU of 4 layers x 5 us; before each step its host spends 10 us, and 2 us for its only sequence.
fn with_host(launch: &str, per_launch: &str) -> (Scenario, Run) {
    let scenario = row_of(
        1,
        1,
        &format!(
            "workload: {{ phase: decode, batch: 1, context_len: 16 }}\nlaunch: {launch}\n\
             host_overhead: {{ per_launch: {per_launch}, per_step: 10 us, per_sequence: 2 us, source: made up }}"
        ),
    );
    let run = run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &KERNELS).unwrap();
    (scenario, run)
}

fn step_ns(launch: &str, per_launch: &str) -> u64 {
    let (window, n_steps) = steady_time(&with_host(launch, per_launch).1);
    window.as_ps() / 1000 / n_steps
}

/// 5 + 8 kernels a layer (norm, projections, write to the cache, attention; norm, gate twice, gather, up, activation, down, sum) and
/// the last sum. A host of 1 us each is done with those of the last layer 12 + 52 us after the token; its experts
/// take 2 us more. A host of 1 ns is 5 ns late once; then the GPU sets the pace: 12 + 20 us.
#[test]
fn a_step_takes_the_longer_of_host_and_gpu_after_scheduling() {
    assert_eq!(step_ns("eager", "1 us"), 66_000);
    assert_eq!(step_ns("eager", "1 ns"), 32_005);
    // A graph is one launch.
    assert_eq!(step_ns("graph", "1 us"), 33_000);
}

/// Waiting for the host counts as the kernels that wait, and is known apart.
#[test]
fn the_host_is_part_of_the_account() {
    let (scenario, run) = with_host("eager", "1 us");
    let metrics = measure(&scenario, &only_plan(&scenario), &run, &routing(&scenario));
    let (window, n_steps) = steady_time(&run);
    let account = metrics.gpus[0].window;
    assert_eq!(account.busy, window);
    assert_eq!((account.busy - account.host).as_ps(), n_steps * 20_000_000);
    let host = metrics.critical_path.by_work["host"];
    assert_eq!(metrics.critical_path.by_work.values().copied().sum::<SimDuration>(), window);
    assert_eq!(host.as_ps(), n_steps * 64_000_000, "all but the last experts");
}

/// Two stages of two layers each, with `more` of the host.
fn two_gpus(more: &str) -> (Scenario, Run) {
    let scenario = row_of(
        2,
        1,
        &format!(
            "workload: {{ phase: decode, batch: 4, context_len: 16 }}\nlaunch: graph\n\
             host_overhead: {{ per_launch: 0 us, per_step: 10 us, per_sequence: 2 us, {more}source: made up }}"
        ),
    );
    let run = run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &KERNELS).unwrap();
    (scenario, run)
}

fn two_gpus_ns(more: &str) -> u64 {
    let (window, n_steps) = steady_time(&two_gpus(more).1);
    window.as_ps() / 1000 / n_steps
}

/// Each stage computes for 2 layers x 5 us. The second waits for the host's 10 + 4 x 2 us, for the first stage and for a
/// send, of which it is resident while the host does not hold it up. The first waits for the host last, so that no
/// kernel of communication is resident there.
#[test]
fn no_time_is_resident_twice() {
    let (scenario, run) = two_gpus("");
    let metrics = measure(&scenario, &only_plan(&scenario), &run, &routing(&scenario));
    let (window, n_steps) = steady_time(&run);
    let step_us = window.as_us() / n_steps as f64;
    for gpu in &metrics.gpus {
        assert_eq!(gpu.window.kernels().as_ps(), n_steps * 10_000_000);
        assert_eq!(gpu.window.host.as_ps(), n_steps * 18_000_000);
    }
    let busy = 10.0 / step_us;
    let resident = f64::midpoint(busy, (step_us - 18.0) / step_us);
    assert!((metrics.busy_share - busy).abs() < 1e-9, "{} is not {busy}", metrics.busy_share);
    assert!((metrics.resident_share - resident).abs() < 1e-9, "{} is not {resident}", metrics.resident_share);
    assert!((metrics.host_us - 18.0).abs() < 1e-9 && resident < 1.0);
}

/// A second process costs 5 us a step, and 3 us for each of 4 sequences.
#[test]
fn further_processes_are_handed_the_step() {
    let handed = two_gpus_ns("hand_over: { per_step: 5 us, per_sequence: 3 us }, ");
    assert_eq!(handed - two_gpus_ns(""), 17_000);
}

/// Graphs are captured of decode steps: prompts take as long as where everything is launched one by one.
#[test]
fn prompts_are_not_replayed_from_graphs() {
    let of = |launch: &str| {
        let more = format!(
            "workload: {{ phase: inference, batch: 4, prompt_len: 16, output_len: 8 }}\nlaunch: {launch}\n\
             host_overhead: {{ per_launch: 20 us, per_step: 10 us, per_sequence: 2 us, source: made up }}"
        );
        RowJson::from(&simulate_row(&SweepRow::alone(row_of(1, 1, &more)), &RoutingPool::default()).0)
    };
    let (graph, eager) = (of("graph"), of("eager"));
    assert!(
        graph.ttft_us.is_some() && graph.ttft_us == eager.ttft_us,
        "{:?} {:?}",
        graph.ttft_us,
        eager.ttft_us
    );
    assert!(graph.tpot_us < eager.tpot_us, "{:?} {:?}", graph.tpot_us, eager.tpot_us);
}

/// Graphs hold 1, 2, 4 and multiples of 8 sequences.
#[test]
fn steps_are_filled_up_to_a_captured_graph() {
    let captured = "workload: { phase: decode, batch: 4, context_len: 16 }\nlaunch: graph\n\
         host_overhead: { per_launch: 0 us, per_step: 10 us, per_sequence: 2 us, graph_batch: 8, source: made up }";
    let scenario = row_of(1, 1, captured);
    let rows = [1, 2, 3, 5, 8, 9, 16, 250].map(|n_sequences| scenario.graph_rows(n_sequences));
    assert_eq!(rows, [1, 2, 4, 8, 8, 16, 16, 256]);
}

/// One GPU for attention and one for experts; a token of 1000 bytes takes 1 ns after 10 ns of latency.
fn pair_ns(n_micro_batches: u32, workload: &str) -> u64 {
    let scenario = scenario(&format!(
        r"
cluster:
  name: pair
  nodes: [ {{ name: a, gpu: a100-sxm4-80gb, node: 0 }}, {{ name: b, gpu: a100-sxm4-80gb, node: 0 }} ]
  links: [ {{ src: a, dst: b, bandwidth: 1000 GB/s, latency: 10 ns, duplex: true, source: made up }} ]
model:
  name: made-up
  n_layers: 4
  hidden: 500
  attention: {{ kind: mha, n_heads: 4, n_kv_heads: 4, head_dim: 64 }}
  ffn: {{ kind: moe, gated: false, n_routed_experts: 2, n_shared_experts: 0, experts_per_token: 1, expert_hidden: 64, n_dense_layers: 0, dense_hidden: null }}
  vocab: null
  dtype: {{ weights: bf16, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 }}
workload: {{ phase: prefill, {workload} }}
strategy: {{ kind: ma_separation, n_attention_gpus: 1, n_expert_gpus: 1, n_micro_batches: {n_micro_batches} }}
"
    ));
    let run = run_once(&scenario, &only_plan(&scenario), &routing(&scenario), &ByQuery).unwrap();
    run.cold_end().as_ps() / 1000
}

/// A layer of a prompt of 8 takes 8 us of attention, 2 us of experts and 2 x 18 ns of wire, four times over.
#[test]
fn a_prompt_passes_both_pools_in_turn() {
    assert_eq!(pair_ns(1, "batch: 1, prompt_len: 8"), 4 * (8_000 + 2_000 + 2 * 18));
    // Four chunks of 2, one after the other, each 2 + 2 us and 2 x 12 ns; the next begins while the last experts of the one
    // before are at work.
    let layer = 2_000 + 2_000 + 2 * 12;
    assert_eq!(pair_ns(1, "batch: 1, prompt_len: 8, chunk_len: 2"), 4 * 4 * layer - 3 * (layer - 2_000));
}

/// Two prompts keep attention busy: 2 x 4 x 8 us, then the last experts and their wires.
#[test]
fn two_prompts_take_turns() {
    assert_eq!(pair_ns(2, "batch: 2, prompt_len: 8"), 64_000 + 2_000 + 2 * 18);
}

/// Chunks of one prompt take turns as prompts do: attention and experts of two chunks take 2 us each, so that a layer
/// takes two of them and the wires, 4,024 ns. Two rounds of two chunks, each four layers without the last wires; then the last experts.
#[test]
fn chunks_of_one_prompt_take_turns() {
    let round = 4 * (2 * 2_000 + 2 * 12) - 2 * 12;
    assert_eq!(pair_ns(2, "batch: 1, prompt_len: 8, chunk_len: 2"), 2 * round + 2_000 + 2 * 12);
}

/// Attention takes a microsecond for each token that the longest sequence has.
struct ByLongest;

impl CostModel for ByLongest {
    fn cost(&self, op: &Op, _card: &GpuCard) -> Result<Cost, TooLong> {
        let time = match op.shape {
            OpShape::DecodeAttention { kv_len_max, .. } => SimDuration::from_us(kv_len_max),
            _ => SimDuration::ZERO,
        };
        Ok(Cost { time, basis: Basis::unjudged(Provenance::Assumed) })
    }

    fn launch(&self, _card: &GpuCard) -> SimDuration {
        SimDuration::ZERO
    }
}

/// Sequences of 10, 70, 20 and 40 tokens in two micro-batches: 4 layers x (70 + 40) us.
#[test]
fn the_longest_sequence_of_a_batch_is_known() {
    let mixed =
        "workload: { phase: decode, batch: 4, context_len: { kind: list, values: [10, 70, 20, 40] } }";
    let scenario = row_of(1, 2, mixed);
    let run = run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &ByLongest).unwrap();
    let (window, n_steps) = steady_time(&run);
    assert_eq!(window.as_ps() / n_steps, 440_000_000);
}
