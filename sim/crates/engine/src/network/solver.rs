//! The rates of all classes of flows on their links, max-min fair.
//!
//! Each link has a *level*: the rate that it leaves to those of its flows which no other link or cap
//! slows down more, unlimited if it does not saturate. The rate of a class is the least level of its
//! links, or its cap. Two rules find the levels: a change spreads from link to link (`spread`), or,
//! where much changes at once, everything is filled anew (`fill`). Counts of visits choose, so that equal
//! inputs give equal rates.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::graph::Hop;
use crate::network::rate::UNLIMITED;

/// The rates of flows that are equal in path and cap, and the links that they share.
#[derive(Debug)]
pub(super) struct Solver {
    pub(super) links: Vec<Link>,
    pub(super) classes: Vec<Class>,
    /// The hops of all classes, one class after the other.
    pub(super) hops: Vec<ClassHop>,
    /// The level of each link.
    pub(super) levels: Vec<u64>,
    /// Classes with flows on at least one link, in no particular order.
    pub(super) active: Vec<u32>,
    /// The members of all links together.
    pub(super) n_members: usize,
    /// Active classes with a cap.
    pub(super) n_capped: usize,
    /// Active classes over more than two links.
    pub(super) n_long: usize,
    /// The rate of each class.
    rates: Vec<u64>,
    /// The first and the last link of each class; zero where it has none.
    pub(super) ends: Vec<[u32; 2]>,
    /// Classes whose rate may have changed, each once.
    changed: Vec<u32>,
    /// Links whose level may be wrong, the lowest level first.
    pub(super) dirty: BinaryHeap<Reverse<(u64, u32)>>,
    /// Kept to save its allocations.
    pub(super) filling: Filling,
    /// True if what members know of other links, and use of links, are from before the last filling.
    pub(super) is_stale: bool,
    /// Changes that are filled without an attempt to spread them, because the last attempts went through most of a large network.
    pub(super) n_fills_left: u32,
}

/// Share of a class of one link that it takes of another link too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    /// The other link; the link itself if there is none.
    pub(super) other: u32,
    /// The weight of the class there.
    pub(super) weight: u32,
}

/// What is known of a link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) capacity: u64,
    /// Crossings by all flows at once.
    pub(super) weight: u64,
    /// What the members take, kept up to date while the level is unlimited.
    pub(super) used: u128,
    pub(super) is_dirty: bool,
    pub(super) members: Vec<Member>,
    /// Share of each member with its last link, or with its first where that is this one.
    pub(super) pairs: Vec<Pair>,
}

/// A class that crosses a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Flows of the class times crossings per flow.
    pub(super) weight: u64,
    /// The least level of the class's other links, or its cap.
    pub(super) bound: u64,
    /// Which of all hops this is.
    pub(super) hop: u32,
    pub(super) class: u32,
}

/// Flows with one rate.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) first_hop: u32,
    pub(super) end_hop: u32,
    pub(super) n_flows: u64,
    /// No flow of the class is faster.
    pub(super) cap: u64,
    is_changed: bool,
    /// Where it stands in the list of active classes.
    active_idx: u32,
}

/// One link of the path of a class.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassHop {
    pub(super) link: u32,
    pub(super) multiplicity: u32,
    /// Where the class stands among the link's members.
    pub(super) member_idx: u32,
}

/// What a filling still has to give.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// Capacity that no stopped class takes, and weight of the classes that still rise, for each link.
    pub(super) links: Vec<(u64, u64)>,
    /// True if a class has stopped.
    pub(super) stopped: Vec<bool>,
    /// Links by the level at which they are full, as known when they were put here: it only ever rises.
    pub(super) queue: BinaryHeap<Reverse<(u64, u32)>>,
    /// Classes with a cap, the largest first.
    pub(super) capped: Vec<(u64, u32)>,
}

/// What limits a class.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeastLevels {
    pub(super) first: u64,
    /// The hop with the first; no hop if it is the cap.
    at: u32,
    second: u64,
}

impl LeastLevels {
    /// The least without `hop`.
    pub(super) fn without(self, hop: u32) -> u64 {
        if hop == self.at { self.second } else { self.first }
    }
}

