//! Links that change their speed: none that may is left out of the paths of a run.

use std::collections::BTreeSet;

use masim_core::fabric::Fabric;
use masim_core::inputs::topology::{Cluster, GpuIdx};
use masim_core::running::run::{Change, Holding, RunError, Watch};
use masim_core::search::candidates;
use masim_core::work::cost::cost_of;
use masim_engine::{Hop, LinkId, Network, PathId, Resource, Speed};
use masim_tests::{Shipped, decode, routing};
use masim_units::{Bytes, SimTime};

const CLUSTERS: [&str; 7] =
    ["a100-1x8", "a100-2x8", "a100-4x4", "a100-4x4-nic1", "example-explicit", "fabric-1024", "h100-2x8"];

/// When each flow of one size over each path ends, while `derated` carries three eighths of its rate.
fn ends(fabric: &Fabric, paths: &[Vec<Hop>], derated: LinkId) -> Vec<SimTime> {
    let mut network = Network::new(fabric.rates());
    for path in paths {
        network.add_path(path);
    }
    network.set_link_speed(SimTime::ZERO, derated, Speed::from_ppm(375_000));
    for path in 0..u32::try_from(paths.len()).unwrap() {
        // Different sizes, so that flows end one after the other and rates are shared anew.
        let bytes = Bytes(1_000_000 + 10_000 * u64::from(path));
        network.start(SimTime::ZERO, PathId(path), bytes, None, u64::from(path));
    }
    let mut ends = vec![SimTime::ZERO; paths.len()];
    let mut ended = Vec::new();
    while let Some(now) = network.next_end().unwrap() {
        network.pop_ended(now, &mut ended);
        for tag in ended.drain(..) {
            ends[usize::try_from(tag).unwrap()] = now;
        }
    }
    ends
}

/// Paths between some GPUs of up to three nodes, two of each, so that all tiers are crossed and links are shared.
fn some_paths(cluster: &Cluster) -> Fabric<'_> {
    let mut fabric = Fabric::nominal(cluster);
    let spread = cluster.n_nodes().div_ceil(3) as usize;
    let nodes = cluster.nodes().step_by(spread);
    let gpus: Vec<GpuIdx> = nodes.flat_map(|node| node.take(3).map(GpuIdx)).collect();
    for &src in &gpus {
        for &dst in gpus.iter().filter(|&&dst| dst != src) {
            fabric.pair(src, dst);
        }
    }
    fabric.ring(&gpus);
    fabric
}

/// Each link that is crossed on a shipped cluster loses five eighths of its rate: flows end as they do when no link at all is left out.
#[test]
fn a_derated_link_is_felt_as_if_none_was_left_out() {
    let mut n_left_out = 0;
    for name in CLUSTERS {
        let cluster = Shipped::default().cluster(name, &[]);
        let fabric = some_paths(&cluster);
        let crossed: BTreeSet<LinkId> = fabric.paths().iter().flatten().map(|hop| hop.link).collect();
        for link in crossed {
            let pruned = fabric.essential_paths(&BTreeSet::from([link]));
            assert!(pruned.iter().flatten().any(|hop| hop.link == link), "{name}: {link:?} stays");
            let n_hops = |paths: &[Vec<Hop>]| paths.iter().map(Vec::len).sum::<usize>();
            n_left_out += n_hops(fabric.paths()) - n_hops(&pruned);
            let found = ends(&fabric, &pruned, link);
            let expected = ends(&fabric, fabric.paths(), link);
            for (found, expected) in found.iter().zip(&expected) {
                // Rates are whole multiples of 2^-16 B/s: a part in 10^9 at most.
                let (found, expected) = (found.as_us(), expected.as_us());
                assert!((found / expected - 1.0).abs() < 1e-9, "{name} {link:?}: {found} {expected}");
            }
        }
    }
    assert!(n_left_out > 1000, "links are left out, {n_left_out} hops");
}

/// A run whose NIC stops says which task waits for which link, and goes on where the link comes back.
#[test]
fn a_run_that_stalls_says_what_waits_for_what() {
    let scenario = decode(&[("strategy.n_micro_batches", "1")]);
    let plan = candidates(&scenario).remove(0);
    let (routing, cost) = (routing(&scenario), cost_of(&scenario));
    // Tokens on their way to the experts on the last node.
    let link = scenario.cluster.link_named("net->n3.nic0").unwrap();
    let begin = || {
        let watch = Watch::begin(&scenario, &plan, &routing, &*cost, (Holding::ALL, ())).unwrap();
        watch.touching(BTreeSet::from([link]))
    };
    let set = |watch: &mut Watch, speed| {
        watch.set_speed(Change { resource: Resource::Link(link), speed }).unwrap();
    };
    let mut watch = begin();
    set(&mut watch, Speed::ZERO);
    let Err(RunError::Stalled(stalled)) = watch.until_steady() else { panic!("nothing moves") };
    assert_eq!((stalled.step, stalled.activity), (0, "dispatch"));
    assert_eq!(stalled.links, ["net->n3.nic0"]);
    assert!(stalled.to_string().contains("waits for stopped links: net->n3.nic0;"), "{stalled}");

    let whole = begin().until_steady().unwrap();
    let mut half = begin();
    set(&mut half, Speed::from_ppm(500_000));
    assert!(half.until_steady().unwrap().pace() > whole.pace());
    let mut back = begin();
    set(&mut back, Speed::ZERO);
    set(&mut back, Speed::FULL);
    assert_eq!(back.until_steady().unwrap().pace(), whole.pace());
}
