//! Properties of random graphs.

use proptest::prelude::*;

use super::*;

/// A task: its kind, its size, a stream, and which of the tasks before it it waits for.
type Draft = (u8, u64, u32, Vec<prop::sample::Index>);

const N_STREAMS: u32 = 3;
const N_LINKS: u32 = 4;

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let after = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    prop::collection::vec((0u8..5, 0u64..100_000, 0..N_STREAMS, after), 1..40)
}

/// Flows of task i run over path `path_of(i)`.
fn graph_of(drafts: &[Draft], path_of: impl Fn(u32) -> u32) -> Graph {
    let mut tasks = Tasks::default();
    for (kind, size, stream, after) in drafts {
        let n = tasks.builder.n_tasks();
        let before: Vec<_> =
            after.iter().filter(|_| n > 0).map(|at| TaskId(small(at.index(n as usize)))).collect();
        match kind {
            0 => tasks.add(Work::Barrier, &[*stream, (*stream + 1) % N_STREAMS], &before),
            1 => tasks.add(Work::Delay { time: ps(*size) }, &[], &before),
            2 => tasks.add(compute(*size), &[*stream], &before),
            3 => tasks.add(transfer(path_of(n), *size, 10), &[], &before),
            _ => tasks.add(transfer(path_of(n), *size, 0), &[*stream], &before),
        };
    }
    tasks.graph()
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

/// Links of 1 GB/s times `factor`, and paths of two neighbouring links each.
fn shared(graph: &Graph, factor: u64) -> Trace {
    let resources =
        Resources { n_streams: N_STREAMS, links: links(&[1_000_000_000 * factor; N_LINKS as usize]) };
    let paths: Vec<_> = (0..N_LINKS).map(|link| over(&[link, (link + 1) % N_LINKS])).collect();
    run_graph(resources, &paths, graph.clone()).unwrap()
}

proptest! {
    #[test]
    fn the_same_graph_gives_the_same_trace(drafts in drafts()) {
        let graph = graph_of(&drafts, |task| task % N_LINKS);
        prop_assert_eq!(shared(&graph, 1), shared(&graph, 1));
    }

    /// Each start is the submission or the end of its cause; nothing overtakes on a stream or an edge.
    #[test]
    fn a_task_starts_when_and_only_when_it_can(drafts in drafts()) {
        let graph = graph_of(&drafts, |task| task % N_LINKS);
        let trace = shared(&graph, 1);
        let mut last_ends = [SimTime::ZERO; N_STREAMS as usize];
        for task in graph.shape.tasks() {
            let span = trace.span(task);
            let edges = graph.shape.predecessors(task).iter().map(|&before| trace.span(before).end);
            let streams = graph.shape.streams(task).iter().map(|stream| last_ends[stream.0 as usize]);
            prop_assert_eq!(span.start, edges.chain(streams).max().unwrap_or(SimTime::ZERO));
            prop_assert!(span.start <= span.end);
            if let Some(cause) = span.cause {
                prop_assert_eq!(trace.span(cause.task).end, span.start);
            }
            for stream in graph.shape.streams(task) {
                last_ends[stream.0 as usize] = span.end;
            }
        }
    }

    /// With a link of its own for each flow, twice the bandwidth makes no end later.
    #[test]
    fn more_bandwidth_is_never_slower_where_no_two_flows_share_a_link(drafts in drafts()) {
        let graph = graph_of(&drafts, |task| task);
        let ends = |rate: u64| {
            let resources = Resources { n_streams: N_STREAMS, links: links(&vec![rate; drafts.len()]) };
            let paths: Vec<_> = (0..small(drafts.len())).map(|link| over(&[link])).collect();
            let trace = run_graph(resources, &paths, graph.clone()).unwrap();
            trace.spans.into_iter().map(|span| span.end).collect::<Vec<_>>()
        };
        let (slow, fast) = (ends(1_000_000_000), ends(2_000_000_000));
        prop_assert!(fast.iter().zip(&slow).all(|(fast, slow)| fast <= slow));
    }

    /// Two graphs, one waiting for the other, run as one graph with the same edges does.
    #[test]
    fn a_graph_in_two_parts_runs_as_in_one(drafts in drafts(), more in drafts()) {
        let first = graph_of(&drafts, |task| task % N_LINKS);
        let second = graph_of(&more, |task| task % N_LINKS);
        let mut engine = engine(N_STREAMS, &[1_000_000_000; 4], &[&[0, 1], &[1, 2], &[2, 3], &[3, 0]]);
        let id = engine.submit(first.clone()).unwrap();
        let join = TaskRef { graph: id, task: TaskId(0) };
        let after = second.shape.tasks().map(|task| (task, join)).collect();
        engine.submit(Graph { after, ..second.clone() }).unwrap();
        let mut parts = [finished(engine.advance(None)), finished(engine.advance(None))];
        parts.sort_by_key(|trace| trace.graph);

        let mut whole = Tasks::default();
        for (graph, offset) in [(&first, 0), (&second, first.shape.n_tasks())] {
            for task in graph.shape.tasks() {
                let mut before: Vec<_> =
                    graph.shape.predecessors(task).iter().map(|task| TaskId(task.0 + offset)).collect();
                before.extend((offset > 0).then_some(TaskId(0)));
                let streams: Vec<_> = graph.shape.streams(task).iter().map(|stream| stream.0).collect();
                whole.add(graph.works[task.0 as usize].clone(), &streams, &before);
            }
        }
        let ends: Vec<_> = shared(&whole.graph(), 1).spans.iter().map(|span| (span.start, span.end)).collect();
        let in_parts: Vec<_> = parts.iter().flat_map(|trace| &trace.spans).map(|span| (span.start, span.end)).collect();
        prop_assert_eq!(ends, in_parts);
    }
}
