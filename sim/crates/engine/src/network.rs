//! Flows over shared links: how fast each moves, and when it ends.
//!
//! Links are shared max-min fairly: no flow can get more without taking from one that has no more than
//! it. Flows that are equal in path and cap form a *class*, which has one rate; a class remembers how
//! much each of its flows was served since the class was last empty, so that a change of rate costs the
//! same for one flow as for a thousand. Rates are solved once for each instant, after all its starts and
//! ends. All arithmetic is on integers.

mod end_queue;
mod fill;
mod pairs;
mod rate;
mod solver;
mod spread;
mod watch;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod textbook;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use masim_units::{Bandwidth, Bytes, SimDuration, SimTime};

use crate::flows::PathId;
use crate::graph::{Hop, LinkId};
use crate::network::end_queue::EndQueue;
use crate::network::rate::{UNLIMITED, rate_at, rate_of, served, service_of, time_for};
use crate::network::solver::Solver;
use crate::network::watch::Watch;
use crate::speed::Speed;

pub use watch::{Limit, LinkLoad};

/// Links, paths over them, and the flows under way.
#[derive(Debug)]
pub struct Network {
    now: SimTime,
    nominal: Vec<u64>,
    /// The route of each registered path.
    paths: Vec<u32>,
    routes: Vec<Route>,
    /// By a hash of the hops, and the next free number where two hashes are equal.
    routes_by_hash: BTreeMap<u64, u32>,
    classes: Vec<Class>,
    solver: Solver,
    ends: EndQueue,
    /// Classes whose next end must be found anew.
    touched: Vec<u32>,
    /// Flows that end at this instant, by their start; kept to save its allocation.
    ended: Vec<(u64, u64)>,
    /// Flows started so far.
    n_started: u64,
    n_flows: u64,
    /// Ends are noticed at multiples of this.
    grain_ps: u64,
    watch: Option<Watch>,
}

/// The earliest end lies beyond the representable range of time (213 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the next flow to end, with tag {tag}, ends beyond 213 simulated days")]
pub struct EndBeyondTime {
    /// The tag of that flow.
    pub tag: u64,
}

/// Links and multiplicities, and the classes of flows that were seen on them.
#[derive(Debug)]
struct Route {
    /// Ordered by link, each link once.
    hops: Box<[Hop]>,
    /// By rate cap.
    classes: Vec<(u64, u32)>,
}

/// Flows that are equal in path and cap.
#[derive(Debug)]
struct Class {
    rate: u64,
    /// How much each flow was served from the time when the class was last empty until `since`.
    service: u128,
    since: SimTime,
    flows: BinaryHeap<Reverse<FlowEnd>>,
    is_touched: bool,
}

/// The service at which a flow ends. Flows that end together do so in the order of their starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FlowEnd {
    service: u128,
    start_idx: u64,
    tag: u64,
}

impl Ord for FlowEnd {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.service, self.start_idx).cmp(&(other.service, other.start_idx))
    }
}

impl PartialOrd for FlowEnd {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Class {
    fn service_at(&self, now: SimTime) -> u128 {
        self.service + served(self.rate, now.since(self.since).as_ps())
    }

    fn set_rate(&mut self, now: SimTime, rate: u64) {
        self.service = self.service_at(now);
        self.since = now;
        self.rate = rate;
    }

    /// When the next flow ends at the present rate: `None` if it never does, `u64::MAX` if beyond all time.
    fn next_end(&self, now: SimTime, grain_ps: u64) -> Option<u64> {
        let Reverse(next) = self.flows.peek()?;
        if self.rate == UNLIMITED {
            return Some(now.as_ps());
        }
        if next.service <= self.service {
            return Some(noticed(now.as_ps(), grain_ps));
        }
        if self.rate == 0 {
            return None;
        }
        let after = time_for(next.service - self.service, self.rate);
        let end = after.and_then(|ps| self.since.as_ps().checked_add(ps));
        Some(end.map_or(u64::MAX, |end| noticed(end, grain_ps)))
    }
}

impl Network {
    /// Links of these nominal bandwidths, numbered in order.
    ///
    /// # Panics
    ///
    /// When a bandwidth reaches 2^48 B/s (281 TB/s).
    pub fn new(links: &[Bandwidth]) -> Self {
        let rate = |&link| rate_of(link).expect("a link is slower than 281 TB/s");
        let nominal: Vec<_> = links.iter().map(rate).collect();
        Self {
            now: SimTime::ZERO,
            paths: Vec::new(),
            routes: Vec::new(),
            routes_by_hash: BTreeMap::new(),
            classes: Vec::new(),
            solver: Solver::new(nominal.iter().copied()),
            nominal,
            ends: EndQueue::default(),
            touched: Vec::new(),
            ended: Vec::new(),
            n_started: 0,
            n_flows: 0,
            grain_ps: 1,
            watch: None,
        }
    }

