//! Invariants of prompts and whole requests, for every split.

use masim_core::judging::metrics::measure;
use masim_core::judging::sweep::{RowJson, SweepRow, simulate, simulate_plan, simulate_row};
use masim_core::plan::Role;
use masim_core::program::Activity;
use masim_core::program::memory::{GpuMemory, memory};
use masim_core::running::run::run_once;
use masim_core::scenario::Scenario;
use masim_core::search::theory::step_work;
use masim_core::search::{candidates, routing_of};
use masim_core::work::ops::OpKind;
use masim_core::work::routing::RoutingPool;
use masim_tests::{decode, only_plan};
use masim_units::{Bytes, SimDuration};

/// Sixteen GPUs as `tp x pp x dp`, and micro-batches in flight.
const SPLITS: [(u32, u32, u32, u32); 5] =
    [(8, 2, 1, 2), (4, 2, 2, 3), (1, 4, 4, 4), (2, 1, 8, 1), (8, 1, 2, 2)];

fn split(model: &str, workload: &str, (tp, pp, dp, n): (u32, u32, u32, u32)) -> Scenario {
    by(model, workload, &format!("{{ kind: tp_pp, tp: {tp}, pp: {pp}, dp: {dp}, n_in_flight: {n} }}"))
}

fn by(model: &str, workload: &str, strategy: &str) -> Scenario {
    decode(&[
        ("model", model),
        ("cluster", "a100-2x8"),
        ("workload", workload),
        ("strategy", strategy),
        ("load", "{ kind: zipf, exponent: 0.8 }"),
    ])
}

/// The same GPUs with tokens that travel to their experts: ratio, heads x sequences, micro-batches; then both on all GPUs.
fn routed() -> Vec<String> {
    let separated = |(a, e, heads, sequences, n): (u32, u32, u32, u32, u32)| {
        let split = format!("{{ heads: {heads}, sequences: {sequences}, replicas: auto }}");
        format!(
            "{{ kind: ma_separation, experts: {{ ep: {e} }}, n_attention_gpus: {a}, n_expert_gpus: {e}, n_micro_batches: {n}, attention: {split} }}"
        )
    };
    let splits = [(12, 4, 1, 1, 1), (12, 4, 2, 2, 3), (4, 12, 1, 4, 2), (3, 13, 3, 1, 4), (8, 8, 1, 8, 3)];
    let mut all: Vec<String> = splits.map(separated).into();
    all.push("{ kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 1 }".to_owned());
    all.push("{ kind: dp_ep, dp: 4, ep: 16, tp: 4, n_overlapped: 2 }".to_owned());
    all
}

