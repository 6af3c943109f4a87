//! Collectives through the engine, on links that nobody else uses.

use std::sync::Arc;

use masim_core::fabric::{Fabric, bottleneck};
use masim_core::inputs::topology::GpuIdx;
use masim_core::program::Activity;
use masim_core::running::collective::{
    Algorithm, Collective, CollectiveKind, Collectives, collective, compressed,
};
use masim_core::running::run::run_plan;
use masim_core::scenario::{CollectiveRules, Launch, Scenario};
use masim_core::work::cost::cost_of;
use masim_engine::{Graph, Resources, ShapeBuilder, Work, run_graph};
use masim_tests::{decode, only_plan, routing};
use masim_units::{Bytes, SimTime};

/// Runs `kind` by `algorithm` over the GPUs of `group`; microseconds.
fn time_us(
    scenario: &Scenario,
    kind: CollectiveKind,
    algorithm: Algorithm,
    group: std::ops::Range<u32>,
    bytes: u64,
) -> f64 {
    let cluster = &scenario.cluster;
    let mut fabric = Fabric::nominal(cluster);
    let group: Vec<GpuIdx> = group.map(GpuIdx).collect();
    let Collective { phases, time_alone, .. } =
        collective(kind, algorithm, &group, Bytes(bytes), &mut fabric).unwrap();
    let mut shape = ShapeBuilder::new();
    let mut last = Vec::new();
    for _ in &phases {
        last = vec![shape.task(&[], &last)];
    }
    let works = phases.into_iter().map(Work::transfer).collect();
    let resources = Resources { n_streams: 0, links: fabric.rates().to_vec() };
    let graph = Graph { shape: Arc::new(shape.build().unwrap()), works: Arc::new(works), after: Vec::new() };
    let trace = run_graph(resources, fabric.paths(), graph).unwrap();
    let end = trace.span(last[0]).end.since(SimTime::ZERO);
    // Rates are rounded down to 2^-16 B/s, so that an end may lie 1 ps late.
    assert!(end.saturating_sub(time_alone).as_ps() <= 1, "{end:?} alone, estimated as {time_alone:?}");
    end.as_us()
}

/// Microseconds of a hop between neighbours on the board, and by NIC to another node of `a100-4x4`.
const HOPS: (f64, f64) = (0.5, 4.0);

fn assert_us(found: f64, expected: f64) {
    assert!((found - expected).abs() < 2e-6, "{found} us, expected {expected} us");
}

/// Ring all-reduce: `2 (n - 1)/n S / B + 2 (n - 1) latency`. On the board B = 100 GB/s and 0.5 us; S = 12 MB:
/// n = 2: 120 + 1 us; n = 3: 160 + 2; n = 4: 180 + 3. Behind NVSwitch B = 300 GB/s and 2 hops; n = 8:
/// 14/8 x 12 MB / 300 GB/s = 70 us, and 14 steps of latency.
#[test]
fn ring_all_reduce() {
    let (board, reduce) = (decode(&[]), CollectiveKind::AllReduce);
    for (n, expected) in [(2, 121.0), (3, 162.0), (4, 183.0)] {
        assert_us(time_us(&board, reduce, Algorithm::OneRing, 0..n, 12_000_000), expected);
    }
    let switch = decode(&[("cluster", "a100-2x8")]);
    let route = switch.cluster.route(GpuIdx(0), GpuIdx(1));
    let expected = 70.0 + 14.0 * route.latency.as_us();
    assert_eq!(
        (route.links.len(), switch.cluster.link(route.links[0]).bandwidth.bytes_per_sec()),
        (2, 300_000_000_000)
    );
    assert_us(time_us(&switch, reduce, Algorithm::OneRing, 0..8, 12_000_000), expected);
}

/// Ring all-gather and reduce-scatter: `(n - 1)/n S / B + (n - 1) latency` = 90 + 1.5 us for 12 MB on the board.
#[test]
fn ring_halves() {
    for kind in [CollectiveKind::AllGather, CollectiveKind::ReduceScatter] {
        assert_us(time_us(&decode(&[]), kind, Algorithm::OneRing, 0..4, 12_000_000), 91.5);
    }
}

/// A rank's 15 neighbours on the ring of 16: 3 of 4 steps stay on the board, every fourth crosses the nodes
/// at 25 GB/s and in 4 us, which every step then waits for. All-gather of 16 MB: 15 MB / 25 GB/s + 15 x 4 us.
#[test]
fn a_ring_over_nodes_has_the_pace_of_its_slowest_step() {
    let found = time_us(&decode(&[]), CollectiveKind::AllGather, Algorithm::OneRing, 0..16, 16_000_000);
    assert_us(found, 660.0);
}

