//! Collectives through the engine, on wires that nobody else uses.

use std::sync::Arc;

use masim::collective::{Algorithm, Collective, CollectiveKind, collective};
use masim::scenario::Scenario;
use masim::topology::GpuIdx;
use masim::wires::Wires;
use masim_engine::{Graph, Resources, ShapeBuilder, Work, run_graph};
use masim_tests::decode;
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
    let mut wires = Wires::new(cluster);
    let group: Vec<GpuIdx> = group.map(GpuIdx).collect();
    let Collective { phases, time_alone, .. } =
        collective(kind, algorithm, &group, Bytes(bytes), &mut wires).unwrap();
    let mut shape = ShapeBuilder::new();
    let mut last = Vec::new();
    for _ in &phases {
        last = vec![shape.task(&[], &last)];
    }
    let works = phases.into_iter().map(|flows| Work::Transfer { flows }).collect();
    let resources =
        Resources { n_streams: 0, links: cluster.links.iter().map(|link| link.bandwidth).collect() };
    let graph = Graph { shape: Arc::new(shape.build().unwrap()), works: Arc::new(works), after: Vec::new() };
    let trace = run_graph(resources, wires.paths(), graph).unwrap();
    let end = trace.span(last[0]).end.since(SimTime::ZERO);
    // Rates are rounded down to 2^-16 B/s, so that an end may lie 1 ps late.
    assert!(end.saturating_sub(time_alone).as_ps() <= 1, "{end:?} alone, estimated as {time_alone:?}");
    end.as_us()
}

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
        assert_us(time_us(&board, reduce, Algorithm::Ring, 0..n, 12_000_000), expected);
    }
    let switch = decode(&[("cluster", "a100-2x8")]);
    let route = switch.cluster.route(GpuIdx(0), GpuIdx(1));
    let expected = 70.0 + 14.0 * route.latency.as_us();
    assert_eq!(
        (route.links.len(), switch.cluster.link(route.links[0]).bandwidth.bytes_per_sec()),
        (2, 300_000_000_000)
    );
    assert_us(time_us(&switch, reduce, Algorithm::Ring, 0..8, 12_000_000), expected);
}

/// Ring all-gather and reduce-scatter: `(n - 1)/n S / B + (n - 1) latency` = 90 + 1.5 us for 12 MB on the board.
#[test]
fn ring_halves() {
    for kind in [CollectiveKind::AllGather, CollectiveKind::ReduceScatter] {
        assert_us(time_us(&decode(&[]), kind, Algorithm::Ring, 0..4, 12_000_000), 91.5);
    }
}

/// A rank's 15 neighbours on the ring of 16: 3 of 4 steps stay on the board, every fourth crosses the nodes
/// at 25 GB/s and in 4 us, which every step then waits for. All-gather of 16 MB: 15 MB / 25 GB/s + 15 x 4 us.
#[test]
fn a_ring_over_nodes_has_the_pace_of_its_slowest_step() {
    let found = time_us(&decode(&[]), CollectiveKind::AllGather, Algorithm::Ring, 0..16, 16_000_000);
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
    let ring = time_us(&board, CollectiveKind::AllGather, Algorithm::Ring, 0..4, bytes);
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
