//! A trace of a real run obeys the rules of the format, as a viewer reads it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{dag_tasks, trace_input};
use crate::perfetto::perfetto;
use masim_core::judging::sweep::{SweepRow, simulate_row};
use masim_core::work::routing::RoutingPool;

const STRATEGIES: [&str; 3] = [
    "{ kind: ma_separation, n_attention_gpus: 12, n_expert_gpus: 4, n_micro_batches: 2 }",
    "{ kind: tp_pp, tp: 8, pp: 2, dp: 1, n_in_flight: 2 }",
    "{ kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 2 }",
];

fn row(strategy: &str) -> SweepRow {
    let text = format!(
        "cluster: a100-4x4\nmodel: paper-4l\nworkload: {{ phase: decode, batch: 64, context_len: 512 }}\n\
         strategy: {strategy}\nload: {{ kind: zipf, exponent: 0.8 }}\n"
    );
    SweepRow::alone(masim_tests::scenario(&text))
}

/// Nanoseconds as a viewer that multiplies by 1000 keeps them.
type Read = fn(f64) -> f64;

/// Begin, negative length and end, so that an outer slice is sorted before those inside it.
type Threads = BTreeMap<(u64, u64), Vec<(f64, f64, f64)>>;

fn place(event: &Value) -> (u64, u64) {
    (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap())
}

fn threads(events: &[Value], read: Read) -> Threads {
    let mut threads = Threads::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let begin = read(event["ts"].as_f64().unwrap() * 1e3);
        let length = read(event["dur"].as_f64().unwrap() * 1e3);
        threads.entry(place(event)).or_default().push((begin, -length, begin + length));
    }
    for slices in threads.values_mut() {
        slices.sort_by(|a, b| a.partial_cmp(b).unwrap());
    }
    threads
}

/// Two slices of a thread lie one inside the other or apart.
fn check_nesting(threads: &Threads) {
    for (thread, slices) in threads {
        let mut around: Vec<f64> = Vec::new();
        for &(begin, _, end) in slices {
            while around.last().is_some_and(|outer| *outer <= begin) {
                around.pop();
            }
            assert!(around.last().is_none_or(|outer| end <= *outer), "{thread:?}: {begin} to {end} ns");
            around.push(end);
        }
    }
}

/// An arrow leaves from inside a slice and arrives where one begins, not earlier.
fn check_arrows(events: &[Value], threads: &Threads, read: Read) -> usize {
    let ends = |phase: &'static str| {
        let of_phase = events.iter().filter(move |event| event["ph"] == phase);
        of_phase.map(|event| (event["id"].as_u64().unwrap(), event)).collect::<BTreeMap<_, _>>()
    };
    let (from, to) = (ends("s"), ends("f"));
    assert!(from.keys().eq(to.keys()));
    for (id, from) in &from {
        let at = |event: &Value| read(event["ts"].as_f64().unwrap() * 1e3);
        let to = to[id];
        let is_inside = |slice: &&(f64, f64, f64)| slice.0 <= at(from) && at(from) < slice.2;
        assert!(threads[&place(from)].iter().any(|slice| is_inside(&slice)), "{from}");
        assert!(threads[&place(to)].iter().any(|slice| (slice.0 - at(to)).abs() < 0.5), "{to}");
        assert!(to["bp"] == "e" && at(from) <= at(to), "{from} {to}");
    }
    from.len()
}

#[test]
fn a_trace_of_a_run_nests_and_its_arrows_meet_slices_however_a_viewer_rounds() {
    for strategy in STRATEGIES {
        let row = row(strategy);
        let (_, best) = simulate_row(&row, &RoutingPool::default());
        let (scenario, found) = best.unwrap();
        let text = perfetto(&trace_input(scenario, &found));
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let events = parsed["traceEvents"].as_array().unwrap();
        for read in [f64::trunc as Read, f64::round as Read] {
            let threads = threads(events, read);
            check_nesting(&threads);
            assert!(check_arrows(events, &threads, read) > 100, "{strategy}");
        }
        let named: Vec<_> = events.iter().filter(|event| event["name"] == "thread_name").map(place).collect();
        assert!(threads(events, f64::trunc).keys().all(|thread| named.contains(thread)), "{strategy}");
    }
}

#[test]
fn predecessors_in_a_task_graph_come_before_their_successors() {
    let row = row(STRATEGIES[0]);
    let (_, best) = simulate_row(&row, &RoutingPool::default());
    let (scenario, found) = best.unwrap();
    let tasks = dag_tasks(scenario, &found.run);
    for (idx, task) in tasks.iter().enumerate() {
        assert_eq!(task.id as usize, idx);
        assert!(task.predecessors.iter().all(|before| (*before as usize) < idx), "{}", task.name);
    }
}
