//! Transfers that take a share of the compute beside them.

use super::*;
use crate::Slowdown;

/// A transfer of `bytes` at 1 B/ps that takes `ppm` from stream 0.
fn slowing(bytes: u64, ppm: u32) -> Work {
    let slows = vec![Slowdown { stream: StreamId(0), share: Speed::from_ppm(ppm) }];
    Work::Transfer { flows: flow(0, bytes, 0).into(), slows }
}

fn one_link(n_streams: u32) -> Engine {
    engine(n_streams, &[1_000_000_000_000], &[&[0]])
}

/// 100 ps of compute beside 40 ps of a transfer that takes a quarter: 30 are done by then, and 70 are left.
#[test]
fn compute_is_slower_while_a_transfer_runs() {
    let mut tasks = Tasks::default();
    tasks.add(compute(100), &[0], &[]);
    tasks.add(slowing(40, 250_000), &[1], &[]);
    tasks.add(compute(100), &[2], &[]);
    assert_eq!(run(one_link(3), tasks), [(0, 110), (0, 40), (0, 100)]);
}

/// The transfer starts when 20 ps are done, and lasts beyond the compute: 80 ps at a third less, 80 / (2/3) = 120.
#[test]
fn compute_that_is_under_way_is_slowed_too() {
    let mut tasks = Tasks::default();
    let before = tasks.add(compute(20), &[1], &[]);
    tasks.add(compute(100), &[0], &[]);
    tasks.add(slowing(500, 333_333), &[1], &[before]);
    // 80 ps / 0.666667 = 119.99994, rounded up.
    assert_eq!(run(one_link(2), tasks)[1], (0, 140));
}

/// Two transfers take 0.6 each, together all: 100 ps of compute wait until one has ended.
///
/// They share the link: 60 B and 100 B end at 120 and 160 ps. Then 0.4 until 160 makes 16 ps, and 84 are left.
#[test]
fn shares_add_up_to_all_of_it() {
    let mut tasks = Tasks::default();
    tasks.add(slowing(60, 600_000), &[], &[]);
    tasks.add(slowing(100, 600_000), &[], &[]);
    tasks.add(compute(100), &[0], &[]);
    assert_eq!(run(one_link(1), tasks), [(0, 120), (0, 160), (0, 244)]);
}

/// A share is taken from the speed that the stream has: half of half. 100 ps of compute: 40 ps make 10, the other 90 take 180.
#[test]
fn a_share_is_taken_from_the_speed_that_was_set() {
    let mut tasks = Tasks::default();
    tasks.add(compute(100), &[0], &[]);
    tasks.add(slowing(40, 500_000), &[], &[]);
    let mut engine = one_link(1);
    engine.set_speed(Resource::Stream(StreamId(0)), Speed::from_ppm(500_000)).unwrap();
    assert_eq!(run(engine, tasks)[0], (0, 220));
}

/// At 40 ps the graph with the transfer is cancelled: 20 ps are done, 80 left.
#[test]
fn a_cancelled_transfer_gives_its_share_back() {
    let mut engine = one_link(1);
    let mut other = Tasks::default();
    other.add(slowing(1_000, 500_000), &[], &[]);
    let cancelled = engine.submit(other.graph()).unwrap();
    let mut tasks = Tasks::default();
    tasks.add(compute(100), &[0], &[]);
    engine.submit(tasks.graph()).unwrap();
    assert_eq!(engine.advance(Some(at(40))), Ok(Pause::Reached));
    assert!(engine.cancel(cancelled).is_some());
    assert_eq!(finished(engine.advance(None)).spans[0].end, at(120));
}
