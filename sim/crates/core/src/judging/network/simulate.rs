//! Runs a case through the engine's network.

use std::collections::{BTreeMap, BTreeSet};

use masim_engine::{Hop, LinkId};
use masim_units::{SimDuration, SimTime};

use super::case::Case;
use super::flow::CaseFlow;
use crate::fabric::without_needless_links;
use crate::running::replay::{FlowBeyondTime, Notes, Replay, Sent, replay};

/// When each flow of `case` ends, counted from its start.
///
/// # Errors
///
/// A flow that ends beyond the representable range of time.
pub fn simulate(case: &Case) -> Result<Vec<SimTime>, FlowBeyondTime> {
    Ok(simulate_noting(case, Notes::Ends(None))?.ends)
}

/// What happens to the flows of `case`, and to its links where they are noted.
///
/// # Errors
///
/// A flow that ends beyond the representable range of time.
pub fn simulate_noting(case: &Case, notes: Notes) -> Result<Replay, FlowBeyondTime> {
    let mut paths = Vec::new();
    let mut known = BTreeMap::<&[LinkId], u32>::new();
    let mut flows = Vec::with_capacity(case.flows.len());
    for (CaseFlow { start, latency, bytes, route, .. }, idx) in case.flows.iter().zip(0..) {
        let path = *known.entry(route).or_insert_with(|| {
            paths.push(route.iter().map(|&link| Hop { link, multiplicity: 1 }).collect::<Vec<_>>());
            u32::try_from(paths.len() - 1).expect("fewer than 2^32 routes")
        });
        // Until its first byte moves, a flow waits for its start, then for the wire.
        let ps = start.checked_add(*latency).map(SimDuration::as_ps).ok_or(FlowBeyondTime { flow: idx })?;
        flows.push(Sent { start: SimTime::from_ps(ps), path, bytes: *bytes, rate_cap: None });
    }
    drop(known);
    if let Notes::Ends(_) = notes {
        // Rates stay the same without links that others cover, and are found faster.
        paths = without_needless_links(&paths, |link| case.links[link.0 as usize], &BTreeSet::new());
    }
    replay(&case.links, &paths, &flows, notes)
}
