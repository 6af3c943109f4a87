//! What a case did to its links.

use std::collections::BTreeMap;

use masim_engine::{Hop, LinkId};
use masim_units::{SimDuration, SimTime};

use super::case::Case;
use crate::judging::metrics::network::{NetworkUse, Traffic};
use crate::running::replay::{FlowBeyondTime, Sent};

/// Replays `case` and notes what links carry, from its start to the end of its last flow.
///
/// # Errors
///
/// A flow that ends beyond the representable range of time.
pub fn seen(case: &Case) -> Result<NetworkUse, FlowBeyondTime> {
    let mut traffic = Traffic {
        rates: case.links.clone(),
        bandwidths: case.links.clone(),
        paths: Vec::new(),
        steps: Vec::new(),
        flows: Vec::new(),
        bytes: case.flows.iter().map(|flow| flow.bytes).collect(),
        kinds: vec!["flow"; case.flows.len()],
        window: (SimTime::ZERO, SimTime::ZERO),
    };
    let n_ends = u32::try_from(case.ends.len()).expect("fewer than 2^32 ends");
    let mut known = BTreeMap::<(u32, u32, &[LinkId]), u32>::new();
    for (flow, idx) in case.flows.iter().zip(0..) {
        let path = *known.entry((flow.src, flow.dst, &flow.route)).or_insert_with(|| {
            let hops = flow.route.iter().map(|&link| Hop { link, multiplicity: 1 });
            traffic.paths.push(hops.collect());
            traffic.steps.push(if flow.src == flow.dst {
                (0..n_ends).map(|src| (src, (src + 1) % n_ends)).collect()
            } else {
                vec![(flow.src, flow.dst)]
            });
            u32::try_from(traffic.paths.len() - 1).expect("fewer than 2^32 routes")
        });
        let ps = flow.start.checked_add(flow.latency).map(SimDuration::as_ps);
        let start = SimTime::from_ps(ps.ok_or(FlowBeyondTime { flow: idx })?);
        traffic.flows.push(Sent { start, path, bytes: flow.bytes, rate_cap: None });
    }
    // The window ends with the last flow, which only a replay knows.
    let ends = super::simulate::simulate(case)?;
    traffic.window.1 = ends.into_iter().max().unwrap_or(SimTime::ZERO);
    NetworkUse::of(&traffic)
}
