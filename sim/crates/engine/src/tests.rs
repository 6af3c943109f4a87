//! Closed forms and rules of the whole engine.

mod random;
mod slowed;

use std::sync::Arc;

use masim_units::{Bandwidth, Bytes, SimDuration, SimTime};

use crate::{
    Engine, EngineError, Flow, Graph, GraphId, Hop, Limits, LinkId, PathId, Pause, Resource, Resources,
    ShapeBuilder, Speed, StreamId, TaskId, TaskRef, Trace, Work, run_graph,
};

/// Collects tasks together with what they do.
#[derive(Default)]
struct Tasks {
    builder: ShapeBuilder,
    works: Vec<Work>,
    after: Vec<(TaskId, TaskRef)>,
}

impl Tasks {
    fn add(&mut self, work: Work, streams: &[u32], after: &[TaskId]) -> TaskId {
        self.works.push(work);
        let streams: Vec<_> = streams.iter().copied().map(StreamId).collect();
        self.builder.task(&streams, after)
    }

    fn graph(self) -> Graph {
        let shape = Arc::new(self.builder.build().unwrap());
        Graph { shape, works: Arc::new(self.works), after: self.after }
    }
}

fn ps(n: u64) -> SimDuration {
    SimDuration::from_ps(n)
}

fn at(n: u64) -> SimTime {
    SimTime::from_ps(n)
}

fn compute(n: u64) -> Work {
    Work::Compute { time: ps(n) }
}

fn flow(path: u32, bytes: u64, latency: u64) -> Flow {
    Flow { path: PathId(path), bytes: Bytes(bytes), latency: ps(latency), rate_cap: None }
}

fn transfer(path: u32, bytes: u64, latency: u64) -> Work {
    Work::transfer(vec![flow(path, bytes, latency)])
}

/// Links of so many B/s.
fn links(rates: &[u64]) -> Vec<Bandwidth> {
    rates.iter().map(|&rate| Bandwidth::new(rate).unwrap()).collect()
}

fn over(links: &[u32]) -> Vec<Hop> {
    links.iter().map(|&link| Hop { link: LinkId(link), multiplicity: 1 }).collect()
}

/// An engine with streams, links, and one path over each list of links.
fn engine(n_streams: u32, rates: &[u64], paths: &[&[u32]]) -> Engine {
    let mut engine = Engine::new(Resources { n_streams, links: links(rates) }, Limits::NONE);
    for path in paths {
        engine.add_path(&over(path));
    }
    engine
}

fn finished(pause: Result<Pause, EngineError>) -> Trace {
    match pause {
        Ok(Pause::Finished { trace, .. }) => trace,
        other => panic!("expected a finished graph, got {other:?}"),
    }
}

/// Runs one graph, and gives start and end of each task in picoseconds.
fn run(mut engine: Engine, tasks: Tasks) -> Vec<(u64, u64)> {
    engine.submit(tasks.graph()).unwrap();
    let trace = finished(engine.advance(None));
    trace.spans.iter().map(|span| (span.start.as_ps(), span.end.as_ps())).collect()
}

/// 500 ns + 1,000,000 B / 3e9 B/s = 500,000 ps + 333,333,333.3 ps, rounded up.
#[test]
fn one_flow_takes_latency_plus_bytes_over_bandwidth() {
    let mut tasks = Tasks::default();
    tasks.add(transfer(0, 1_000_000, 500_000), &[], &[]);
    assert_eq!(run(engine(0, &[3_000_000_000], &[&[0]]), tasks), [(0, 333_833_334)]);
}

/// 1 MB and 3 MB on 1 GB/s: both at half until the short one ends after 2 ms; the other has 2 MB left.
#[test]
fn two_flows_share_a_link() {
    let mut tasks = Tasks::default();
    tasks.add(transfer(0, 1_000_000, 0), &[], &[]);
    tasks.add(transfer(0, 3_000_000, 0), &[], &[]);
    let ends = run(engine(0, &[1_000_000_000], &[&[0]]), tasks);
    assert_eq!(ends, [(0, 2_000_000_000), (0, 4_000_000_000)]);
}

