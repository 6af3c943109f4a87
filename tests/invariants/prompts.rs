//! What holds for prompts and whole requests, however they are split.

use masim::load::RoutingPool;
use masim::metrics::measure;
use masim::run::run_once;
use masim::scenario::Scenario;
use masim::search::{candidates, routing_of};
use masim::sweep::{SweepRow, simulate_plan, simulate_row};
use masim_tests::{decode, only_plan};
use masim_units::SimDuration;

/// Sixteen GPUs as `tp x pp x dp`, and micro-batches in flight.
const SPLITS: [(u32, u32, u32, u32); 5] =
    [(8, 2, 1, 2), (4, 2, 2, 3), (1, 4, 4, 4), (2, 1, 8, 1), (8, 1, 2, 2)];

fn split(model: &str, workload: &str, (tp, pp, dp, n): (u32, u32, u32, u32)) -> Scenario {
    let strategy = format!("{{ kind: tp_pp, tp: {tp}, pp: {pp}, dp: {dp}, n_in_flight: {n} }}");
    decode(&[
        ("model", model),
        ("cluster", "a100-2x8"),
        ("workload", workload),
        ("strategy", &strategy),
        ("load", "{ kind: zipf, exponent: 0.8 }"),
    ])
}

#[test]
fn accounts_of_prompts_add_up_to_the_makespan_and_no_split_beats_the_bound() {
    for (idx, &of) in SPLITS.iter().enumerate() {
        let model = ["paper-4l", "llama-3.1-8b"][idx % 2];
        let chunk = ["auto", "40", "100"][idx % 3];
        let workload = format!("{{ phase: prefill, batch: 19, prompt_len: 100, chunk_len: {chunk} }}");
        let scenario = split(model, &workload, of);
        let (plan, routing) = (only_plan(&scenario), routing_of(&scenario, &RoutingPool::default()));
        let cost = masim::cost::RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
        let run = run_once(&scenario, &plan, &routing, &cost).unwrap();
        let metrics = measure(&scenario, &plan, &run, &routing);
        let what = format!("{model} {of:?} {workload}");
        let makespan = run.measured().1.since(run.measured().0);
        assert!(metrics.period_us >= metrics.work_bound_us && metrics.work_bound_us > 0.0, "{what}");
        for gpu in &metrics.gpus {
            assert_eq!(gpu.window.busy + gpu.window.waits(), makespan, "{:?}: {what}", gpu.gpu);
            assert!(gpu.window.busy > SimDuration::ZERO, "{what}");
        }
        let path: SimDuration = metrics.critical_path.by_work.values().copied().sum();
        assert!(path <= makespan && 2.0 * path.as_us() > makespan.as_us(), "{path} of {makespan}: {what}");
        assert_power_is_possible(&scenario, metrics.power_w(), &what);
    }
}

/// A request takes its prompt and one step for each further token.
#[test]
fn requests_are_prompts_and_steps() {
    let inference =
        split("llama-3.1-8b", "{ phase: inference, batch: 16, prompt_len: 64, output_len: 9 }", SPLITS[0]);
    let prompts = split("llama-3.1-8b", "{ phase: prefill, batch: 16, prompt_len: 64 }", SPLITS[0]);
    let steps = split("llama-3.1-8b", "{ phase: decode, batch: 16, context_len: 68 }", SPLITS[0]);
    let run = |scenario: &Scenario| {
        simulate_plan(scenario, &candidates(scenario)[0], &RoutingPool::default()).unwrap()
    };
    let (inference, prompts, steps) = (run(&inference), run(&prompts), run(&steps));
    let request = inference.request.unwrap();
    assert_eq!(request.ttft_us.to_bits(), prompts.period_us.to_bits());
    assert_eq!(inference.period_us.to_bits(), steps.period_us.to_bits());
    assert!((request.makespan_us - prompts.period_us - 8.0 * steps.period_us).abs() < 1e-6);
    assert!((request.energy_j - prompts.energy_j - 8.0 * steps.energy_j).abs() < 1e-9 * request.energy_j);
    let tokens = 16.0 * 9.0;
    assert!((inference.energy_per_token_j() * tokens / request.energy_j - 1.0).abs() < 1e-12);
}

/// Between nothing to do and the limit; and what does more draws more.
#[test]
fn watts_lie_between_idle_and_the_limit() {
    let rows = ["1", "64", "4096"].map(|batch| {
        let workload =
            format!("{{ phase: decode, batch: {}, context_len: 512 }}", 16 * batch.parse::<u32>().unwrap());
        let scenario = split("llama-3.1-8b", &workload, SPLITS[3]);
        let power =
            simulate_plan(&scenario, &candidates(&scenario)[0], &RoutingPool::default()).unwrap().power_w();
        assert_power_is_possible(&scenario, power, &workload);
        power
    });
    assert!(rows[0] < rows[1] && rows[1] < rows[2], "{rows:?}");
}

fn assert_power_is_possible(scenario: &Scenario, watts: f64, what: &str) {
    let (mut idle, mut limit) = (0.0, 0.0);
    for gpu in &scenario.cluster.gpus {
        idle += gpu.card.power_idle.watts() + gpu.card.power_model.context.watts();
        limit += gpu.card.power_tdp.watts();
    }
    assert!(idle < watts && watts <= limit, "{watts} W of {idle} to {limit}: {what}");
}

/// A prompt that does not fit says so, as a step does.
#[test]
fn requests_must_fit_at_their_longest() {
    let workload = "{ phase: inference, batch: 4000, prompt_len: 100, output_len: 30000 }";
    let scenario = split("llama-3.1-8b", workload, SPLITS[1]);
    let (row, _) = simulate_row(&SweepRow::alone(scenario), &RoutingPool::default());
    assert!(!row.fits && row.error.unwrap().contains("lacks"));
    assert_eq!((row.prompt_len, row.output_len, row.ttft_us), (Some(100), Some(30000), None));
}