#[test]
fn accounts_of_prompts_add_up_to_the_makespan_and_no_split_beats_the_bound() {
    let workload = |idx: usize| {
        let chunk = ["auto", "40", "100"][idx % 3];
        format!("{{ phase: prefill, batch: 19, prompt_len: 100, chunk_len: {chunk} }}")
    };
    let pipelines = SPLITS.iter().enumerate().map(|(idx, &of)| {
        let model = ["paper-4l", "llama-3.1-8b"][idx % 2];
        (split(model, &workload(idx), of), format!("{model} {of:?} {}", workload(idx)))
    });
    let routed = routed()
        .into_iter()
        .enumerate()
        .map(|(idx, of)| (by("paper-4l", &workload(idx), &of), format!("{of} {}", workload(idx))));
    for (scenario, what) in pipelines.chain(routed) {
        let (plan, routing) = (only_plan(&scenario), routing_of(&scenario, &RoutingPool::default()));
        let cost =
            masim_core::work::cost::RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
        let run = run_once(&scenario, &plan, &routing, &cost).unwrap();
        let metrics = measure(&scenario, &plan, &run, &routing);
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
    let pipeline = "{ kind: tp_pp, tp: 8, pp: 2, dp: 1, n_in_flight: 2 }".to_owned();
    assert_requests_are_prompts_and_steps("llama-3.1-8b", &pipeline);
    for strategy in [0, 1, 5, 6].map(|at| routed().swap_remove(at)) {
        assert_requests_are_prompts_and_steps("paper-4l", &strategy);
    }
}

fn assert_requests_are_prompts_and_steps(model: &str, strategy: &str) {
    let phase = |workload: &str| by(model, workload, strategy);
    let inference = phase("{ phase: inference, batch: 48, prompt_len: 64, output_len: 9 }");
    let prompts = phase("{ phase: prefill, batch: 48, prompt_len: 64 }");
    let steps = phase("{ phase: decode, batch: 48, context_len: 68 }");
    let run = |scenario: &Scenario| {
        simulate_plan(scenario, &candidates(scenario)[0], &RoutingPool::default()).unwrap()
    };
    let (inference, prompts, steps) = (run(&inference), run(&prompts), run(&steps));
    let request = inference.request.unwrap();
    assert_eq!(request.ttft_us.to_bits(), prompts.period_us.to_bits(), "{strategy}");
    assert_eq!(inference.period_us.to_bits(), steps.period_us.to_bits(), "{strategy}");
    assert!((request.makespan_us - prompts.period_us - 8.0 * steps.period_us).abs() < 1e-6);
    assert!((request.energy_j - prompts.energy_j - 8.0 * steps.energy_j).abs() < 1e-9 * request.energy_j);
    let tokens = 48.0 * 9.0;
    assert!((inference.energy_per_token_j() * tokens / request.energy_j - 1.0).abs() < 1e-12);
}

/// Four ranks share a prompt of 96 tokens in pieces of 12: those at the back end at 96, 84, 72 and 60 tokens, and each rank expands
/// the latents up to there for itself, 312 in all.
#[test]
fn every_sequence_rank_expands_the_latents_that_it_meets() {
    let latents = |sequences: u32| -> u64 {
        let split = format!("{{ heads: 1, sequences: {sequences}, replicas: auto }}");
        let strategy = format!(
            "{{ kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8, n_micro_batches: 1, experts: {{ ep: 8 }}, attention: {split} }}"
        );
        let workload = "{ phase: prefill, batch: 8, prompt_len: 96 }";
        let scenario = by("deepseek-v2-lite", workload, &strategy);
        let routing = routing_of(&scenario, &RoutingPool::default());
        let cost =
            masim_core::work::cost::RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
        let run = run_once(&scenario, &only_plan(&scenario), &routing, &cost).unwrap();
        let expand = run.cold.parts.iter().filter(|part| part.kind == OpKind::Expand);
        expand.map(|part| part.flops).sum()
    };
    assert_eq!(latents(4) * 96, latents(1) * 312);
}

/// A step of 48 tokens is fastest in one micro-batch, their prompts of 512 are not: one pool would idle.
#[test]
fn prompts_of_requests_have_their_own_micro_batches() {
    let workload = "{ phase: inference, batch: 48, prompt_len: 512, output_len: 4 }";
    for strategy in [
        "{ kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8 }",
        "{ kind: tp_pp, tp: 4, pp: 4, dp: 1 }",
    ] {
        let scenario = by("paper-4l", workload, strategy);
        let (found, chosen) = simulate(&scenario, &RoutingPool::default()).unwrap();
        let same = simulate_plan(&scenario, &found.plan, &RoutingPool::default()).unwrap();
        assert_eq!(chosen.period_us.to_bits(), same.period_us.to_bits(), "{strategy}");
        let [chosen, same] = [chosen, same].map(|metrics| metrics.request.unwrap());
        assert!(chosen.ttft_us < 0.9 * same.ttft_us, "{strategy}: {} {}", chosen.ttft_us, same.ttft_us);
        assert!((chosen.makespan_us - chosen.ttft_us - (same.makespan_us - same.ttft_us)).abs() < 1e-6);
    }
}

/// Keys and values of 16 prompts of 100 tokens: 2 x 4 layers x 32 heads x 64 x 2 B each, wherever they lie; and whoever holds
/// larger chunks of the residual stream needs more for them.
#[test]
fn the_cache_of_prompts_is_held_once() {
    let whole = 16 * 100 * 2 * 4 * 32 * 64 * 2;
    for strategy in routed() {
        let held = |chunk: &str| {
            let workload = format!("{{ phase: prefill, batch: 16, prompt_len: 100, chunk_len: {chunk} }}");
            let scenario = by("paper-4l", &workload, &strategy);
            let memory = memory(&scenario, &only_plan(&scenario));
            let sum = |of: fn(&GpuMemory) -> Bytes| memory.iter().map(|(_, it)| of(it).0).sum::<u64>();
            (sum(|it| it.kv), sum(|it| it.activations))
        };
        let (short, long) = (held("25"), held("100"));
        assert_eq!(short.0, long.0);
        // Shares are rounded up to whole bytes.
        assert!(whole <= short.0 && short.0 < whole + 10_000, "{strategy}: {} of {whole}", short.0);
        assert!(short.1 < long.1, "{strategy}");
    }
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
    let row = RowJson::from(&row);
    assert!(!row.fits && row.error.unwrap().contains("lacks"));
    assert_eq!((row.prompt_len, row.output_len, row.ttft_us), (Some(100), Some(30000), None));
}

/// Chunks, heads, sequence ranks, replicas and pools share out the products of the whole, and nobody does any twice.
#[test]
fn every_way_to_split_prompts_multiplies_as_much_as_the_whole() {
    for chunk in ["auto", "64", "30"] {
        let workload = format!("{{ phase: prefill, batch: 16, prompt_len: 100, chunk_len: {chunk} }}");
        let pipeline = "{ kind: tp_pp, tp: 1, pp: 4, dp: 4, n_in_flight: 4 }".to_owned();
        for strategy in routed().into_iter().chain([pipeline]) {
            let scenario = by("paper-4l", &workload, &strategy);
            let (plan, routing) = (only_plan(&scenario), routing_of(&scenario, &RoutingPool::default()));
            let cost = masim_core::work::cost::RooflineCost {
                dtypes: scenario.model.dtype,
                launch: scenario.launch,
            };
            let run = run_once(&scenario, &plan, &routing, &cost).unwrap();
            let done: f64 = run.cold.parts.iter().map(|part| part.flops as f64).sum();
            let whole = step_work(&scenario, &routing.step(0)).flops.0;
            assert!((done / whole - 1.0).abs() < 1e-9, "{done:e} of {whole:e}: {strategy} {workload}");
        }
    }
}

/// Attention multiplies, for a token of the paper's model, 2 x 4096 x (3 + 1) x 2048 in its projections and 4 x 2048
/// with
/// each of 1,024 tokens before it on average, 75.5 MFLOP; two of the experts 2 x 2 x 2 x 4096 x 16384, 537 MFLOP: 7.1 times as much. With three
/// attention GPUs for one of experts, experts are busy 21 times as long, and halves are faster.
#[test]
fn three_to_one_does_not_balance_prompts() {
    let prompts = "{ phase: prefill, batch: 48, prompt_len: 2048 }";
    let run = |attention: u32, expert: u32| {
        let pools = format!("n_attention_gpus: {attention}, n_expert_gpus: {expert}");
        let split = "{ heads: 1, sequences: 1, replicas: auto }";
        let strategy = format!(
            "{{ kind: ma_separation, {pools}, n_micro_batches: 2, attention: {split}, experts: {{ ep: {expert} }} }}"
        );
        let scenario = decode(&[("workload", prompts), ("strategy", &strategy)]);
        let (plan, routing) = (only_plan(&scenario), routing_of(&scenario, &RoutingPool::default()));
        let cost =
            masim_core::work::cost::RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
        let run = run_once(&scenario, &plan, &routing, &cost).unwrap();
        let metrics = measure(&scenario, &plan, &run, &routing);
        (run, metrics)
    };
    let (three_to_one, metrics) = run(12, 4);
    let flops = |activity: Activity| -> f64 {
        let step = &three_to_one.cold;
        let tasks = step.infos.iter().filter(|info| info.activity == activity);
        let parts = tasks.flat_map(|info| &step.parts[info.parts.start as usize..info.parts.end as usize]);
        // The gate stands with attention, but is part of the experts' half.
        parts.filter(|part| part.kind != OpKind::Gate).map(|part| part.flops as f64).sum()
    };
    let ratio = flops(Activity::Experts) / flops(Activity::Attention);
    assert!((ratio - 7.11).abs() < 0.02, "{ratio}");
    let busy = |role: Role| {
        let gpus = metrics.gpus.iter().filter(|gpu| gpu.role == role);
        let all: Vec<f64> = gpus.map(|gpu| gpu.window.busy.as_us()).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let imbalance = busy(Role::Expert) / busy(Role::Attention);
    assert!(12.0 < imbalance && imbalance < 24.0, "{imbalance}");
    let other_way = run(8, 8).0;
    assert!(other_way.cold_end() < three_to_one.cold_end());
}
