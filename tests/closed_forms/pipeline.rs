//! Stages of equal length in a row.

use masim_core::running::run::{Run, run_plan};
use masim_tests::{TwoKernels, cold_time, only_plan, routing, scenario, steady_time};
use masim_units::SimDuration;

/// Four layers over `pp` GPUs on one switch; micro-batches of one token of 1000 bytes.
fn run(pp: u32, n_in_flight: u32, kernels: TwoKernels) -> Run {
    let gpus: Vec<String> =
        (0..pp).map(|gpu| format!("{{ name: g{gpu}, gpu: a100-sxm4-80gb, node: 0 }}")).collect();
    let link = "bandwidth: 1000 GB/s, latency: 10 ns, duplex: true, source: made up";
    let links: Vec<String> = (0..pp).map(|gpu| format!("{{ src: g{gpu}, dst: sw, {link} }}")).collect();
    let (gpus, links) = (gpus.join(", "), links.join(", "));
    let scenario = scenario(&format!(
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
workload: {{ phase: decode, batch: {n_in_flight}, context_len: 16 }}
strategy: {{ kind: tp_pp, tp: 1, pp: {pp}, dp: 1, n_in_flight: {n_in_flight} }}
"
    ));
    run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &kernels).unwrap()
}

/// Attention 3 us and experts 2 us: a layer of 5 us, so stages of 20, 10 and 5 us for pp = 1, 2, 4.
const KERNELS: TwoKernels =
    TwoKernels { attention: SimDuration::from_us(3), experts: SimDuration::from_us(2) };

/// A stage, and all wires of one passage: two hops of 10 ns, then 1000 B at 1000 GB/s to each next stage and
/// 4 B of token id back to the first.
fn stage_and_wires(pp: u64) -> (u64, u64) {
    let back = if pp == 1 { 0 } else { 20_000 + 4 };
    (4 / pp * 5_000_000, (pp - 1) * (20_000 + 1_000) + back)
}

/// Steady: `max(m, pp)` stages; where the passage of one micro-batch binds (m <= pp), its wires show.
#[test]
fn steady_time_is_as_many_stages_as_micro_batches_or_stages() {
    for pp in [1, 2, 4] {
        for m in 1..=8 {
            let (stage, wires) = stage_and_wires(pp);
            let (window, n_steps) = steady_time(&run(u32::try_from(pp).unwrap(), m, KERNELS));
            let expected = (u64::from(m) * stage).max(pp * stage + wires);
            assert_eq!(window.as_ps(), n_steps * expected, "pp {pp}, m {m}");
            assert!(expected - u64::from(m).max(pp) * stage <= wires);
        }
    }
}

/// Cold: `m + pp - 1` stages, and the wires of the last micro-batch.
#[test]
fn cold_time_fills_the_stages_first() {
    for pp in [1, 2, 4] {
        for m in 1..=8 {
            let (stage, wires) = stage_and_wires(pp);
            let cold = cold_time(&run(u32::try_from(pp).unwrap(), m, KERNELS));
            assert_eq!(cold.as_ps(), (u64::from(m) + pp - 1) * stage + wires, "pp {pp}, m {m}");
        }
    }
}

/// The literal baseline: with one batch in flight a token takes all stages, 4 x 5 us, however many there are.
#[test]
fn one_batch_in_flight_takes_the_sum_of_the_stages() {
    for pp in [1, 2, 4] {
        let (window, n_steps) = steady_time(&run(u32::try_from(pp).unwrap(), 1, KERNELS));
        assert_eq!(window.as_ps(), n_steps * (20_000_000 + stage_and_wires(pp).1), "pp {pp}");
    }
}
