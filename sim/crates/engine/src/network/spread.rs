//! Spreading of changes: the level of one link is found from the levels of its neighbours, and where it
//! changes, neighbours whose level depends on it are looked at in turn.
//!
//! A fixed point is a max-min fair allocation: each class is slowed by the link with the least level, which
//! is full, and on which no class is faster. An event changes few levels, so most of the network
//! is never looked at. Nothing bounds the number of steps but the count of visits, beyond which filling
//! takes over.

use std::cmp::Reverse;

use crate::network::rate::UNLIMITED;
use crate::network::solver::{ClassHop, Link, Member, Solver, index};

/// Visits of members that cost as much as filling does for each member.
const VISITS_PER_MEMBER: usize = 2;

/// Members of a network that is large enough for changes to be counted and filled instead.
const LARGE: usize = 2048;

/// Changes that are filled after one that went through most of a large network.
const N_FILLS: u32 = 64;

/// Links that cost filling as much as one visit does.
const LINKS_PER_VISIT: usize = 4;

impl Solver {
    /// Brings all levels up to date; `false` if that takes longer than filling.
    pub(super) fn spread(&mut self) -> bool {
        let mut n_visits_left = VISITS_PER_MEMBER * self.n_members + self.links.len() / LINKS_PER_VISIT;
        // Where most of the network changes at once, as at the start of an all-to-all, do not even try.
        let n_members_of =
            |Reverse((_, link)): &Reverse<(u64, u32)>| self.links[*link as usize].members.len();
        if self.dirty.iter().map(n_members_of).sum::<usize>() > self.n_members / 2 + self.links.len() {
            return false;
        }
        let n_visits = n_visits_left;
        let is_done = self.visit(&mut n_visits_left);
        // Where all links are nearly equally busy, each change moves nearly all rates a little, and filling is faster.
        if self.n_members > LARGE && n_visits - n_visits_left > self.n_members / 2 {
            self.n_fills_left = N_FILLS;
        }
        is_done
    }

    /// Looks at dirty links until none is left; `false` if that takes more visits than are left.
    fn visit(&mut self, n_visits_left: &mut usize) -> bool {
        while let Some(Reverse((old, idx))) = self.dirty.pop() {
            let link = &mut self.links[idx as usize];
            link.is_dirty = false;
            if old == UNLIMITED && link.used <= u128::from(link.capacity) {
                continue;
            }
            let Some(left) = n_visits_left.checked_sub(2 * link.members.len()) else { return false };
            *n_visits_left = left;
            let (new, used) = link.find_level(old);
            link.used = used;
            if new != old {
                self.levels[idx as usize] = new;
                self.tell_neighbours(idx);
            }
        }
        true
    }

    /// Takes the new level of `link` into account everywhere.
    fn tell_neighbours(&mut self, link: u32) {
        for member in 0..self.links[link as usize].members.len() {
            let Member { hop: own_hop, class, .. } = self.links[link as usize].members[member];
            let least = self.least_levels(class);
            for hop in self.hops_of(class) {
                if hop != own_hop as usize {
                    self.set_bound(hop, least.without(index(hop)));
                }
            }
            self.set_rate(class, least.first);
        }
    }

    /// The other links of a hop's class allow it `bound`.
    fn set_bound(&mut self, hop: usize, bound: u64) {
        let ClassHop { link: idx, member_idx, .. } = self.hops[hop];
        let link = &mut self.links[idx as usize];
        let Member { weight, bound: kept, .. } = &mut link.members[member_idx as usize];
        let old = std::mem::replace(kept, bound);
        let level = self.levels[idx as usize];
        if level == UNLIMITED {
            let weight = u128::from(*weight);
            link.used = link.used + weight * u128::from(bound) - weight * u128::from(old);
        } else if old.min(bound) >= level {
            return; // It took and takes the level, whatever others allow.
        }
        if old != bound {
            self.mark_dirty(idx);
        }
    }
}

impl Link {
    /// The largest level at which the members take no more than the capacity, and what members take that
    /// are bound below it; `hint` is a level that may be near.
    ///
    /// What members take is a concave function of the level, so Newton's method, from wherever it starts,
    /// continues below the level sought and rises to it.
    fn find_level(&self, hint: u64) -> (u64, u128) {
        if self.weight == 0 {
            return (UNLIMITED, 0);
        }
        let capacity = u128::from(self.capacity);
        let mut level = if hint == UNLIMITED { self.capacity / self.weight } else { hint };
        loop {
            let mut used = 0u128;
            let mut rising = 0u64;
            for member in &self.members {
                if member.bound <= level {
                    used += u128::from(member.weight) * u128::from(member.bound);
                } else {
                    rising += member.weight;
                }
            }
            if used > capacity {
                level = self.capacity / self.weight; // The hint was above the level sought; this is not.
                continue;
            }
            let left = u64::try_from(capacity - used).expect("no more than the capacity");
            match left.checked_div(rising) {
                None => return (UNLIMITED, used),
                Some(next) if next == level => return (level, used),
                Some(next) => level = next,
            }
        }
    }
}
