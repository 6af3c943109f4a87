//! Times of operations that a cost model gives in a second: of shapes that a run has seen, and of new ones.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use masim_core::inputs::measurement::{
    CollectiveWork, DecodeWork, Distribution, ElementwiseKind, ElementwiseWork, GemmWork, Machine, MoeWork,
    Operation, PairsWork, PrefillWork, Scope, Site, Work,
};
use masim_core::inputs::topology::Dtype;
use masim_core::scenario::Scenario;
use masim_core::timing::fitted::CardModels;
use masim_core::work::cost::{CalibratedCost, CostModel, RooflineCost};
use masim_core::work::ops::{GroupRows, LayerOps, Op};
use masim_units::SimDuration;

/// Shapes of each kind of operation: more than most runs have.
const N_SHAPES: u64 = 200;

/// The paper's scenario with a profile.
fn scenario() -> Scenario {
    masim_tests::decode(&[("profile", "a100-sxm4-80gb-vllm")])
}

fn cost(scenario: &Scenario) -> CalibratedCost {
    let roofline = RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
    CalibratedCost::new(&scenario.profiles, roofline)
}

/// Every kind of operation of a layer, in so many shapes.
fn ops(scenario: &Scenario, n_shapes: u64) -> Vec<Op> {
    let layer = LayerOps::new(&scenario.model);
    let mut ops = Vec::new();
    for tokens in 1..=n_shapes {
        let rows = GroupRows::of_counts(tokens, [tokens, tokens / 2, tokens / 3, 1]);
        ops.extend([
            layer.residual_norm(tokens),
            layer.residual(tokens),
            layer.decode_attention(tokens, (tokens * 2048, 2048), 32, 32),
            layer.output_projection(tokens, 32),
            layer.combine_sum(2 * tokens, tokens),
        ]);
        ops.extend(layer.prefill_queries(tokens, 32, 32));
        ops.extend(layer.prefill_attention(1, (tokens, tokens), 32, 32));
        ops.extend(layer.gate(tokens));
        ops.extend(layer.experts(rows, 16_384));
    }
    ops
}

fn operations(criterion: &mut Criterion) {
    let scenario = scenario();
    let card = scenario.cluster.gpus[0].card.clone();
    let ops = ops(&scenario, N_SHAPES);
    let total = |cost: &CalibratedCost| -> u64 {
        let times = ops.iter().map(|op| cost.cost(black_box(op), &card).expect("times are short").time);
        times.map(SimDuration::as_ps).fold(0, u64::wrapping_add)
    };
    let mut group = criterion.benchmark_group("operations");
    group.throughput(Throughput::Elements(ops.len() as u64));
    let known = cost(&scenario);
    total(&known);
    group.bench_function("seen", |bencher| bencher.iter(|| total(&known)));
    group.sample_size(20);
    group.bench_function("new", |bencher| bencher.iter(|| total(&cost(&scenario))));
    group.finish();
}

/// Work of a family in different shapes.
fn works(family: &str) -> Vec<Work> {
    let dtype = Dtype::Bf16;
    let work = |n: u64| match family {
        "gemm" => Work::Gemm(GemmWork { dtype, m: n, n: 4096, k: 8192 }),
        "attention_prefill" => {
            let (q_len, kv_len, n_heads, n_kv_heads, head_dim) = (16 * n, 16 * n + 64, 32, 8, 128);
            Work::Prefill(PrefillWork { dtype, batch: 1, q_len, kv_len, n_heads, n_kv_heads, head_dim })
        }
        "attention_decode" => {
            let (kv_len, n_heads, n_kv_heads, head_dim) = (2048, 32, 8, 128);
            Work::Decode(DecodeWork { dtype, batch: n, kv_len, n_heads, n_kv_heads, head_dim })
        }
        "moe_balanced" => moe(n, Distribution::Balanced),
        "moe_power_law" => moe(n, Distribution::PowerLaw { exponent: 1.2 }),
        "elementwise" => {
            let kind = ElementwiseKind::InputLayernorm;
            Work::Elementwise(ElementwiseWork { dtype, kind, tokens: n, width: 4096 })
        }
        "collective" => {
            let (operation, n_gpus, n_nodes) = (Operation::AllReduce, 16, 2);
            Work::Collective(CollectiveWork { operation, bytes: 4096 * n, n_gpus, n_nodes })
        }
        _ => Work::Pairs(PairsWork { scope: Scope::InterNode, bytes_per_pair: 4096 * n, n_pairs: 4 }),
    };
    (1..=N_SHAPES).map(work).collect()
}

fn moe(n: u64, distribution: Distribution) -> Work {
    let (hidden, expert_hidden, top_k, n_experts, tp, ep) = (4096, 1536, 8, 128, 1, 8);
    Work::Moe(MoeWork {
        dtype: Dtype::Bf16,
        tokens: 8 * n,
        hidden,
        expert_hidden,
        top_k,
        n_experts,
        tp,
        ep,
        distribution,
    })
}

/// Work of `masim predict` for a line: nothing of it is remembered, but the draws of a skewed load.
fn families(criterion: &mut Criterion) {
    let scenario = scenario();
    let card = scenario.cluster.gpus[0].card.clone();
    let site = Site { machine: Machine::assumed(&card.name), card: Some(card.clone()) };
    let models: &CardModels = &scenario.profiles.cards[&card.name];
    let mut group = criterion.benchmark_group("families");
    group.sample_size(20).throughput(Throughput::Elements(N_SHAPES));
    let names = [
        "gemm",
        "attention_prefill",
        "attention_decode",
        "moe_balanced",
        "moe_power_law",
        "elementwise",
        "collective",
        "p2p",
    ];
    for name in names {
        let works = works(name);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let times = works.iter().filter_map(|work| models.predict(black_box(work), &site));
                times.map(|it| it.time_us).sum::<f64>()
            });
        });
    }
    group.finish();
}

/// The first prediction of each shape under a skewed load, whose draws no thread has seen.
fn first_draws(criterion: &mut Criterion) {
    let scenario = scenario();
    let card = scenario.cluster.gpus[0].card.clone();
    let site = Site { machine: Machine::assumed(&card.name), card: Some(card.clone()) };
    let models: &CardModels = &scenario.profiles.cards[&card.name];
    let mut next = 100_000;
    let mut group = criterion.benchmark_group("families");
    group.sample_size(20).throughput(Throughput::Elements(1));
    group.bench_function("moe_power_law_first", |bencher| {
        bencher.iter(|| {
            next += 1;
            models
                .predict(&moe(next % 4096 + 1, Distribution::PowerLaw { exponent: next as f64 / 1e5 }), &site)
        });
    });
    group.finish();
}

criterion_group!(benches, operations, families, first_draws);
criterion_main!(benches);
