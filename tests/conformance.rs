//! The engine against the answers of an established simulator.
//!
//! The committed flow sets always run; the whole ones run where `MASIM_REFERENCE` says where they are.
#![expect(clippy::unwrap_used, reason = "a malformed flow set fails the test where it is read")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use masim_engine::{Flow, Graph, Hop, LinkId, PathId, Resources, ShapeBuilder, Work, run_graph};
use masim_units::{Bandwidth, Bytes, SimDuration};
use serde_json::Value;

/// Replays every case of every `.jsonl` file in `folder` and gives how many there were.
fn replay_folder(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut n_cases = 0;
    for file in files {
        for line in fs::read_to_string(&file).unwrap().lines() {
            replay(&serde_json::from_str(line).unwrap());
            n_cases += 1;
        }
    }
    n_cases
}

/// Runs one case as one graph, a transfer for each flow, and compares every end.
fn replay(case: &Value) {
    let links = array(&case["topology"]["links"]);
    let bandwidth = |link: &Value| Bandwidth::new(whole(number(&link["bw"]))).unwrap();
    let resources = Resources { n_streams: 0, links: links.iter().map(bandwidth).collect() };
    let mut paths = Vec::new();
    let mut works = Vec::new();
    let mut shape = ShapeBuilder::new();
    for (flow, idx) in array(&case["flows"]).iter().zip(0..) {
        let route: Vec<_> = array(&flow["route"]).iter().map(|link| link.as_u64().unwrap()).collect();
        let latencies = route.iter().map(|&link| number(&links[usize::try_from(link).unwrap()]["lat"]));
        let latency = flow["start_ns"].as_u64().unwrap() * 1000 + whole(latencies.sum::<f64>() * 1e12);
        let hop = |&link| Hop { link: LinkId(u32::try_from(link).unwrap()), multiplicity: 1 };
        paths.push(route.iter().map(hop).collect());
        let bytes = Bytes(flow["bytes"].as_u64().unwrap());
        let latency = SimDuration::from_ps(latency);
        let flow = Flow { path: PathId(idx), bytes, latency, rate_cap: None };
        works.push(Work::transfer(vec![flow]));
        shape.task(&[], &[]);
    }
    let starts: Vec<_> = works.iter().map(latency_ps).collect();
    let graph = Graph { shape: Arc::new(shape.build().unwrap()), works: Arc::new(works), after: Vec::new() };
    let trace = run_graph(resources, &paths, graph).unwrap();
    let ends: Vec<_> = trace.spans.iter().map(|span| span.end.as_ps()).collect();
    compare(case, &starts, &ends);
}

/// Every end lies within a millionth of itself, or within 1 ps for each start or end during the flow's life and 1 ps.
fn compare(case: &Value, starts: &[u64], ends: &[u64]) {
    let mut instants: Vec<_> = starts.iter().chain(ends).copied().collect();
    instants.sort_unstable();
    let n_until = |at: u64| instants.partition_point(|&instant| instant <= at);
    let expected = array(&case["expect"]["finish_s"]);
    assert_eq!(expected.len(), ends.len(), "{}: one expectation for each flow", case["case"]);
    for (idx, expected) in expected.iter().enumerate() {
        let expected = number(expected) * 1e12;
        let n_before_start = instants.partition_point(|&instant| instant < starts[idx]);
        let n_events = n_until(ends[idx]) - n_before_start;
        let tolerance = (expected * 1e-6).max(n_events as f64 + 1.0);
        let error = (ends[idx] as f64 - expected).abs();
        assert!(
            error <= tolerance,
            "{}: flow {idx} ends at {} ps, expected {expected} ps (error {error} ps, allowed {tolerance} ps)",
            case["case"],
            ends[idx]
        );
    }
}

fn latency_ps(work: &Work) -> u64 {
    match work {
        Work::Transfer { flows, .. } => flows[0].latency.as_ps(),
        Work::Compute { .. } | Work::Delay { .. } | Work::Barrier => panic!("all works are transfers"),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array").as_slice()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn whole(value: f64) -> u64 {
    let rounded = value.round();
    assert!((0.0..1e18).contains(&rounded), "{value} is a whole number");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    {
        rounded as u64
    }
}

#[test]
fn committed_flow_sets_agree() {
    let n_cases = replay_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/simgrid"));
    assert!(n_cases >= 20, "the committed sets hold cases, found {n_cases}");
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn all_flow_sets_agree() {
    let Some(reference) = std::env::var_os("MASIM_REFERENCE") else {
        eprintln!("skipped: MASIM_REFERENCE is not set");
        return;
    };
    let n_cases = replay_folder(&PathBuf::from(reference).join("conformance/simgrid"));
    assert!(n_cases > 0, "the reference holds cases");
}
