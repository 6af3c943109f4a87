//! What links carry, and which of them hold flows back: noted only where somebody asks.

use masim_units::SimTime;

use crate::graph::LinkId;
use crate::network::rate::UNLIMITED;

/// What one link carried.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkLoad {
    /// Largest rate in the watched stretch of time, as a share of its nominal bandwidth.
    pub peak: f64,
    /// Seconds in which anything crossed it, in that stretch or outside.
    pub busy_s: f64,
}

/// Which link held a flow back for longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The tag of the flow, which has ended.
    pub tag: u64,
    /// The link; `None` where its cap did, or nothing.
    pub link: Option<LinkId>,
}

/// Notes of all links and classes.
#[derive(Debug)]
pub(super) struct Watch {
    /// Peaks count from the first and before the second.
    within: (SimTime, SimTime),
    links: Vec<Load>,
    classes: Vec<Held>,
    /// Links whose load changed at this instant.
    changed: Vec<u32>,
    pub(super) limits: Vec<Limit>,
}

/// The load of a link, in rate units.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    rate: u64,
    /// What `rate` was when this instant began, and since when.
    held: (u64, SimTime),
    peak: u64,
    busy_ps: u64,
    busy_since: u64,
}

/// What holds a class back.
#[derive(Clone, Debug, Default)]
struct Held {
    /// What all its flows take.
    rate: u64,
    by: u32,
    since: u64,
    /// Picoseconds by link since the class was last empty; few links ever hold a class back.
    times: Vec<(u32, u64)>,
}

/// A link that stands for none.
const NONE: u32 = u32::MAX;

impl Watch {
    pub(super) fn new(n_links: usize, within: (SimTime, SimTime)) -> Self {
        let links = vec![Load::default(); n_links];
        Self { within, links, classes: Vec::new(), changed: Vec::new(), limits: Vec::new() }
    }

    /// The flows of `class` take `rate` together from now on, held back `by` a link, over these links.
    pub(super) fn note(
        &mut self,
        (class, now): (u32, SimTime),
        rate: u64,
        by: Option<u32>,
        hops: impl Iterator<Item = (u32, u32)>,
    ) {
        let at = class as usize;
        if self.classes.len() <= at {
            self.classes.resize(at + 1, Held { by: NONE, ..Held::default() });
        }
        let held = &mut self.classes[at];
        held.close(now);
        held.by = by.unwrap_or(NONE);
        let before = std::mem::replace(&mut held.rate, rate);
        if before == rate || rate == UNLIMITED {
            return;
        }
        for (link, multiplicity) in hops {
            let load = &mut self.links[link as usize];
            // Never less than nothing: what comes later in this instant may take away before it adds.
            load.rate =
                load.rate.wrapping_add(u64::from(multiplicity).wrapping_mul(rate.wrapping_sub(before)));
            self.changed.push(link);
        }
    }

    /// All changes of this instant are noted.
    pub(super) fn settle(&mut self, now: SimTime) {
        for link in self.changed.drain(..) {
            let load = &mut self.links[link as usize];
            let is_busy = load.busy_since != 0;
            let (held, since) = std::mem::replace(&mut load.held, (load.rate, now));
            if since < now && since < self.within.1 && now > self.within.0 {
                load.peak = load.peak.max(held);
            }
            match (is_busy, load.rate > 0) {
                // Instants are counted from 1, so that 0 stands for none.
                (false, true) => load.busy_since = now.as_ps() + 1,
                (true, false) => {
                    load.busy_ps += now.as_ps() + 1 - load.busy_since;
                    load.busy_since = 0;
                }
                (true, true) | (false, false) => {}
            }
        }
    }

    /// A flow of `class` ends now.
    pub(super) fn end(&mut self, class: u32, now: SimTime, tag: u64) {
        let link = self.classes.get_mut(class as usize).and_then(|held| {
            held.close(now);
            // Of equals the first.
            let longest = held.times.iter().max_by_key(|&&(link, ps)| (ps, std::cmp::Reverse(link)));
            longest.map(|&(link, _)| LinkId(link))
        });
        self.limits.push(Limit { tag, link: link.filter(|link| link.0 != NONE) });
    }

    /// `class` has no flows left.
    pub(super) fn clear(&mut self, class: u32) {
        if let Some(held) = self.classes.get_mut(class as usize) {
            held.times.clear();
        }
    }

    /// What each link carried.
    pub(super) fn loads<'a>(&'a self, nominal: &'a [u64]) -> impl Iterator<Item = LinkLoad> + 'a {
        self.links.iter().zip(nominal).map(|(load, &nominal)| LinkLoad {
            peak: load.peak as f64 / nominal as f64,
            busy_s: load.busy_ps as f64 * 1e-12,
        })
    }
}

impl Held {
    /// Enters the time until now.
    fn close(&mut self, now: SimTime) {
        let ps = now.as_ps() - self.since;
        self.since = now.as_ps();
        if self.rate == 0 || ps == 0 {
            return;
        }
        match self.times.iter_mut().find(|(link, _)| *link == self.by) {
            Some((_, sum)) => *sum += ps,
            None => self.times.push((self.by, ps)),
        }
    }
}