/// All pairs of the board at once: all-gather of 1.2 GB sends 300 MB over each wire of 100 GB/s, 3000.5 us.
/// Bus bandwidth (nccl-tests) = 3/4 x 1.2 GB / 3000.5 us = 299.95 GB/s: all three wires of a GPU are full,
/// where one ring reaches 100 GB/s.
#[test]
fn direct_exchange_fills_the_board() {
    let (board, bytes) = (decode(&[]), 1_200_000_000);
    let gather = time_us(&board, CollectiveKind::AllGather, Algorithm::Direct, 0..4, bytes);
    assert_us(gather, 3000.5);
    assert_us(time_us(&board, CollectiveKind::AllReduce, Algorithm::Direct, 0..4, bytes), 6001.0);
    let bus_gb_per_sec = |us: f64| 0.75 * 1.2e6 / us;
    assert!((bus_gb_per_sec(gather) - 299.95).abs() < 0.01);
    let ring = time_us(&board, CollectiveKind::AllGather, Algorithm::OneRing, 0..4, bytes);
    assert!((bus_gb_per_sec(ring) - 100.0).abs() < 0.02);
}

/// Everyone to everyone on 16 GPUs: 12 of 15 parts of 160 MB / 16 leave a GPU over its own NIC of 25 GB/s,
/// 120 MB or 4800 us, after 4 us of hops (GPU, PCIe switch, NIC and back: 0.5 + 0.5 + 1 + 1 + 0.5 + 0.5).
#[test]
fn direct_exchange_over_nodes() {
    let found = time_us(&decode(&[]), CollectiveKind::AllGather, Algorithm::Direct, 0..16, 160_000_000);
    assert_us(found, 4804.0);
}

/// Rails: inside the node each pair exchanges 160 MB / 4 at 100 GB/s (400.5 us), then 4 rings of 4 nodes
/// all-reduce 40 MB each, 2 x 3/4 x 40 MB / 25 GB/s + 6 x 4 us = 2424 us, then inside the node again.
#[test]
fn rails_over_nodes() {
    let board = decode(&[]);
    let rail = |kind| time_us(&board, kind, Algorithm::Rail, 0..16, 160_000_000);
    assert_us(rail(CollectiveKind::AllReduce), 400.5 + 2424.0 + 400.5);
    // Half of the ring, and the inside once.
    assert_us(rail(CollectiveKind::AllGather), 400.5 + 1212.0);
    assert_us(rail(CollectiveKind::ReduceScatter), 400.5 + 1212.0);
}

/// The board has six directed round trips through four GPUs; each wire is on two of them, so each trip gets 50 GB/s.
/// All-reduce of 1.2 GB: 2 x 3/4 x 1.2 GB / 6 = 300 MB on each trip, 6000 us and 6 hops: bus bandwidth 300 GB/s.
/// Three GPUs have two trips, 100 GB/s each: 2 x 2/3 x 1.2 GB / 2 / 100 GB/s = 8000 us.
#[test]
fn six_rings_fill_the_board() {
    let (board, bytes) = (decode(&[]), 1_200_000_000);
    let ring = |kind, n| time_us(&board, kind, Algorithm::Ring, 0..n, bytes);
    assert_us(ring(CollectiveKind::AllReduce, 4), 6000.0 + 6.0 * HOPS.0);
    assert_us(ring(CollectiveKind::AllReduce, 3), 8000.0 + 4.0 * HOPS.0);
    assert_us(ring(CollectiveKind::AllReduce, 2), 12000.0 + 2.0 * HOPS.0);
    assert_us(ring(CollectiveKind::AllGather, 4), 3000.0 + 3.0 * HOPS.0);
    // Six chains from the first GPU leave by its three wires, two on each: 1.2 GB / 300 GB/s.
    assert_us(ring(CollectiveKind::Broadcast, 4), 4000.0 + 3.0 * HOPS.0);
    assert_us(ring(CollectiveKind::Reduce, 4), 4000.0 + 3.0 * HOPS.0);
}