/// 2 MB on 1 GB/s, joined after 1 ms by 1 MB: both have 1 MB to go then, at half the rate.
#[test]
fn a_late_flow_takes_its_share_from_its_arrival_on() {
    let mut tasks = Tasks::default();
    tasks.add(transfer(0, 2_000_000, 0), &[], &[]);
    tasks.add(transfer(0, 1_000_000, 1_000_000_000), &[], &[]);
    let ends = run(engine(0, &[1_000_000_000], &[&[0]]), tasks);
    assert_eq!(ends, [(0, 3_000_000_000), (0, 3_000_000_000)]);
}

/// 6 MB cross link 0 twice and link 1 once: 12 MB at 1 GB/s.
#[test]
fn a_byte_that_crosses_a_link_twice_takes_twice_as_long() {
    let mut engine =
        Engine::new(Resources { n_streams: 0, links: links(&[1_000_000_000, 1_000_000_000]) }, Limits::NONE);
    engine.add_path(&over(&[0, 1, 0]));
    let mut tasks = Tasks::default();
    tasks.add(transfer(0, 6_000_000, 0), &[], &[]);
    assert_eq!(run(engine, tasks), [(0, 12_000_000_000)]);
}

#[test]
fn a_transfer_ends_with_its_last_flow() {
    let mut tasks = Tasks::default();
    let flows = vec![flow(0, 1_000, 0), flow(1, 0, 7), flow(1, 2_000, 5)];
    let both = tasks.add(Work::transfer(flows), &[], &[]);
    tasks.add(transfer(0, 0, 3), &[], &[both]);
    let ends = run(engine(0, &[1_000_000_000, 1_000_000_000], &[&[0], &[1]]), tasks);
    assert_eq!(ends, [(0, 2_000_005), (2_000_005, 2_000_008)]);
}

/// Task (stage, batch) waits for (stage - 1, batch): with equal times t, m batches and s stages take (m + s - 1) t.
#[test]
fn a_pipeline_takes_batches_plus_stages_less_one() {
    for (n_stages, n_batches) in [(1, 1), (2, 4), (5, 3)] {
        let mut tasks = Tasks::default();
        let mut last = None;
        for _ in 0..n_batches {
            last = None;
            for stage in 0..n_stages {
                last = Some(tasks.add(compute(10), &[stage], last.as_slice()));
            }
        }
        let ends = run(engine(n_stages, &[], &[]), tasks);
        let last = last.unwrap().0 as usize;
        assert_eq!(ends[last].1, u64::from(n_batches + n_stages - 1) * 10);
    }
}

#[test]
fn a_stream_keeps_its_order_though_a_later_task_is_ready_first() {
    let mut tasks = Tasks::default();
    let slow = tasks.add(compute(100), &[0], &[]);
    tasks.add(compute(10), &[1], &[slow]);
    tasks.add(compute(10), &[1], &[]);
    assert_eq!(run(engine(2, &[], &[]), tasks), [(0, 100), (100, 110), (110, 120)]);
}

#[test]
fn a_task_on_several_streams_waits_for_the_head_of_each() {
    let mut tasks = Tasks::default();
    tasks.add(compute(100), &[0], &[]);
    tasks.add(compute(30), &[1], &[]);
    tasks.add(compute(10), &[0, 1, 1], &[]);
    tasks.add(compute(5), &[1], &[]);
    assert_eq!(run(engine(2, &[], &[]), tasks), [(0, 100), (0, 30), (100, 110), (110, 115)]);
}

#[test]
fn the_cause_of_a_start_is_the_end_that_came_last() {
    let mut tasks = Tasks::default();
    let a = tasks.add(compute(10), &[0], &[]);
    let b = tasks.add(compute(20), &[1], &[]);
    let c = tasks.add(compute(5), &[0], &[a, b]);
    let d = tasks.add(Work::Barrier, &[1], &[]);
    let mut engine = engine(2, &[], &[]);
    let graph = engine.submit(tasks.graph()).unwrap();
    let trace = finished(engine.advance(None));
    let by = |task| Some(TaskRef { graph, task });
    assert_eq!([a, b, c, d].map(|task| trace.span(task).cause), [None, None, by(b), by(b)]);
}

