//! Time adds up, and nothing is faster than it can be.

use std::collections::BTreeMap;

use masim_core::inputs::topology::GpuCard;
use masim_core::judging::metrics::{Metrics, measure};
use masim_core::plan::{Plan, Role};
use masim_core::program::memory::memory;
use masim_core::running::run::{CopySteps, Records, Run, run_plan};
use masim_core::scenario::{Dtypes, Scenario};
use masim_core::work::cost::{Cost, CostModel, RooflineCost, TooLong, roofline_secs};
use masim_core::work::ops::Op;
use masim_engine::{GraphId, Shape, Span, StreamId, TaskId, TaskRef};
use masim_tests::{cold_time, only_plan, routing, windows};
use masim_units::SimDuration;

use crate::drawn::{N_SCENARIOS, drawn};
use crate::traffic::assert_bytes_are_those_of_the_routing;

#[test]
fn every_drawn_scenario_obeys() {
    for seed in 0..N_SCENARIOS {
        let (scenario, what) = drawn(seed);
        let (plan, routing) = (only_plan(&scenario), routing(&scenario));
        let cost = AboveRoofline {
            inner: RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch },
            dtypes: scenario.model.dtype,
        };
        let run =
            run_plan(&scenario, &plan, &routing, &cost).unwrap_or_else(|error| panic!("{what}: {error}"));
        let metrics = measure(&scenario, &plan, &run, &routing);
        assert!(metrics.work_bound_us > 0.0 && metrics.period_us >= metrics.work_bound_us, "{what}");
        assert_accounts_add_up(&run, &metrics, &what);
        assert_path_adds_up(&run, &metrics, &what);
        assert_no_stream_is_busy_twice(&run, &what);
        assert_causes_end_where_tasks_start(&run, &what);
        assert_kernels_fill_their_tasks(&run, &what);
        assert_memory_is_in_use(&scenario, &plan, &what);
        if let Plan::Routed(plan) = &plan {
            assert_bytes_are_those_of_the_routing(&scenario, plan, &run, &routing, &what);
        }
    }
}

/// Holds every kernel against peak rates.
struct AboveRoofline {
    inner: RooflineCost,
    dtypes: Dtypes,
}

impl CostModel for AboveRoofline {
    fn cost(&self, op: &Op, card: &GpuCard) -> Result<Cost, TooLong> {
        let cost = self.inner.cost(op, card)?;
        let bound = roofline_secs(op, card, &self.dtypes, 1.0, 1.0);
        assert!(bound > 0.0 && cost.time.as_secs() >= bound, "{op:?} takes {cost:?}, at least {bound} s");
        Ok(cost)
    }

    fn launch(&self, card: &GpuCard) -> SimDuration {
        self.inner.launch(card)
    }
}

fn assert_accounts_add_up(run: &Run, metrics: &Metrics, what: &str) {
    assert_eq!(metrics.gpus.len(), 16, "{what}");
    for gpu in &metrics.gpus {
        let copy = run.copies.iter().find(|copy| copy.gpus.contains(&gpu.gpu)).unwrap();
        let stretch = run.stretch(copy);
        for (account, whole) in [(gpu.window, stretch.to.since(stretch.from)), (gpu.cold, cold_time(run))] {
            let idle = account.imbalance + account.dependency + account.wire + account.fill_drain;
            assert_eq!(account.busy + idle, whole, "{:?}: {what}", gpu.gpu);
            assert!(account.kernels() > SimDuration::ZERO, "{:?} has work: {what}", gpu.gpu);
            assert!(account.resident_wait <= idle, "{what}");
        }
        assert_eq!(
            gpu.window.fill_drain,
            SimDuration::ZERO,
            "no fill in steady state, {:?}: {what}",
            gpu.gpu
        );
    }
    let shares = [metrics.busy_share, metrics.resident_share];
    assert!(0.0 < shares[0] && shares[0] <= shares[1] && shares[1] < 1.0 + 1e-9, "{shares:?}: {what}");
}

fn assert_path_adds_up(run: &Run, metrics: &Metrics, what: &str) {
    let windows = windows(run);
    assert_eq!(metrics.critical_path.by_work.values().copied().sum::<SimDuration>(), windows, "{what}");
    assert_eq!(metrics.critical_path.by_basis.values().copied().sum::<SimDuration>(), windows, "{what}");
}

fn assert_no_stream_is_busy_twice(run: &Run, what: &str) {
    assert_in_order(&run.shape, Records::alone(&run.cold), what);
    for copy in &run.copies {
        assert_in_order(&copy.shape, copy.records(), what);
    }
}

/// In order of submission, which is the order in which a stream runs its tasks.
fn assert_in_order(shape: &Shape, steps: Records<'_>, what: &str) {
    let mut spans = BTreeMap::<StreamId, Vec<Span>>::new();
    for (_, step) in steps.iter() {
        for task in shape.tasks() {
            for &stream in shape.streams(task) {
                spans.entry(stream).or_default().push(step.trace.span(task));
            }
        }
    }
    for (stream, spans) in spans {
        for pair in spans.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{stream:?} {pair:?}: {what}");
        }
    }
}

fn assert_causes_end_where_tasks_start(run: &Run, what: &str) {
    for records in run.copies.iter().map(CopySteps::records) {
        for (idx, step) in records.iter() {
            for (span, task) in step.trace.spans.iter().zip((0..).map(TaskId)) {
                let task = TaskRef { graph: GraphId(u64::from(idx)), task };
                assert!(span.start <= span.end, "{task:?}: {what}");
                if let Some(cause) = span.cause {
                    let end = records.task(cause).1.end;
                    assert_eq!(end, span.start, "{task:?} after {cause:?}: {what}");
                }
            }
        }
    }
}

fn assert_kernels_fill_their_tasks(run: &Run, what: &str) {
    for (_, step) in run.copies.iter().flat_map(|copy| copy.records().iter()) {
        for (info, span) in step.infos.iter().zip(&step.trace.spans) {
            let parts = step.parts_of(info);
            if !parts.is_empty() {
                let sum: SimDuration = parts.iter().map(|part| part.time).sum();
                assert_eq!(span.end.since(span.start), sum, "{info:?}: {what}");
            }
        }
    }
}

fn assert_memory_is_in_use(scenario: &Scenario, plan: &Plan, what: &str) {
    let memory = memory(scenario, plan);
    for ((gpu, role), (other, memory)) in plan.roles().into_iter().zip(&memory) {
        assert_eq!(gpu, *other, "{what}");
        assert!(memory.weights.0 > 0 && memory.activations.0 > 0, "{gpu:?} {memory:?}: {what}");
        assert_eq!(memory.kv.0 > 0, role != Role::Expert, "{gpu:?} {memory:?}: {what}");
    }
}
