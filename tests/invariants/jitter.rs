//! Effects of variation from run to run, and none without it.

use masim_core::judging::metrics::measure;
use masim_core::judging::progress::Silent;
use masim_core::judging::sweep::{Row, load_sweep, run_sweep};
use masim_core::running::run::{CopySteps, Run, Steady, run_once, run_plan};
use masim_core::scenario::{Jitter, Scenario, Width};
use masim_core::search::{routing_of, search};
use masim_core::work::{cost::cost_of, routing::RoutingPool};
use masim_report::{csv, json};
use masim_tests::{Shipped, only_plan, scenario, windows};

use crate::drawn::drawn;

fn run(scenario: &Scenario) -> Run {
    let routing = routing_of(scenario, &RoutingPool::default());
    run_plan(scenario, &only_plan(scenario), &routing, &*cost_of(scenario)).unwrap()
}

/// A model on `tp` GPUs that share every layer: each all-reduce waits for the slowest.
fn in_step(tp: u32, width: f64) -> Scenario {
    let text = format!(
        "cluster:\n  name: one\n  gpu: a100-sxm4-80gb\n  n_nodes: 1\n  n_gpus_per_node: {tp}\n  \
         scale_up: {{ kind: switch, bandwidth: 100000 GB/s, latency: 0 us, source: made up }}\n\
         model: paper-4l\nworkload: {{ phase: decode, batch: 64, context_len: 2048 }}\n\
         strategy: {{ kind: tp_pp, tp: {tp}, pp: 1, dp: 1, n_in_flight: 1 }}\nn_steps: 60\n\
         jitter: {{ kernels: {width}, communication: 0, source: made up }}\n"
    );
    scenario(&text)
}

fn n_steps(run: &Run) -> u32 {
    run.copies.iter().map(CopySteps::n_ended).sum()
}

fn tpot_us(run: &Run) -> f64 {
    run.period_us()
}

/// Steps wait for the slowest of n at each of 9 points (two a layer, and the head). With the kernels of a task drawn
/// together and a normal's expected maxima of 0.56, 1.03 and 1.42 deviations for n = 2, 4, 8, the times over the exact one grow
/// in these proportions; a log-normal of 10 % and less adds at most a tenth.
#[test]
fn who_waits_for_several_waits_for_the_slowest() {
    let longer = |tp: u32| {
        let exact = run(&in_step(tp, 0.0));
        let jittered = run(&in_step(tp, 0.1));
        assert!(matches!(exact.steady, Steady::Repeats { .. }));
        assert!(matches!(jittered.steady, Steady::Settled { .. } | Steady::Unsettled { .. }));
        tpot_us(&jittered) / tpot_us(&exact) - 1.0
    };
    let [two, four, eight] = [2, 4, 8].map(longer);
    assert!(0.01 < two && two < four && four < eight, "{two} {four} {eight}");
    assert!((four / two / (1.03 / 0.564) - 1.0).abs() < 0.15, "{two} {four}");
    assert!((eight / two / (1.424 / 0.564) - 1.0).abs() < 0.15, "{two} {eight}");
}

/// Results of prompts are one draw, that of the plan which is best without any: not the luckiest of several.
#[test]
fn the_plan_of_prompts_does_not_depend_on_its_draw() {
    for seed in 0..4 {
        let found = |jitter: &str| {
            let scenario = scenario(&format!(
                "cluster: a100-4x4\nmodel: paper-4l\nworkload: {{ phase: prefill, batch: 16, prompt_len: 128 }}\n\
                 strategy: {{ kind: ma_separation, n_attention_gpus: 4, n_expert_gpus: 12 }}\nseed: {seed}\n{jitter}"
            ));
            let routing = routing_of(&scenario, &RoutingPool::default());
            let cost = cost_of(&scenario);
            let found = search(&scenario, &routing, &*cost).unwrap();
            let again = run_once(&scenario, &found.plan, &routing, &*cost).unwrap();
            assert_eq!(found.run.cold_end(), again.cold_end());
            (format!("{:?}", found.plan), found.run.cold_end())
        };
        let exact = found("");
        let drawn = found("jitter: { kernels: 0.3, communication: 0.3, source: made up }\n");
        assert_eq!(exact.0, drawn.0, "seed {seed}");
        assert_ne!(exact.1, drawn.1, "seed {seed}");
    }
}

#[test]
fn no_width_is_no_variation_and_a_width_keeps_the_accounts() {
    for seed in 0..8 {
        let (exact, what) = drawn(seed);
        let share = |kernels, communication| Jitter {
            kernels: Width::Share(kernels),
            communication: Width::Share(communication),
        };
        let first = run(&exact);
        let still = run(&Scenario { jitter: share(0.0, 0.0), ..exact.clone() });
        assert_eq!(first.cold.trace, still.cold.trace, "{what}");
        assert_eq!((first.window, n_steps(&first)), (still.window, n_steps(&still)), "{what}");

        let varied = Scenario { jitter: share(0.05, 0.05), ..exact.clone() };
        let (one, two) = (run(&varied), run(&varied));
        assert_eq!(one.cold.trace, two.cold.trace, "{what}");
        assert_ne!(one.cold.trace, first.cold.trace, "{what}");
        let other_seed = run(&Scenario { seed: varied.seed + 1, ..varied.clone() });
        assert_ne!(one.cold.trace.spans, other_seed.cold.trace.spans, "{what}");
        let (plan, routing) = (only_plan(&varied), routing_of(&varied, &RoutingPool::default()));
        let metrics = measure(&varied, &plan, &one, &routing);
        let (low, high) = metrics.step_us;
        assert!(low < metrics.period_us && metrics.period_us < high, "{what}: {:?}", metrics.step_us);
        let path: masim_units::SimDuration = metrics.critical_path.by_work.values().copied().sum();
        assert_eq!(path, windows(&one), "{what}");
        let total = |run: &Run| tpot_us(run);
        assert!(total(&one) > 0.98 * total(&first), "{what}");
        assert!(total(&one) < 1.25 * total(&first), "{what}");
    }
}

/// The quick sweep as profiles have it: equal bytes on one thread and two.
#[test]
fn jitter_does_not_depend_on_threads() {
    let shipped = Shipped::default();
    let mut source = shipped.text("scenarios/quick.yaml").unwrap();
    let keys = "{ profile: [a100-sxm4-80gb-vllm], jitter: [profile] }";
    source.text = source.text.replace("axes:\n", &format!("axes:\n  - {keys}\n"));
    let rows = load_sweep(&source, &shipped).unwrap().expand(&shipped).unwrap().rows;
    let one: Vec<Row> = run_sweep(&rows, 1, &Silent);
    let steps = |row: &Row| row.figures().and_then(|figures| figures.tpot_step_us);
    assert!(one.iter().all(|row| steps(row).is_some_and(|(low, high)| low < high)));
    let still = "jitter: no repeated rows of attention_prefill, attention_decode, moe, collective on";
    assert!(one.iter().all(|row| row.warnings.iter().any(|warning| warning.starts_with(still))));
    let two = run_sweep(&rows, 2, &Silent);
    assert_eq!((csv::csv(&one), json::json(&one)), (csv::csv(&two), json::json(&two)));
}