/// Recursion would overflow the stack.
#[test]
fn long_chains_of_tasks_without_duration_end_at_once() {
    let mut tasks = Tasks::default();
    let mut last = tasks.add(compute(7), &[0], &[]);
    for _ in 0..200_000 {
        last = tasks.add(Work::Barrier, &[0], &[last]);
    }
    let ends = run(engine(1, &[], &[]), tasks);
    assert_eq!(ends.last(), Some(&(7, 7)));
}

/// 100 ps of work: 40 at full speed, 20 ps at half speed do 10, 50 ps nothing, and 50 are left at full speed.
#[test]
fn a_change_of_speed_moves_the_end_of_a_computation() {
    let mut tasks = Tasks::default();
    tasks.add(compute(100), &[0], &[]);
    tasks.add(Work::Delay { time: ps(30) }, &[0], &[]);
    let mut engine = engine(1, &[], &[]);
    engine.submit(tasks.graph()).unwrap();
    for (until, ppm) in [(40, 500_000), (60, 0), (110, 1_000_000)] {
        assert_eq!(engine.advance(Some(at(until))), Ok(Pause::Reached));
        assert_eq!(engine.now(), at(until));
        engine.set_speed(Resource::Stream(StreamId(0)), Speed::from_ppm(ppm)).unwrap();
    }
    let trace = finished(engine.advance(None));
    assert_eq!([trace.spans[0].end, trace.spans[1].end], [at(160), at(190)]);
}

#[test]
fn what_starts_on_a_slow_stream_takes_longer() {
    let mut tasks = Tasks::default();
    tasks.add(compute(100), &[0, 1], &[]);
    let mut engine = engine(2, &[], &[]);
    engine.set_speed(Resource::Stream(StreamId(1)), Speed::from_ppm(300_000)).unwrap();
    assert_eq!(run(engine, tasks), [(0, 334)]);
}

/// 2 kB at 1 GB/s: 1 us at full speed, 1 us at none, 2 us at half speed.
#[test]
fn a_link_at_speed_zero_holds_its_flows() {
    let mut tasks = Tasks::default();
    let moved = tasks.add(transfer(0, 2_000, 0), &[], &[]);
    let mut engine = engine(0, &[1_000_000_000], &[&[0]]);
    let graph = engine.submit(tasks.graph()).unwrap();
    assert_eq!(engine.advance(Some(at(1_000_000))), Ok(Pause::Reached));
    engine.set_speed(Resource::Link(LinkId(0)), Speed::ZERO).unwrap();
    let waiting = vec![TaskRef { graph, task: moved }];
    assert_eq!(engine.advance(None), Ok(Pause::Stalled { waiting }));
    assert_eq!(engine.advance(Some(at(2_000_000))), Ok(Pause::Reached));
    engine.set_speed(Resource::Link(LinkId(0)), Speed::from_ppm(500_000)).unwrap();
    assert_eq!(finished(engine.advance(None)).spans[0].end, at(4_000_000));
    assert_eq!(engine.advance(None), Ok(Pause::Reached));
}

#[test]
fn a_graph_depends_on_an_earlier_one_without_a_drain() {
    let mut engine = engine(2, &[], &[]);
    let mut first = Tasks::default();
    let early = first.add(compute(10), &[0], &[]);
    first.add(compute(100), &[1], &[]);
    let first = engine.submit(first.graph()).unwrap();
    let mut second = Tasks::default();
    let next = second.add(compute(5), &[], &[]);
    let early = TaskRef { graph: first, task: early };
    second.after = vec![(next, early)];
    second.add(compute(5), &[1], &[]);
    let second = engine.submit(second.graph()).unwrap();
    assert_eq!(finished(engine.advance(None)).graph, first);
    let trace = finished(engine.advance(None));
    assert_eq!((trace.graph, trace.spans[0].start, trace.spans[0].cause), (second, at(10), Some(early)));
    assert_eq!(trace.spans[1].start, at(100));

    let mut third = Tasks::default();
    let last = third.add(compute(1), &[], &[]);
    third.after = vec![(last, early)];
    engine.submit(third.graph()).unwrap();
    let trace = finished(engine.advance(None));
    assert_eq!((trace.spans[0].start, trace.spans[0].cause), (at(105), None));
}

