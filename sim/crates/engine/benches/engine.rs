//! Events and flows that the engine handles in a second.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use masim_engine::{
    Flow, Graph, Hop, LinkId, Network, PathId, Resources, ShapeBuilder, StreamId, Work, run_graph,
};
use masim_units::{Bandwidth, Bytes, SimDuration, SimTime};

/// Knuth's linear congruential generator: equal loads on every machine.
struct Lcg(u64);

impl Lcg {
    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let scaled = (u128::from(self.0) * u128::from(n)) >> 64;
        u64::try_from(scaled).expect("below n")
    }
}

fn graph_of(shape: ShapeBuilder, works: Vec<Work>) -> Graph {
    let shape = shape.build().expect("edges run forward");
    Graph { shape: Arc::new(shape), works: Arc::new(works), after: Vec::new() }
}

fn compute(ps: u64) -> Work {
    Work::Compute { time: SimDuration::from_ps(ps) }
}

/// Each task waits for the one before it.
fn chain(n_tasks: u32) -> (Resources, Graph) {
    let mut shape = ShapeBuilder::new();
    let mut last = None;
    for _ in 0..n_tasks {
        last = Some(shape.task(&[StreamId(0)], last.as_slice()));
    }
    let works = vec![compute(10); n_tasks as usize];
    (Resources { n_streams: 1, links: Vec::new() }, graph_of(shape, works))
}

/// Rounds of one task on each of 64 streams, joined by a barrier.
fn fan(n_rounds: u32) -> (Resources, Graph) {
    let mut shape = ShapeBuilder::new();
    let mut works = Vec::new();
    let mut join = None;
    let mut random = Lcg(1);
    for _ in 0..n_rounds {
        let round: Vec<_> = (0..64).map(|stream| shape.task(&[StreamId(stream)], join.as_slice())).collect();
        works.extend((0..64).map(|_| compute(1 + random.below(1000))));
        join = Some(shape.task(&[], &round));
        works.push(Work::Barrier);
    }
    (Resources { n_streams: 64, links: Vec::new() }, graph_of(shape, works))
}

/// 8 nodes of 8: a port of 300 GB/s in and out of the switch of the node, and one of 25 GB/s to the fabric.
fn links() -> Vec<Bandwidth> {
    [300, 300, 25, 25].into_iter().flat_map(|gb| [Bandwidth::from_gb_per_sec(gb); 64]).collect()
}

fn route(src: u32, dst: u32) -> [Hop; 2] {
    let first = if src / 8 == dst / 8 { 0 } else { 128 };
    [first + src, first + 64 + dst].map(|link| Hop { link: LinkId(link), multiplicity: 1 })
}

/// Flows of 1 kB to 16 MB between random pairs, started within `window`.
fn load(network: &mut Network, n_flows: u32, window: u64) -> Vec<(SimTime, PathId, Bytes)> {
    let mut random = Lcg(7);
    let mut draw = |_| {
        let mut end = || u32::try_from(random.below(64)).expect("below 64");
        let (src, dst) = (end(), end());
        let path = network.add_path(&route(src, if src == dst { (dst + 1) % 64 } else { dst }));
        let bytes = Bytes(1000 << random.below(15));
        (SimTime::from_ps(random.below(window)), path, bytes)
    };
    let mut flows: Vec<_> = (0..n_flows).map(&mut draw).collect();
    flows.sort_unstable();
    flows
}

/// Runs all flows to their ends.
fn drain(mut network: Network, flows: &[(SimTime, PathId, Bytes)]) -> SimTime {
    let mut starts = flows.iter().peekable();
    let mut ended = Vec::new();
    let mut now = SimTime::ZERO;
    loop {
        let end = network.next_end().expect("within 213 days");
        let start = starts.peek().map(|flow| flow.0);
        let Some(next) = end.into_iter().chain(start).min() else { return now };
        now = next;
        if end == Some(now) {
            network.pop_ended(now, &mut ended);
        }
        while let Some(&(_, path, bytes)) = starts.next_if(|flow| flow.0 == now) {
            network.start(now, path, bytes, None, 0);
        }
    }
}

/// The same flows as tasks of one graph, whose latencies are their starts.
fn transfers(n_flows: u32) -> (Resources, Vec<Vec<Hop>>, Graph) {
    let mut random = Lcg(7);
    let mut shape = ShapeBuilder::new();
    let (mut works, mut paths) = (Vec::new(), Vec::new());
    for idx in 0..n_flows {
        let src = idx % 64;
        let dst = (src + 1 + u32::try_from(random.below(63)).expect("below 63")) % 64;
        paths.push(route(src, dst).to_vec());
        let latency = SimDuration::from_ps(random.below(u64::from(n_flows) * 1_000_000));
        let bytes = Bytes(1000 << random.below(15));
        works.push(Work::transfer(vec![Flow { path: PathId(idx), bytes, latency, rate_cap: None }]));
        shape.task(&[], &[]);
    }
    (Resources { n_streams: 0, links: links() }, paths, graph_of(shape, works))
}

fn tasks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tasks");
    for (name, (resources, graph)) in [("chain", chain(10_000)), ("fan", fan(1_000))] {
        group.throughput(Throughput::Elements(u64::from(graph.shape.n_tasks())));
        group.bench_function(name, |bencher| {
            bencher.iter(|| run_graph(resources.clone(), &[], black_box(graph.clone())));
        });
    }
    let (resources, paths, graph) = transfers(1_000);
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("transfers", |bencher| {
        bencher.iter(|| run_graph(resources.clone(), &paths, black_box(graph.clone())));
    });
    group.finish();
}

fn flows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flows");
    group.sample_size(20);
    // 2.2 MB every 2 us on average, 8 of 9 to another node, load the NICs to about 60 %.
    for (name, n_flows, window) in [
        ("open_1000", 1_000, 2_000_000_000),
        ("open_10000", 10_000, 20_000_000_000),
        ("burst_1000", 1_000, 1),
    ] {
        group.throughput(Throughput::Elements(u64::from(n_flows)));
        group.bench_function(name, |bencher| {
            let setup = || {
                let mut network = Network::new(&links());
                let flows = load(&mut network, n_flows, window);
                (network, flows)
            };
            bencher.iter_batched(setup, |(network, flows)| drain(network, &flows), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, tasks, flows);
criterion_main!(benches);
