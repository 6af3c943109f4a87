//! Runs a case through the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use masim_engine::{EngineError, Flow, Graph, Hop, LinkId, PathId, Resources, ShapeBuilder, Work, run_graph};
use masim_units::{SimDuration, SimTime};

use super::case::Case;

/// When each flow of `case` ends, counted from its start.
///
/// # Errors
///
/// A flow that ends beyond the representable range of time.
pub fn simulate(case: &Case) -> Result<Vec<SimTime>, EngineError> {
    let mut paths = Vec::new();
    let mut known = BTreeMap::<&[LinkId], PathId>::new();
    let mut builder = ShapeBuilder::new();
    let mut works = Vec::new();
    for flow in &case.flows {
        let path = *known.entry(&flow.route).or_insert_with(|| {
            paths.push(flow.route.iter().map(|&link| Hop { link, multiplicity: 1 }).collect());
            PathId(u32::try_from(paths.len() - 1).expect("fewer than 2^32 routes"))
        });
        // Until its first byte moves, a flow waits for its start, then for the wire. A sum that no time
        // can hold stays one that no task can end by, so the engine reports it.
        let latency = flow.start.checked_add(flow.latency).unwrap_or(SimDuration::from_ps(u64::MAX));
        builder.task(&[], &[]);
        works.push(Work::transfer(vec![Flow { path, bytes: flow.bytes, latency, rate_cap: None }]));
    }
    let shape = builder.build().expect("a graph without edges has no cycle");
    let graph = Graph { shape: Arc::new(shape), works: Arc::new(works), after: Vec::new() };
    let resources = Resources { n_streams: 0, links: case.links.clone() };
    let trace = run_graph(resources, &paths, graph)?;
    Ok(trace.spans.iter().map(|span| span.end).collect())
}
