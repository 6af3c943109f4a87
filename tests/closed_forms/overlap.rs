//! Communication in chunks beside computation of known length.

use masim_core::inputs::topology::GpuCard;
use masim_core::running::run::run_plan;
use masim_core::timing::provenance::{Basis, Provenance};
use masim_core::work::cost::{Cost, CostModel, TooLong};
use masim_core::work::ops::{Op, OpKind, OpShape};
use masim_tests::{only_plan, routing, scenario, steady_time};
use masim_units::SimDuration;

/// Attention takes 3 us; products that lead out take 4 ns for each column of their output, those of experts that
/// lead in 1 us for each row; all other kernels and launches take no time.
struct ByPiece;

impl CostModel for ByPiece {
    fn cost(&self, op: &Op, _card: &GpuCard) -> Result<Cost, TooLong> {
        let ns = match (op.kind, op.shape) {
            (OpKind::DecodeAttention, _) => 3_000,
            (OpKind::OutputProjection, OpShape::Gemm { n, .. })
            | (OpKind::ExpertDown, OpShape::GroupedGemm { n, .. }) => 4 * n,
            (OpKind::ExpertUp, OpShape::GroupedGemm { rows, .. }) => 1_000 * rows.rows,
            _ => 0,
        };
        let time = SimDuration::from_ns(ns).expect("a short time");
        Ok(Cost { time, basis: Basis::unjudged(Provenance::Assumed) })
    }

    fn launch(&self, _card: &GpuCard) -> SimDuration {
        SimDuration::ZERO
    }
}

/// Steady nanoseconds of a layer of 500 columns over two GPUs with `gb_per_sec` and 100 ns between them.
fn layer_ns(gb_per_sec: u64, batch: u32, strategy: &str, overlap: &str) -> u64 {
    let scenario = scenario(&format!(
        r"
cluster:
  name: pair
  nodes: [ {{ name: a, gpu: a100-sxm4-80gb, node: 0 }}, {{ name: b, gpu: a100-sxm4-80gb, node: 0 }} ]
  links: [ {{ src: a, dst: b, bandwidth: {gb_per_sec} GB/s, latency: 100 ns, duplex: true, source: made up }} ]
model:
  name: made-up
  n_layers: 1
  hidden: 500
  attention: {{ kind: mha, n_heads: 4, n_kv_heads: 4, head_dim: 64 }}
  ffn: {{ kind: moe, gated: false, n_routed_experts: 2, n_shared_experts: 0, experts_per_token: 1, expert_hidden: 64, n_dense_layers: 0, dense_hidden: null }}
  vocab: null
  dtype: {{ weights: bf16, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 }}
workload: {{ phase: decode, batch: {batch}, context_len: 16 }}
strategy: {strategy}
collectives: {{ algorithm: ring }}
overlap: {overlap}
"
    ));
    let run = run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &ByPiece).unwrap();
    let (window, n_steps) = steady_time(&run);
    window.as_ps() / 1000 / n_steps
}

const SLICED: &str = "{ kind: tp_pp, tp: 2, pp: 1, dp: 1, n_in_flight: 1 }";

/// Both halves end with a product of 2 us and the sum of 1000 B over a ring of two: `S / B + 2 x 100 ns`. In n
/// chunks, products of p = 2/n us and sums of c: `p + (n - 1) max(p, c) + c`. Beside them, attention takes 3 us and a
/// row of an expert 1 us.
#[test]
fn sums_follow_the_chunks_of_a_product() {
    for (gb_per_sec, n) in [(1, 2), (1, 4), (10, 4), (10, 5), (1000, 5)] {
        let sum = |n: u64| 1000 / (n * gb_per_sec) + 200;
        let whole = layer_ns(gb_per_sec, 1, SLICED, "{ kind: none }");
        assert_eq!(whole, 3_000 + 1_000 + 2 * (2_000 + sum(1)), "{gb_per_sec} GB/s");
        let (p, c) = (2_000 / n, sum(n));
        let cut = layer_ns(gb_per_sec, 1, SLICED, &format!("{{ kind: chunks, n_chunks: {n} }}"));
        assert_eq!(cut, 3_000 + 1_000 + 2 * (p + (n - 1) * p.max(c) + c), "{gb_per_sec} GB/s, {n} chunks");
    }
}

const SEPARATED: &str = "{ kind: ma_separation, n_attention_gpus: 1, n_expert_gpus: 1, n_micro_batches: 1 }";

/// Four tokens, two for each expert. Whole, 4000 B travel in D each way between attention (3 + 2 us) and experts (4 + 2 us).
/// In two pieces, tokens of the first expert come first, in d, and it computes for 2 us while the others come; then half of
/// the columns, in 1 us, and d for them back while the other half is computed.
#[test]
fn experts_begin_with_the_tokens_that_have_arrived() {
    for gb_per_sec in [1, 4, 100] {
        let travel = |bytes: u64| 100 + bytes / gb_per_sec;
        let whole = layer_ns(gb_per_sec, 4, SEPARATED, "{ kind: none }");
        assert_eq!(whole, 5_000 + 6_000 + 2 * travel(4_000), "{gb_per_sec} GB/s");
        let d = travel(2_000);
        let first = 5_000 + d + 2_000;
        let both = first.max(5_000 + 2 * d) + 2_000;
        let back = (both + 1_000 + d).max(both + 2_000) + d;
        let cut = layer_ns(gb_per_sec, 4, SEPARATED, "{ kind: chunks, n_chunks: 2 }");
        assert_eq!(cut, back, "{gb_per_sec} GB/s");
        assert!(cut < whole, "{cut} {whole}");
    }
}

/// Tokens that travel before a gate has seen them go all at once; only those that return are cut. All four are
/// rows of the two experts, so that attention (3 + 2 us), D, the first products (4 us), then half of the columns in 1 us each.
#[test]
fn broadcast_tokens_travel_whole() {
    let strategy = SEPARATED.replace("n_micro_batches", "dispatch: broadcast, n_micro_batches");
    let (whole, half) = (100 + 4_000 / 4, 100 + 2_000 / 4);
    let cut = layer_ns(4, 4, &strategy, "{ kind: chunks, n_chunks: 2 }");
    assert_eq!(cut, 5_000 + whole + 4_000 + 2_000 + half);
}

/// Literally: a quarter of every communication takes time, and nothing else changes.
#[test]
fn the_paper_counts_a_quarter() {
    let literal = "{ kind: literal, exposed: 0.25 }";
    assert_eq!(layer_ns(1, 1, SLICED, literal), 3_000 + 1_000 + 2 * (2_000 + 1_200 / 4));
    assert_eq!(layer_ns(1, 4, SEPARATED, literal), 5_000 + 6_000 + 2 * (4_100 / 4));
}