/// A ring for each of the four NICs of a node: 2 x 15/16 x 160 MB / 4 / 25 GB/s = 3000 us and 30 steps of 4 us.
/// With one NIC for the node a single ring, 12000 us; its hops are one shorter where GPU and NIC share a PCIe switch.
#[test]
fn rings_over_nodes_use_every_nic() {
    let reduce = CollectiveKind::AllReduce;
    let found = time_us(&decode(&[]), reduce, Algorithm::Ring, 0..16, 160_000_000);
    assert_us(found, 3000.0 + 30.0 * HOPS.1);
    let shared = decode(&[("cluster", "a100-4x4-nic1")]);
    let found = time_us(&shared, reduce, Algorithm::Ring, 0..16, 160_000_000);
    let hop = |a, b| shared.cluster.route(GpuIdx(a), GpuIdx(b)).latency.as_us();
    let narrowest = bottleneck(&shared.cluster, shared.cluster.route(GpuIdx(3), GpuIdx(4))).unwrap();
    let slow = 1.875 * 160e6 / narrowest.bytes_per_sec() as f64 * 1e6;
    assert_us(found, slow + 30.0 * hop(3, 4).max(hop(15, 0)));
}

/// Two trees for each of four rails, each for an eighth. In one tree a node is inner and sends its eighth three times (to its
/// parent and to two children), in the other it is a leaf and sends it once: 4/8 S over its NIC at 25 GB/s, 3200 us
/// for 160 MB. Up and down: twice 3 hops on the board and a depth of 2 between nodes.
#[test]
fn double_trees_over_nodes() {
    let found = time_us(&decode(&[]), CollectiveKind::AllReduce, Algorithm::Tree, 0..16, 160_000_000);
    assert_us(found, 3200.0 + 2.0 * (3.0 * HOPS.0 + 2.0 * HOPS.1));
}

/// Between two nodes each tree is one wire up and down: 1/2 S each, together S over the NICs of a node; one GPU in each:
/// 100 MB / 25 GB/s and twice a hop.
#[test]
fn a_tree_of_two_is_an_exchange() {
    let board = decode(&[]);
    let (group, mut fabric) = ([GpuIdx(0), GpuIdx(4)], Fabric::nominal(&board.cluster));
    let found =
        collective(CollectiveKind::AllReduce, Algorithm::Tree, &group, Bytes(100_000_000), &mut fabric);
    assert_us(found.unwrap().time_alone.as_us(), 4000.0 + 2.0 * HOPS.1);
}

/// The three levels: sums go to one GPU over six chains (160 MB / 300 GB/s and 3 hops), four leaders all-reduce
/// on one NIC each (2 x 3/4 x 160 MB / 25 GB/s and 6 steps), and the sum returns as it came.
#[test]
fn leaders_over_nodes() {
    let leader = |kind| time_us(&decode(&[]), kind, Algorithm::Leader, 0..16, 150_000_000);
    let (inside, across) = (500.0 + 3.0 * HOPS.0, 9000.0 + 6.0 * HOPS.1);
    assert_us(leader(CollectiveKind::AllReduce), inside + across + inside);
    // To the leaders in a chain, 150 MB / 25 GB/s and 3 steps.
    assert_us(leader(CollectiveKind::Broadcast), 6000.0 + 3.0 * HOPS.1 + inside);
}

/// Everyone to everyone behind NVSwitch: 7/8 of 80 MB leave each GPU at 300 GB/s. On the board 3/4 of 80 MB over three
/// wires at once. Across nodes 12/16 of 160 MB leave over the GPU's NIC, or as much in two stages: 3 x 40 MB inside,
/// one part to each node on the own rail, 3 x 40 MB / 25 GB/s.
#[test]
fn all_to_all() {
    let all = CollectiveKind::AllToAll;
    let switch = decode(&[("cluster", "a100-2x8")]);
    let hops = switch.cluster.route(GpuIdx(0), GpuIdx(1)).latency.as_us();
    let found = time_us(&switch, all, Algorithm::Direct, 0..8, 80_000_000);
    assert!((found - 70e6 / 300e3 - hops).abs() < 1e-5, "{found}");
    assert_us(time_us(&decode(&[]), all, Algorithm::Direct, 0..4, 80_000_000), 200.0 + HOPS.0);
    assert_us(time_us(&decode(&[]), all, Algorithm::Direct, 0..16, 160_000_000), 4800.0 + HOPS.1);
    let staged = time_us(&decode(&[]), all, Algorithm::Rail, 0..16, 160_000_000);
    assert_us(staged, 400.0 + HOPS.0 + 4800.0 + HOPS.1);
}

