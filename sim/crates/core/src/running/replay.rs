//! Flows alone, without the tasks that send them: when each ends, what links carry, and what holds flows back.
//!
//! Rates depend on nothing but starts, so flows that start as they did in a run end as they did there.

use std::collections::BTreeMap;

use masim_engine::{Hop, LinkId, Network, PathId};
use masim_units::{Bandwidth, Bytes, SimDuration, SimTime};

/// Data under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When its first byte takes bandwidth.
    pub start: SimTime,
    /// The position of its path.
    pub path: u32,
    /// How much; zero ends when it starts.
    pub bytes: Bytes,
    /// A rate that it never exceeds.
    pub rate_cap: Option<Bandwidth>,
}

/// What a replay notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notes {
    /// Ends alone; noticed at multiples of this, if given.
    Ends(Option<SimDuration>),
    /// Ends, what links carry, and what holds flows back.
    All {
        /// Where peaks count.
        within: (SimTime, SimTime),
    },
}

/// What happened to flows and links.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// When each flow ended.
    pub ends: Vec<SimTime>,
    /// The link that held each flow back for longest, where links are noted and one did.
    pub limits: Vec<Option<LinkId>>,
    /// The largest share of its bandwidth that each link carried where peaks count, if links are noted.
    pub peaks: Vec<f64>,
    /// How long anything crossed each link, in seconds, where links are noted.
    pub busy_s: Vec<f64>,
}

/// A flow ends beyond the representable range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("flow {flow} ends after 213 simulated days, the longest time that can be simulated")]
pub struct FlowBeyondTime {
    /// Its position.
    pub flow: u64,
}

/// Runs `flows` over links that carry `rates`.
///
/// # Errors
///
/// [`FlowBeyondTime`].
///
/// # Panics
///
/// When a flow names a path, or a path a link, that does not exist.
pub fn replay(
    rates: &[Bandwidth],
    paths: &[Vec<Hop>],
    flows: &[Sent],
    notes: Notes,
) -> Result<Replay, FlowBeyondTime> {
    let mut network = Network::new(rates);
    for path in paths {
        network.add_path(path);
    }
    match notes {
        Notes::Ends(grain) => grain.into_iter().for_each(|grain| network.coalesce(grain)),
        Notes::All { within } => network.watch(within),
    }
    let ends = run(&mut network, flows)?;
    let is_noted = matches!(notes, Notes::All { .. });
    let mut limits = vec![None; if is_noted { flows.len() } else { 0 }];
    for limit in network.take_limits() {
        limits[position(limit.tag)] = limit.link;
    }
    let loads = network.loads();
    let (peaks, busy_s) = loads.iter().map(|load| (load.peak, load.busy_s)).unzip();
    Ok(Replay { ends, limits, peaks, busy_s })
}

/// Lets all flows start and end.
fn run(network: &mut Network, flows: &[Sent]) -> Result<Vec<SimTime>, FlowBeyondTime> {
    let mut order: Vec<(SimTime, u32)> = flows.iter().map(|flow| flow.start).zip(0..).collect();
    order.sort_unstable();
    let mut starts = order.into_iter().peekable();
    let mut ends: Vec<_> = flows.iter().map(|flow| flow.start).collect();
    let mut ended = Vec::new();
    loop {
        let end = match network.next_end() {
            Ok(end) => end,
            Err(beyond) if starts.peek().is_none() => return Err(FlowBeyondTime { flow: beyond.tag }),
            Err(_) => None,
        };
        let start = starts.peek().map(|&(at, _)| at);
        let Some(now) = end.into_iter().chain(start).min() else { return Ok(ends) };
        if end == Some(now) {
            network.pop_ended(now, &mut ended);
            for tag in ended.drain(..) {
                ends[position(tag)] = now;
            }
        }
        while let Some((_, idx)) = starts.next_if(|&(at, _)| at == now) {
            let Sent { path, bytes, rate_cap, .. } = flows[idx as usize];
            if bytes > Bytes::ZERO {
                network.start(now, PathId(path), bytes, rate_cap, u64::from(idx));
            }
        }
    }
}

fn position(tag: u64) -> usize {
    usize::try_from(tag).expect("a tag is the position of a flow")
}

/// Most senders to each receiver at once, from (receiver, sender, start, end); flows without duration do not count.
pub fn incast(flows: impl Iterator<Item = (u32, u32, SimTime, SimTime)>) -> BTreeMap<u32, u32> {
    let mut changes = BTreeMap::<u32, Vec<(SimTime, bool, u32)>>::new();
    for (receiver, sender, start, end) in flows.filter(|(_, _, start, end)| start < end) {
        // At one instant ends come before starts.
        changes.entry(receiver).or_default().extend([(start, true, sender), (end, false, sender)]);
    }
    let most = |mut changes: Vec<(SimTime, bool, u32)>| {
        changes.sort_unstable();
        let mut open = BTreeMap::<u32, u32>::new();
        let mut most = 0;
        for (_, is_start, sender) in changes {
            let n_flows = open.entry(sender).or_default();
            if is_start {
                *n_flows += 1;
            } else {
                *n_flows -= 1;
                if *n_flows == 0 {
                    open.remove(&sender);
                }
            }
            most = most.max(open.len());
        }
        u32::try_from(most).expect("fewer than 2^32 senders")
    };
    changes.into_iter().map(|(receiver, changes)| (receiver, most(changes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Senders 1 and 2 overlap at receiver 0; sender 1's second flow does not count again, and 3 comes when 1 leaves.
    #[test]
    fn incast_counts_senders_not_flows() {
        let at = SimTime::from_ps;
        let flows = [(0, 1, 0, 10), (0, 1, 2, 10), (0, 2, 5, 12), (0, 3, 10, 20), (7, 1, 4, 4)];
        let flows = flows.map(|(to, from, start, end)| (to, from, at(start), at(end)));
        assert_eq!(incast(flows.into_iter()).into_iter().collect::<Vec<_>>(), [(0, 2)]);
    }
}
