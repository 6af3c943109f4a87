//! Sixteen experts on any number of GPUs.

use masim_core::running::run::run_plan;
use masim_core::work::cost::RooflineCost;
use masim_core::work::ops::OpKind;
use masim_tests::{decode, only_plan, routing};

/// The longest first product of the experts on any GPU, in picoseconds: 16384 tokens, 2048 rows an expert.
///
/// 2 x 2048 x 4096 x 16384 FLOP an expert: the product is bound by arithmetic, so that its time counts rows.
fn slowest_ps(n_expert_gpus: u32, (ep, tp): (u32, u32), copies: u32) -> f64 {
    let n_attention_gpus = 20 - n_expert_gpus;
    let scenario = decode(&[
        ("cluster.n_nodes", "5"),
        ("workload", "{ phase: decode, batch: 16384, context_len: 1 }"),
        ("strategy.n_attention_gpus", &n_attention_gpus.to_string()),
        ("strategy.n_expert_gpus", &n_expert_gpus.to_string()),
        ("strategy.attention", &format!("{{ heads: 1, sequences: 1, replicas: {n_attention_gpus} }}")),
        ("strategy.experts", &format!("{{ ep: {ep}, tp: {tp}, copies: {copies} }}")),
        ("strategy.n_micro_batches", "1"),
        ("model.n_layers", "1"),
        ("cluster.gpu.roofline.launch_graph", "0 us"),
    ]);
    let cost = RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
    let run = run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &cost).unwrap();
    let first_products = run.cold.parts.iter().filter(|part| part.kind == OpKind::ExpertUp);
    first_products.map(|part| part.time.as_ps()).max().unwrap() as f64
}

/// Time follows `ceil(16 / F)`: four experts on a GPU at F = 4 and 5, two from 8 to 15, one at 16.
#[test]
fn whole_experts_make_a_staircase() {
    let one = slowest_ps(16, (16, 1), 0);
    for n_gpus in 4..=16_u32 {
        let steps = f64::from(16_u32.div_ceil(n_gpus));
        let ratio = slowest_ps(n_gpus, (n_gpus, 1), 0) / one;
        assert!((ratio - steps).abs() < 1e-6, "{n_gpus} GPUs: {ratio}, expected {steps}");
    }
}

/// Sharded experts take `16 / F` of one: no stairs. 16384 columns over 12 GPUs are 1366 on the widest, 0.05 %
/// more than a twelfth.
#[test]
fn sharded_experts_have_no_stairs() {
    let one = slowest_ps(16, (16, 1), 0);
    for n_gpus in 4..=16_u32 {
        let ratio = slowest_ps(n_gpus, (1, n_gpus), 0) / one;
        let share = 16.0 / f64::from(n_gpus);
        assert!((ratio / share - 1.0).abs() < 1e-3, "{n_gpus} GPUs: {ratio}, expected {share}");
    }
}

/// Copies remove the stairs, too: on 12 GPUs whole experts take 2; with 8 copies 8 whole experts and 16 halves
/// make at most 1.5; with 32 copies every GPU has 4 of 48 thirds, 1.333. Copies share tokens nearly evenly.
#[test]
fn copies_lower_the_stairs() {
    let one = slowest_ps(16, (16, 1), 0);
    for (copies, expected) in [(0, 2.0), (8, 1.5), (32, 4.0 / 3.0)] {
        let ratio = slowest_ps(12, (12, 1), copies) / one;
        assert!((ratio / expected - 1.0).abs() < 0.03, "{copies} copies: {ratio}, expected {expected}");
    }
}