/// 12 MB of bf16 on the board are 6 M values: 1.5 M for each of 4 GPUs, with scales 1,500,000 + 5860 x 4 = 1,523,440 B.
/// Each GPU sends 3 shards twice, 9.14 MB where the ring sends 18 MB. On the wires 15.2344 + 0.5 us each way and a launch of 1.5 us;
/// at 0.8 x 2039 GB/s the kernels take (12 + 6.09376) MB: 11.0923 us, (6.09376 + 1.52344) MB: 4.6697 us, and 11.0923 us again, and launches.
#[test]
fn eight_bits_on_the_way() {
    let board = decode(&[]);
    let mut fabric = Fabric::nominal(&board.cluster);
    let group: Vec<GpuIdx> = (0..4).map(GpuIdx).collect();
    let collectives = Collectives::new(CollectiveRules::AUTO, Launch::Graph);
    let launch = board.cluster.gpu(GpuIdx(0)).card.roofline.launch_graph;
    let found = compressed(&collectives, &group, (Bytes(12_000_000), 2), launch, &mut fabric).unwrap();
    assert_eq!((found.sent, found.plain_sent), (Bytes(6 * 1_523_440), Bytes(18_000_000)));
    assert_us(found.exchange.time_alone.as_us(), 15.2344 + 0.5);
    assert_eq!(found.exchange.time_alone, found.gather.time_alone);
    let kernels = [(found.quantise, 11.0923), (found.reduce, 4.6697), (found.expand, 11.0923)];
    for (time, expected) in kernels {
        assert!((time.as_us() - expected - 1.5).abs() < 1e-3, "{time:?}");
    }
    assert!((found.time.as_us() - (2.0 * 15.7344 + 26.8543 + 5.0 * 1.5)).abs() < 1e-3, "{:?}", found.time);
    // The plain one takes the direct exchange, 2 x 30 us and hops: on this board compression hardly pays.
    assert_us(found.plain_time.as_us(), 61.0 + 1.5);
    assert!(found.speedup() < 1.0);
}

/// In a step every all-reduce is the compressed one: of 256 x 4096 values among the 4 GPUs of a board,
/// 262,144 + 4,096 B a shard, 6 of which each GPU sends; three kernels on every compute stream.
#[test]
fn a_step_runs_compressed_all_reduces() {
    let changes = |compressed: &'static str| {
        [
            ("workload", "{ phase: decode, batch: 256, context_len: 512 }"),
            ("strategy", "{ kind: tp_pp, tp: 4, pp: 4, dp: 1, n_in_flight: 1 }"),
            ("collectives.compressed", compressed),
        ]
    };
    let run = |scenario: &Scenario| {
        let cost = cost_of(scenario);
        run_plan(scenario, &only_plan(scenario), &routing(scenario), &*cost).unwrap().cold
    };
    let scenario = decode(&changes("int8"));
    let cold = run(&scenario);
    let tasks = || cold.infos.iter().zip(&cold.trace.spans);
    let of = |activity| tasks().filter(move |(info, _)| info.activity == activity);

    let group: Vec<GpuIdx> = (0..4).map(GpuIdx).collect();
    let mut fabric = Fabric::nominal(&scenario.cluster);
    let collectives = Collectives::new(CollectiveRules::AUTO, Launch::Graph);
    let launch = scenario.cluster.gpu(GpuIdx(0)).card.roofline.launch_graph;
    let bytes = Bytes(256 * u64::from(scenario.model.hidden) * 2);
    let found = compressed(&collectives, &group, (bytes, 2), launch, &mut fabric).unwrap();

    assert_eq!(of(Activity::Collective(CollectiveKind::AllReduce)).count(), 0);
    // 4 layers x 2 sums x 3 kernels x 4 ranks.
    assert_eq!(of(Activity::Quantise).count(), 96);
    let first: Vec<_> = of(Activity::Quantise).map(|(_, span)| *span).take(12).collect();
    assert_eq!(first[11].end.since(first[0].start), found.time);
    let sent = |kind| of(Activity::Collective(kind)).next().unwrap().0.bytes;
    assert_eq!(sent(CollectiveKind::AllToAll) + sent(CollectiveKind::AllGather), Bytes(4 * found.sent.0));
    assert_eq!(found.sent, Bytes(6 * (262_144 + 4_096)));

    // Whether it pays is the other question: a step is longer by the difference of the two, eight times.
    let plain = run(&decode(&changes("none")));
    let end = |step: &masim_core::running::run::StepRecord| {
        step.trace.spans.iter().map(|span| span.end).max().unwrap()
    };
    let longer = end(&cold).as_us() - end(&plain).as_us();
    let expected = 8.0 * (found.time.as_us() - found.plain_time.as_us());
    assert!((longer - expected).abs() < 1e-3, "{longer} {expected}");
}
