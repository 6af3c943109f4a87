//! Copies of a pipeline run on clocks of their own.

use masim_core::inputs::topology::GpuCard;
use masim_core::judging::metrics::measure;
use masim_core::judging::sweep::{RowJson, SweepRow, simulate_row};
use masim_core::running::run::run_plan;
use masim_core::timing::provenance::{Basis, Provenance};
use masim_core::work::cost::{Cost, CostModel, TooLong};
use masim_core::work::ops::{Op, OpShape};
use masim_core::work::routing::RoutingPool;
use masim_tests::{decode, only_plan, routing, scenario};
use masim_units::SimDuration;

/// Attention takes 1 us for each sequence, everything else no time.
pub(crate) struct BySequence;

impl CostModel for BySequence {
    fn cost(&self, op: &Op, _card: &GpuCard) -> Result<Cost, TooLong> {
        let time = match op.shape {
            OpShape::DecodeAttention { batch, .. } => SimDuration::from_us(batch),
            _ => SimDuration::ZERO,
        };
        Ok(Cost { time, basis: Basis::unjudged(Provenance::Assumed) })
    }

    fn launch(&self, _card: &GpuCard) -> SimDuration {
        SimDuration::ZERO
    }
}

/// Seven sequences over two copies of one GPU and four layers: 4 x 4 us and 4 x 3 us a step. The time per token is their
/// mean, 14 us; the tokens per second add up: 4 / 16 us + 3 / 12 us. A GPU of either is never idle.
#[test]
fn copies_of_different_size_have_their_own_pace() {
    let scenario = scenario(
        "cluster:\n  name: pair\n  gpu: a100-sxm4-80gb\n  n_nodes: 1\n  n_gpus_per_node: 2\n  \
         scale_up: { kind: mesh, bandwidth: 100 GB/s, latency: 1 us, source: made up }\n\
         model: paper-4l\nworkload: { phase: decode, batch: 7, context_len: 16 }\n\
         strategy: { kind: tp_pp, tp: 1, pp: 1, dp: 2, n_in_flight: 1 }\n",
    );
    let (plan, routing) = (only_plan(&scenario), routing(&scenario));
    let run = run_plan(&scenario, &plan, &routing, &BySequence).unwrap();
    let metrics = measure(&scenario, &plan, &run, &routing);
    assert!((metrics.period_us - 14.0).abs() < 1e-9, "{}", metrics.period_us);
    assert!((metrics.tokens_per_sec - 500_000.0).abs() < 1e-3, "{}", metrics.tokens_per_sec);
    let busy: Vec<u64> = metrics.gpus.iter().map(|gpu| gpu.window.busy.as_ps()).collect();
    let n_steps = u64::from(metrics.n_steps);
    assert_eq!(busy, [n_steps * 16_000_000, n_steps * 12_000_000]);
    assert!((metrics.busy_share - 1.0).abs() < 1e-9);
    // Mean over copies too: all of it is attention.
    let on_path: u64 = metrics.critical_path.by_work.values().map(|time| time.as_ps()).sum();
    assert_eq!(on_path, u64::from(metrics.n_path_steps) * 14_000_000);
}

/// Four copies whose tasks vary by as much as their means drift apart; the critical path of a step takes the step.
#[test]
fn the_critical_path_is_as_long_as_the_steps_of_copies_that_drift_apart() {
    let scenario = decode(&[
        ("workload", "{ phase: decode, batch: 256, context_len: 512 }"),
        ("strategy", "{ kind: tp_pp, tp: 1, pp: 4, dp: 4, n_in_flight: 3 }"),
        ("jitter", "{ kernels: 1, communication: 1, source: made up }"),
        ("n_steps", "100"),
    ]);
    let row = SweepRow::alone(scenario);
    let row = RowJson::from(&simulate_row(&row, &RoutingPool::default()).0);
    let path: f64 = row.critical_path.iter().map(|part| part.time_us).sum();
    let tpot = row.tpot_us.unwrap();
    assert!((path / tpot - 1.0).abs() < 1e-9, "{path} of {tpot} us");
}
