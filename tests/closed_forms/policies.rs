//! Policies change speeds between steps.

use std::collections::BTreeSet;

use masim_core::inputs::topology::{Cluster, GpuIdx};
use masim_core::running::price::compute_stream;
use masim_core::running::run::{Change, Ended, Policy, Run, RunError, run_under};
use masim_core::scenario::Scenario;
use masim_engine::{LinkId, Resource, Speed};
use masim_tests::{only_plan, routing, scenario};

use crate::copies::BySequence;

/// Sets the compute stream of one GPU to `speed` after step `after`.
struct Slow {
    after: u32,
    speed: Speed,
    n_asked: u32,
}

impl Policy for Slow {
    fn touchable(&self, _cluster: &Cluster) -> BTreeSet<LinkId> {
        BTreeSet::new()
    }

    fn decide(&mut self, ended: &Ended<'_>) -> Vec<Change> {
        assert_eq!(ended.idx, self.n_asked, "steps end in order");
        self.n_asked += 1;
        let change = Change { resource: Resource::Stream(compute_stream(GpuIdx(0))), speed: self.speed };
        if ended.idx == self.after { vec![change] } else { Vec::new() }
    }
}

/// One GPU that takes 4 us a step: one layer's 1 us, four times.
fn one_gpu() -> Scenario {
    scenario(
        "cluster:\n  name: one\n  gpu: a100-sxm4-80gb\n  n_nodes: 1\n  n_gpus_per_node: 1\n  \
         scale_up: { kind: mesh, bandwidth: 100 GB/s, latency: 1 us, source: made up }\n\
         model: paper-4l\nworkload: { phase: decode, batch: 1, context_len: 16 }\n\
         strategy: { kind: tp_pp, tp: 1, pp: 1, dp: 1, n_in_flight: 1 }\nn_steps: { exactly: 20 }\n",
    )
}

fn run(policy: &mut Slow) -> Result<Run, RunError> {
    let scenario = one_gpu();
    run_under(&scenario, &only_plan(&scenario), &routing(&scenario), &BySequence, policy)
}

/// The window has steps 3 to 22. Steps 3 to 11 take 4 us each, the 11 behind them 8 us: 124 us of 20 steps.
#[test]
fn a_gpu_that_is_slow_from_some_step_on_is_slow_from_that_step_on() {
    let mut half = Slow { after: 11, speed: Speed::from_ppm(500_000), n_asked: 0 };
    let run = run(&mut half).unwrap();
    assert_eq!((run.window.first, run.window.last), (2, 22));
    assert!((run.period_us() - 6.2).abs() < 1e-9, "{}", run.period_us());
}

#[test]
fn a_gpu_that_stops_is_told() {
    let mut stop = Slow { after: 11, speed: Speed::ZERO, n_asked: 0 };
    let error = run(&mut stop).unwrap_err();
    let RunError::Stalled(stalled) = error else { panic!("{error}") };
    assert_eq!((stalled.step, stalled.n_waiting, stalled.links.len()), (12, 1, 0), "{stalled}");
}
