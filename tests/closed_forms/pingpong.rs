//! Micro-batches that take turns between one attention and one expert GPU.

use masim_core::judging::sweep::simulate;
use masim_core::work::routing::RoutingPool;
use masim_tests::{Pair, TwoKernels, cold_time, scenario, steady_time};
use masim_units::SimDuration;

/// Attention, experts and one way between them, in nanoseconds; each of the four limits binds in some case.
const CASES: [(u64, u64, u64); 8] = [
    (10_000, 10_000, 2_000),
    (10_000, 10_000, 1),
    (10_000, 6_000, 3_000),
    (5_000, 9_000, 4_000),
    (4_000, 4_000, 10_000),
    (1_000, 7_000, 7_000),
    (20_000, 1_000, 15_000),
    (777, 1_234, 567),
];

/// Every case with 1 to 4 micro-batches and with 1, 4 and 7 layers.
fn each_case(check: impl Fn(Pair, TwoKernels)) {
    let ns = |ns| SimDuration::from_ns(ns).unwrap();
    for (attention, experts, transfer) in CASES {
        for n_micro_batches in 1..=4 {
            for n_layers in [1, 4, 7] {
                // A token takes 1 ns on the wire; the rest of the way is latency.
                let pair = Pair { n_layers, n_micro_batches, latency_ns: transfer - 1, gb_per_sec: 1000 };
                assert_eq!(pair.transfer(), ns(transfer));
                check(pair, TwoKernels { attention: ns(attention), experts: ns(experts) });
            }
        }
    }
}

/// One micro-batch through one layer, and the largest of its parts, in picoseconds.
fn passage_and_slowest(pair: Pair, kernels: TwoKernels) -> (u64, u64) {
    let (ta, te, tc) = (kernels.attention.as_ps(), kernels.experts.as_ps(), pair.transfer().as_ps());
    (ta + te + 2 * tc, ta.max(te).max(tc))
}

/// Steady: `L max(m Ta, m Te, m Tc, Ta + Te + 2 Tc)`.
///
/// Ta = Te = 10 us, Tc = 2 us, L = 4: one micro-batch 4 x 24 = 96 us, two 96, three 4 x 30 = 120: with
/// Tc < Tf / 2, three hide the wire.
#[test]
fn steady_time_is_the_slowest_pool_wire_or_passage() {
    each_case(|pair, kernels| {
        let (passage, slowest) = passage_and_slowest(pair, kernels);
        let (m, layers) = (u64::from(pair.n_micro_batches), u64::from(pair.n_layers));
        let (window, n_steps) = steady_time(&pair.run(kernels));
        assert_eq!(window.as_ps(), n_steps * layers * passage.max(m * slowest), "{pair:?} {kernels:?}");
    });
}

/// Cold: `(L - 1) max(m Tf, P) + P + (m - 1) Tf` with `P = Ta + Te + 2 Tc` and `Tf = max(Ta, Te)`, to which a
/// wire that takes one message at a time adds its own time: `Tf = max(Ta, Te, Tc)`.
///
/// Ta = Te = 10 us, Tc = 2 us, L = 4, m = 3: 3 x 30 + 24 + 20 = 134 us.
#[test]
fn cold_time_adds_fill_and_drain() {
    each_case(|pair, kernels| {
        let (passage, slowest) = passage_and_slowest(pair, kernels);
        let (m, layers) = (u64::from(pair.n_micro_batches), u64::from(pair.n_layers));
        let expected = (layers - 1) * passage.max(m * slowest) + passage + (m - 1) * slowest;
        assert_eq!(cold_time(&pair.run(kernels)).as_ps(), expected, "{pair:?} {kernels:?}");
    });
}

/// The paper's model at peak rates, without launches, on two GPUs whose wire takes no time worth naming.
///
/// The closed form takes two sums with the residual stream per layer (8 arrays of `[tokens, hidden]`). A step
/// really has 1 array more, since its first norm and its last sum are apart: 64 x 4096 x 2 B / 2039 GB/s =
/// 0.26 us of several thousand. A thousandth is four times that share.
#[test]
fn the_closed_form_beside_each_result_is_that_theory() {
    for n_micro_batches in 1..=4 {
        let pair = scenario(&format!(
            r"
cluster:
  name: pair
  nodes: [ {{ name: a, gpu: {CARD}, node: 0 }}, {{ name: b, gpu: {CARD}, node: 0 }} ]
  links: [ {{ src: a, dst: b, bandwidth: 100000 GB/s, latency: 1 ns, duplex: true, source: made up }} ]
model: ./models/paper-4l.yaml
workload: {{ phase: decode, batch: 64, context_len: 20000 }}
strategy: {{ kind: ma_separation, n_attention_gpus: 1, n_expert_gpus: 1, n_micro_batches: {n_micro_batches} }}
"
        ));
        let mut model = (*pair.model).clone();
        model.vocab = None;
        let pair = masim_core::scenario::Scenario { model: std::sync::Arc::new(model), ..pair };
        let (found, metrics) = simulate(&pair, &RoutingPool::default()).unwrap();
        let ratio = metrics.period_us / found.closed_form_us;
        assert!(
            (ratio - 1.0).abs() < 1e-3,
            "{n_micro_batches}: {} {}",
            metrics.period_us,
            found.closed_form_us
        );
    }
}

/// Peak rates and no launch cost.
const CARD: &str = "{ name: bound, source: made up, peak: { bf16: 312 TFLOP/s }, \
    memory: { size: 80 GiB, bandwidth: 2039 GB/s }, n_sms: 108, l2: 40 MiB, power: { idle: 60 W, tdp: 400 W }, \
    roofline: { memory: 1, matrix: 1, launch_eager: 0 us, launch_graph: 0 us, source: made up } }";
