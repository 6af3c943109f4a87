//! Points of a sweep that are simulated in a second, and the parts of a point.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use masim_core::judging::sweep::simulate;
use masim_core::plan::Plan;
use masim_core::running::price::{Pricer, Step, n_streams};
use masim_core::scenario::{ExpertLoad, Scenario};
use masim_core::search::theory::ClosedForm;
use masim_core::search::{candidates, routing_of};
use masim_core::work::cost::RooflineCost;
use masim_core::work::routing::{RoutingPool, StepRouting};
use masim_engine::{Graph, Resources, Trace, run_graph};

/// 12 attention and 4 expert GPUs, batch 1024, context 2048: the paper's model and cluster.
fn decode(load: ExpertLoad) -> Scenario {
    Scenario { load, ..masim_tests::decode(&[]) }
}

fn loads() -> [(&'static str, ExpertLoad); 2] {
    [("balanced", ExpertLoad::Balanced), ("zipf", ExpertLoad::Zipf { exponent: 0.8 })]
}

fn cost(scenario: &Scenario) -> RooflineCost {
    RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch }
}

/// The plan of the scenario with two micro-batches, whole experts and heads over one GPU.
fn plan(scenario: &Scenario) -> Plan {
    let is_typical = |plan: &Plan| match plan {
        Plan::Routed(plan) => plan.n_micro_batches == 2 && plan.attention.heads == 1,
        Plan::Pipeline(_) => false,
    };
    candidates(scenario).into_iter().find(is_typical).expect("`auto` tries two micro-batches")
}

/// A whole row: every candidate ranked, four simulated until they repeat, the best one measured.
fn points(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("points");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for (name, load) in loads() {
        let scenario = decode(load);
        // A sweep draws the tokens once for all rows that see the same ones.
        let pool = RoutingPool::default();
        group.bench_function(name, |bencher| bencher.iter(|| simulate(black_box(&scenario), &pool)));
    }
    group.finish();
}

/// Lowers one step from nothing and runs it cold.
fn step(scenario: &Scenario, plan: &Plan, routing: &StepRouting) -> Trace {
    let cost = cost(scenario);
    let mut lowering = Pricer::new(scenario, plan, &cost);
    let Step { shape, works, .. } = lowering.step(routing).expect("its times are representable");
    let shape = shape.and_then(|shape| shape.build().ok()).expect("the first step has a sound shape");
    let graph = Graph { shape: Arc::new(shape), works: Arc::new(works), after: Vec::new() };
    let resources = Resources {
        n_streams: n_streams(scenario.cluster.n_gpus()),
        links: lowering.fabric().rates_in_run(),
    };
    run_graph(resources, lowering.fabric().paths(), graph).expect("its times are representable")
}

/// One decode step on 16 GPUs, lowering included.
fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for (name, load) in loads() {
        let scenario = decode(load);
        let plan = plan(&scenario);
        let routing = routing_of(&scenario, &RoutingPool::default()).step(0);
        group.bench_function(name, |bencher| bencher.iter(|| step(&scenario, black_box(&plan), &routing)));
    }
    let scenario = masim_tests::decode(&[("profile", "a100-sxm4-80gb-generic")]);
    let plan = plan(&scenario);
    let routing = routing_of(&scenario, &RoutingPool::default()).step(0);
    group.bench_function("profile", |bencher| bencher.iter(|| step(&scenario, black_box(&plan), &routing)));
    group.finish();
}

/// The closed form of every candidate of a point.
fn ranking(criterion: &mut Criterion) {
    let scenario = decode(ExpertLoad::Balanced);
    let cost = cost(&scenario);
    let plans = candidates(&scenario);
    let mut group = criterion.benchmark_group("ranking");
    group.throughput(Throughput::Elements(plans.len() as u64));
    group.bench_function("closed_form", |bencher| {
        bencher.iter(|| {
            let mut closed_form = ClosedForm::new(&scenario, &cost, 2048.0);
            plans.iter().map(|plan| closed_form.tpot(plan)).filter_map(Result::ok).min()
        });
    });
    group.finish();
}

criterion_group!(benches, points, steps, ranking);
criterion_main!(benches);