impl Solver {
    /// Links of these capacities, and no flows.
    pub(super) fn new(capacities: impl Iterator<Item = u64>) -> Self {
        let link = |capacity| Link {
            capacity,
            weight: 0,
            used: 0,
            is_dirty: false,
            members: Vec::new(),
            pairs: Vec::new(),
        };
        let links: Vec<_> = capacities.map(link).collect();
        Self {
            levels: vec![UNLIMITED; links.len()],
            links,
            classes: Vec::new(),
            hops: Vec::new(),
            active: Vec::new(),
            n_members: 0,
            n_capped: 0,
            n_long: 0,
            rates: Vec::new(),
            ends: Vec::new(),
            changed: Vec::new(),
            dirty: BinaryHeap::new(),
            filling: Filling::default(),
            is_stale: false,
            n_fills_left: 0,
        }
    }

    /// A class without flows; `hops` names each link at most once.
    pub(super) fn add_class(&mut self, hops: &[Hop], cap: u64) -> u32 {
        let class = index(self.classes.len());
        let first_hop = index(self.hops.len());
        self.hops.extend(hops.iter().map(|hop| ClassHop {
            link: hop.link.0,
            multiplicity: hop.multiplicity,
            member_idx: 0,
        }));
        let end_hop = index(self.hops.len());
        self.rates.push(0);
        let [first, last] = [hops.first(), hops.last()].map(|hop| hop.map_or(0, |hop| hop.link.0));
        self.ends.push([first, last]);
        self.classes.push(Class { first_hop, end_hop, n_flows: 0, cap, is_changed: false, active_idx: 0 });
        class
    }

    /// The rate of each flow of `class`, as last solved.
    pub(super) fn rate(&self, class: u32) -> u64 {
        self.rates[class as usize]
    }

    /// What all flows of `class` take together, which link holds them back, and what they cross how often.
    pub(super) fn load(&self, class: u32) -> (u64, Option<u32>, impl Iterator<Item = (u32, u32)> + '_) {
        let (rate, n_flows) = (self.rate(class), self.classes[class as usize].n_flows);
        let hops = self.hops_of(class);
        let by = self.least_levels(class).at;
        let link = self.hops.get(by as usize).filter(|_| n_flows > 0).map(|hop| hop.link);
        let taken = if hops.is_empty() { 0 } else { rate.saturating_mul(n_flows) };
        (taken, link, self.hops[hops].iter().map(|hop| (hop.link, hop.multiplicity)))
    }

    /// One more flow of `class`.
    pub(super) fn add_flow(&mut self, class: u32) {
        self.classes[class as usize].n_flows += 1;
        if self.classes[class as usize].n_flows == 1 {
            self.activate(class);
        }
        for hop in self.hops_of(class) {
            let pair = self.pair(class, hop);
            let ClassHop { link: idx, multiplicity, member_idx, .. } = self.hops[hop];
            let link = &mut self.links[idx as usize];
            let member = &mut link.members[member_idx as usize];
            link.weight += u64::from(multiplicity);
            member.weight += u64::from(multiplicity);
            link.pairs[member_idx as usize] = pair;
            if self.levels[idx as usize] == UNLIMITED && !self.is_stale {
                link.used += u128::from(multiplicity) * u128::from(member.bound);
            }
            self.mark_dirty(idx);
        }
    }

    /// One flow of `class` less.
    pub(super) fn remove_flow(&mut self, class: u32) {
        self.classes[class as usize].n_flows -= 1;
        for hop in self.hops_of(class) {
            let pair = self.pair(class, hop);
            let ClassHop { link: idx, multiplicity, member_idx, .. } = self.hops[hop];
            let link = &mut self.links[idx as usize];
            let member = &mut link.members[member_idx as usize];
            link.weight -= u64::from(multiplicity);
            member.weight -= u64::from(multiplicity);
            link.pairs[member_idx as usize] = pair;
            if self.levels[idx as usize] == UNLIMITED && !self.is_stale {
                link.used -= u128::from(multiplicity) * u128::from(member.bound);
            }
            self.mark_dirty(idx);
        }
        if self.classes[class as usize].n_flows == 0 {
            self.deactivate(class);
        }
    }

    /// Gives `link` another capacity.
    pub(super) fn set_capacity(&mut self, link: u32, capacity: u64) {
        self.links[link as usize].capacity = capacity;
        self.mark_dirty(link);
    }