    /// Registers a path; identifiers count from zero in order of registration.
    ///
    /// A link may be named several times: its multiplicities add up. A path without links takes no time
    /// but what a rate cap makes of it.
    ///
    /// # Panics
    ///
    /// When a link does not exist or a multiplicity is zero.
    pub fn add_path(&mut self, hops: &[Hop]) -> PathId {
        for hop in hops {
            assert!((hop.link.0 as usize) < self.nominal.len(), "link {} of a path exists", hop.link.0);
            assert!(hop.multiplicity > 0, "link {} is crossed at least once per byte", hop.link.0);
        }
        let route = self.route(merged(hops));
        self.paths.push(route);
        PathId(index(self.paths.len() - 1))
    }

    /// Ends of flows are noticed at multiples of `grain` only, so that those close to each other cost one
    /// change of rates; each is late by less than that, and its flow holds its share until then.
    ///
    /// # Panics
    ///
    /// When `grain` is zero or flows are under way.
    pub fn coalesce(&mut self, grain: SimDuration) {
        assert!(grain > SimDuration::ZERO && self.n_flows == 0, "ends are coalesced from the beginning");
        self.grain_ps = grain.as_ps();
    }

    /// Notes from now on what links carry, the most of it between two instants, and which of them hold flows back; costs
    /// about as much as the rates do.
    ///
    /// # Panics
    ///
    /// When flows are under way.
    pub fn watch(&mut self, within: (SimTime, SimTime)) {
        assert!(self.n_flows == 0, "a network is watched from the beginning");
        self.watch = Some(Watch::new(self.nominal.len(), within));
    }

    /// What each link carried since it is watched, rates that still hold left out; empty if it is not.
    pub fn loads(&self) -> Vec<LinkLoad> {
        self.watch.iter().flat_map(|watch| watch.loads(&self.nominal)).collect()
    }

    /// Which link held back each flow that has ended since this was last asked.
    pub fn take_limits(&mut self) -> Vec<Limit> {
        self.watch.as_mut().map(|watch| std::mem::take(&mut watch.limits)).unwrap_or_default()
    }

    /// The route over `hops`, made when it is new.
    fn route(&mut self, hops: Vec<Hop>) -> u32 {
        let mut hash = hash(&hops);
        loop {
            match self.routes_by_hash.get(&hash) {
                Some(&route) if *self.routes[route as usize].hops == *hops => return route,
                Some(_) => hash = hash.wrapping_add(1),
                None => break,
            }
        }
        let route = index(self.routes.len());
        self.routes.push(Route { hops: hops.into(), classes: Vec::new() });
        self.routes_by_hash.insert(hash, route);
        route
    }

    /// Flows under way.
    pub fn n_flows(&self) -> u64 {
        self.n_flows
    }

    /// Starts a flow of `bytes` at `now`; `tag` comes back when it ends.
    ///
    /// # Panics
    ///
    /// When `path` was not registered, or `now` is earlier than in a call before.
    pub fn start(&mut self, now: SimTime, path: PathId, bytes: Bytes, rate_cap: Option<Bandwidth>, tag: u64) {
        self.move_to(now);
        let cap = rate_cap.and_then(rate_of).unwrap_or(UNLIMITED);
        let class = self.class(path, cap);
        self.solver.add_flow(class);
        let state = &mut self.classes[class as usize];
        if state.flows.is_empty() {
            state.service = 0;
            state.since = now;
        }
        let service = state.service_at(now) + service_of(bytes);
        state.flows.push(Reverse(FlowEnd { service, start_idx: self.n_started, tag }));
        self.n_started += 1;
        self.n_flows += 1;
        self.touch(class);
    }

    /// Sets the capacity of `link` to `speed` times its nominal bandwidth from `now` on.
    ///
    /// # Panics
    ///
    /// When the link does not exist, becomes faster than 281 TB/s, or `now` is earlier than in a call before.
    pub fn set_link_speed(&mut self, now: SimTime, link: LinkId, speed: Speed) {
        self.move_to(now);
        let capacity = rate_at(self.nominal[link.0 as usize], speed).expect("a link is slower than 281 TB/s");
        self.solver.set_capacity(link.0, capacity);
    }

    /// When the next flow ends, as things stand; `None` if no flow moves.
    ///
    /// # Errors
    ///
    /// [`EndBeyondTime`] if flows move, but none ends within 213 days.
    pub fn next_end(&mut self) -> Result<Option<SimTime>, EndBeyondTime> {
        self.settle();
        match self.ends.first() {
            None => Ok(None),
            Some((u64::MAX, class)) => {
                let Reverse(next) =
                    self.classes[class as usize].flows.peek().expect("a class with an end has flows");
                Err(EndBeyondTime { tag: next.tag })
            }
            Some((end, _)) => Ok(Some(SimTime::from_ps(end))),
        }
    }