#[test]
fn a_cancelled_graph_frees_streams_links_and_what_waits_for_it() {
    let mut engine = engine(1, &[1_000_000_000], &[&[0]]);
    let mut first = Tasks::default();
    let done = first.add(compute(10), &[0], &[]);
    let running = first.add(compute(1_000), &[0], &[]);
    first.add(transfer(0, 1_000_000, 0), &[], &[]);
    first.add(transfer(0, 1_000_000, 5_000), &[], &[]);
    let first = engine.submit(first.graph()).unwrap();
    let mut second = Tasks::default();
    second.add(compute(10), &[0], &[]);
    let waits = second.add(compute(20), &[], &[]);
    second.after = vec![(waits, TaskRef { graph: first, task: running })];
    second.add(transfer(0, 1_000, 0), &[], &[]);
    engine.submit(second.graph()).unwrap();
    assert_eq!(engine.advance(Some(at(100))), Ok(Pause::Reached));
    let cancelled = engine.cancel(first).unwrap();
    assert_eq!(cancelled.spans[done.0 as usize].map(|span| span.end), Some(at(10)));
    assert_eq!(cancelled.spans[running.0 as usize], None);
    assert_eq!(engine.cancel(first), None);
    let trace = finished(engine.advance(None));
    // 1,000 B, of which 100 ps at half the rate served 0.05 B: 100 ps + 999,950 ps.
    assert_eq!(
        trace.spans.iter().map(|span| span.end).collect::<Vec<_>>(),
        [at(110), at(120), at(1_000_050)]
    );
    assert_eq!(trace.spans[0].cause, None);
}

#[test]
fn time_overflow_names_the_task() {
    let mut tasks = Tasks::default();
    let first = tasks.add(compute(u64::MAX), &[0], &[]);
    let second = tasks.add(compute(1), &[0], &[first]);
    let task = TaskRef { graph: GraphId(0), task: second };
    let resources = Resources { n_streams: 1, links: Vec::new() };
    assert_eq!(run_graph(resources, &[], tasks.graph()), Err(EngineError::TimeOverflow { task }));

    let mut tasks = Tasks::default();
    let task = TaskRef { graph: GraphId(0), task: tasks.add(transfer(0, u64::MAX, 0), &[], &[]) };
    let resources = Resources { n_streams: 0, links: links(&[1]) };
    assert_eq!(run_graph(resources, &[over(&[0])], tasks.graph()), Err(EngineError::TimeOverflow { task }));
}

#[test]
fn limits_are_errors() {
    let resources = Resources { n_streams: 1, links: Vec::new() };
    let graph = || {
        let mut tasks = Tasks::default();
        for _ in 0..5 {
            tasks.add(compute(1), &[0], &[]);
        }
        tasks.graph()
    };
    let mut engine = Engine::new(resources.clone(), Limits { n_tasks: 8, ..Limits::NONE });
    engine.submit(graph()).unwrap();
    assert_eq!(engine.submit(graph()), Err(EngineError::TooManyTasks { n_tasks: 10, limit: 8 }));
    assert_eq!(finished(engine.advance(None)).spans.len(), 5);
    assert_eq!(engine.submit(graph()), Ok(GraphId(1)));

    let mut engine = Engine::new(resources, Limits { n_events: 4, ..Limits::NONE });
    engine.submit(graph()).unwrap();
    assert_eq!(engine.advance(None), Err(EngineError::TooManyEvents { limit: 4 }));
}

#[test]
fn many_graphs_of_one_shape_leave_nothing_behind() {
    let mut engine = engine(1, &[], &[]);
    let mut tasks = Tasks::default();
    tasks.add(compute(3), &[0], &[]);
    let graph = tasks.graph();
    for step in 0..1_000 {
        engine.submit(graph.clone()).unwrap();
        assert_eq!(finished(engine.advance(None)).spans[0].end, at(3 * (step + 1)));
    }
}