    /// Brings all rates up to date and appends the classes whose rate may have changed to `changed`.
    pub(super) fn solve(&mut self, changed: &mut Vec<u32>) {
        let fills_at_once = self.n_fills_left > 0 && !self.dirty.is_empty();
        self.n_fills_left -= u32::from(fills_at_once);
        if fills_at_once || !self.spread() {
            self.fill();
        }
        for &class in &self.changed {
            self.classes[class as usize].is_changed = false;
        }
        changed.append(&mut self.changed);
    }

    /// Remembers that the level of `link` may be wrong.
    pub(super) fn mark_dirty(&mut self, idx: u32) {
        let level = self.levels[idx as usize];
        let link = &mut self.links[idx as usize];
        let fits = level == UNLIMITED && !self.is_stale && link.used <= u128::from(link.capacity);
        if !fits && !link.is_dirty {
            link.is_dirty = true;
            self.dirty.push(Reverse((level, idx)));
        }
    }

    /// The least rate that a link or the cap allows to `class`, on which hop, and the next larger one.
    pub(super) fn least_levels(&self, class: u32) -> LeastLevels {
        let Class { first_hop, end_hop, cap, .. } = self.classes[class as usize];
        let mut least = LeastLevels { first: cap, at: u32::MAX, second: UNLIMITED };
        for hop in first_hop..end_hop {
            let level = self.levels[self.hops[hop as usize].link as usize];
            if level < least.first {
                least = LeastLevels { first: level, at: hop, second: least.first };
            } else if level < least.second {
                least.second = level;
            }
        }
        least
    }

    /// Sets the rate of `class` and remembers that it changed.
    pub(super) fn set_rate(&mut self, class: u32, rate: u64) {
        let old = std::mem::replace(&mut self.rates[class as usize], rate);
        if old != rate && !std::mem::replace(&mut self.classes[class as usize].is_changed, true) {
            self.changed.push(class);
        }
    }

    /// The positions of the hops of `class`.
    pub(super) fn hops_of(&self, class: u32) -> std::ops::Range<usize> {
        let Class { first_hop, end_hop, .. } = self.classes[class as usize];
        first_hop as usize..end_hop as usize
    }

    fn activate(&mut self, class: u32) {
        if self.hops_of(class).is_empty() {
            self.set_rate(class, self.classes[class as usize].cap);
            return;
        }
        self.classes[class as usize].active_idx = index(self.active.len());
        self.active.push(class);
        let least = self.least_levels(class);
        self.set_rate(class, least.first);
        self.n_members += self.hops_of(class).len();
        self.n_capped += usize::from(self.classes[class as usize].cap < UNLIMITED);
        self.n_long += usize::from(self.hops_of(class).len() > 2);
        for hop in self.hops_of(class) {
            let members = &mut self.links[self.hops[hop].link as usize].members;
            self.hops[hop].member_idx = index(members.len());
            let bound = least.without(index(hop));
            members.push(Member { weight: 0, bound, hop: index(hop), class });
            let pair = self.pair(class, hop);
            self.links[self.hops[hop].link as usize].pairs.push(pair);
        }
    }

    fn deactivate(&mut self, class: u32) {
        self.set_rate(class, 0);
        if self.hops_of(class).is_empty() {
            return;
        }
        let active_idx = self.classes[class as usize].active_idx;
        self.active.swap_remove(active_idx as usize);
        if let Some(&moved) = self.active.get(active_idx as usize) {
            self.classes[moved as usize].active_idx = active_idx;
        }
        self.n_members -= self.hops_of(class).len();
        self.n_capped -= usize::from(self.classes[class as usize].cap < UNLIMITED);
        self.n_long -= usize::from(self.hops_of(class).len() > 2);
        for hop in self.hops_of(class) {
            let ClassHop { link, member_idx, .. } = self.hops[hop];
            let Link { members, pairs, .. } = &mut self.links[link as usize];
            members.swap_remove(member_idx as usize);
            pairs.swap_remove(member_idx as usize);
            if let Some(moved) = members.get(member_idx as usize) {
                self.hops[moved.hop as usize].member_idx = member_idx;
            }
        }
    }
}

/// A position as it is stored.
pub(super) fn index(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 classes and hops")
}