    /// Takes away the flows that end at `now` and appends their tags in the order of their starts.
    ///
    /// # Panics
    ///
    /// When `now` is later than [`Network::next_end`] or earlier than in a call before.
    pub fn pop_ended(&mut self, now: SimTime, tags: &mut Vec<u64>) {
        self.move_to(now);
        let mut ended = std::mem::take(&mut self.ended);
        while let Some((end, class)) = self.ends.first().filter(|(end, _)| *end <= now.as_ps()) {
            assert_eq!(end, now.as_ps(), "no end is left behind");
            self.ends.set(class, None);
            let state = &mut self.classes[class as usize];
            let service = if state.rate == UNLIMITED { u128::MAX } else { state.service_at(now) };
            while state.flows.peek().is_some_and(|Reverse(flow)| flow.service <= service) {
                let Some(Reverse(flow)) = state.flows.pop() else { break };
                ended.push((flow.start_idx, flow.tag));
                self.solver.remove_flow(class);
                self.n_flows -= 1;
                if let Some(watch) = &mut self.watch {
                    watch.end(class, now, flow.tag);
                }
            }
            if let (Some(watch), true) = (&mut self.watch, state.flows.is_empty()) {
                watch.clear(class);
            }
            self.touch(class);
        }
        ended.sort_unstable();
        tags.extend(ended.drain(..).map(|(_, tag)| tag));
        self.ended = ended;
    }

    /// Takes away the flows under way whose tag `is_cancelled`.
    ///
    /// # Panics
    ///
    /// When `now` is earlier than in a call before.
    pub fn cancel(&mut self, now: SimTime, is_cancelled: impl Fn(u64) -> bool) {
        self.move_to(now);
        for class in 0..index(self.classes.len()) {
            let flows = &mut self.classes[class as usize].flows;
            let n_before = flows.len();
            flows.retain(|Reverse(flow)| !is_cancelled(flow.tag));
            let n_cancelled = n_before - flows.len();
            for _ in 0..n_cancelled {
                self.solver.remove_flow(class);
                self.n_flows -= 1;
            }
            if n_cancelled > 0 {
                self.touch(class);
            }
        }
    }

    /// Lets time pass until `now`, at the rates of the starts and ends so far.
    fn move_to(&mut self, now: SimTime) {
        if now != self.now {
            assert!(self.now < now, "the network moved to the past: {now:?} < {:?}", self.now);
            self.settle();
            self.now = now;
        }
    }

    /// Solves rates and finds ends after the starts and ends of this instant.
    fn settle(&mut self) {
        let Self { now, classes, solver, ends, touched, grain_ps, watch, .. } = self;
        let n_touched = touched.len();
        solver.solve(touched);
        for &class in &touched[n_touched..] {
            classes[class as usize].set_rate(*now, solver.rate(class));
        }
        if let Some(watch) = watch {
            for &class in touched.iter() {
                let (rate, by, hops) = solver.load(class);
                watch.note((class, *now), rate, by, hops);
            }
            watch.settle(*now);
        }
        for class in touched.drain(..) {
            classes[class as usize].is_touched = false;
            ends.set(class, classes[class as usize].next_end(*now, *grain_ps));
        }
    }

    fn touch(&mut self, class: u32) {
        if !std::mem::replace(&mut self.classes[class as usize].is_touched, true) {
            self.touched.push(class);
        }
    }

    /// The class of flows on `path` with this cap, made when it is new.
    fn class(&mut self, path: PathId, cap: u64) -> u32 {
        let Route { hops, classes } = &mut self.routes[self.paths[path.0 as usize] as usize];
        match classes.binary_search_by_key(&cap, |&(cap, _)| cap) {
            Ok(at) => classes[at].1,
            Err(at) => {
                let class = self.solver.add_class(hops, cap);
                classes.insert(at, (cap, class));
                // Most classes of a large set have one flow at a time.
                let flows = BinaryHeap::with_capacity(1);
                self.classes.push(Class { rate: 0, service: 0, since: self.now, flows, is_touched: false });
                self.ends.add_class();
                class
            }
        }
    }
}

/// The first multiple of the grain from `end` on.
fn noticed(end: u64, grain_ps: u64) -> u64 {
    if grain_ps == 1 { end } else { end.checked_next_multiple_of(grain_ps).unwrap_or(u64::MAX) }
}

/// Each link once, in order.
fn merged(hops: &[Hop]) -> Vec<Hop> {
    let mut merged = hops.to_vec();
    merged.sort_unstable();
    merged.dedup_by(|next, kept| {
        if next.link != kept.link {
            return false;
        }
        kept.multiplicity =
            kept.multiplicity.checked_add(next.multiplicity).expect("a multiplicity is a small number");
        true
    });
    merged
}

/// FNV-1a over the numbers in `hops`.
fn hash(hops: &[Hop]) -> u64 {
    let numbers = hops.iter().flat_map(|hop| [hop.link.0, hop.multiplicity]);
    numbers.fold(0xcbf2_9ce4_8422_2325, |hash: u64, number| {
        (hash ^ u64::from(number)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A position as it is stored.
fn index(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 paths and classes")
}
