//! Progressive filling: all rates rise together, and each class stops where its first link is full.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::network::rate::UNLIMITED;
use crate::network::solver::{ClassHop, Filling, Solver, index};

impl Solver {
    /// Finds all levels and rates anew.
    pub(super) fn fill(&mut self) {
        let mut filling = std::mem::take(&mut self.filling);
        self.start_filling(&mut filling);
        if self.is_of_pairs() {
            self.fill_pairs(&mut filling);
        } else {
            self.fill_classes(&mut filling);
        }
        self.filling = filling;
        self.dirty.clear();
        for link in &mut self.links {
            link.is_dirty = false;
        }
        self.is_stale = true;
        if self.n_fills_left == 0 {
            self.refresh();
        }
    }

    /// Class after class, over any number of links.
    pub(super) fn fill_classes(&mut self, filling: &mut Filling) {
        while let Some(Reverse((level, link))) = filling.queue.pop() {
            if let Some((cap, class)) = filling.capped.pop_if(|(cap, _)| *cap <= level) {
                filling.queue.push(Reverse((level, link)));
                self.stop(filling, class, cap);
                continue;
            }
            let (left, weight) = filling.links[link as usize];
            if weight == 0 {
                continue;
            }
            let risen = left / weight;
            if risen > level {
                filling.queue.push(Reverse((risen, link)));
                continue;
            }
            self.levels[link as usize] = level;
            for member in 0..self.links[link as usize].members.len() {
                let class = self.links[link as usize].members[member].class;
                self.stop(filling, class, level);
            }
        }
    }

    fn start_filling(&mut self, filling: &mut Filling) {
        let Filling { links, stopped, queue, capped } = filling;
        links.clear();
        links.extend(self.links.iter().map(|link| (link.capacity, link.weight)));
        stopped.clear();
        stopped.resize(self.classes.len(), false);
        let mut keys = std::mem::take(queue).into_vec();
        keys.clear();
        let loaded = links.iter().zip(0..).filter(|((_, weight), _)| *weight > 0);
        keys.extend(loaded.map(|(&(capacity, weight), link)| Reverse((capacity / weight, link))));
        *queue = BinaryHeap::from(keys);
        capped.clear();
        if self.n_capped > 0 {
            let caps = self.active.iter().map(|&class| (self.classes[class as usize].cap, class));
            capped.extend(caps.filter(|&(cap, _)| cap < UNLIMITED));
            capped.sort_unstable_by_key(|&cap| Reverse(cap));
        }
        self.levels.fill(UNLIMITED);
    }

    /// `class` stays at `rate`.
    fn stop(&mut self, filling: &mut Filling, class: u32, rate: u64) {
        if std::mem::replace(&mut filling.stopped[class as usize], true) {
            return;
        }
        self.set_rate(class, rate);
        let n_flows = self.classes[class as usize].n_flows;
        for hop in self.hops_of(class) {
            let ClassHop { link, multiplicity, .. } = self.hops[hop];
            let added = n_flows * u64::from(multiplicity);
            let (left, weight) = &mut filling.links[link as usize];
            *left -= added * rate;
            *weight -= added;
        }
    }

    /// Brings members in line with the levels that were filled. Spreading alone asks them: where one filling follows
    /// the other, that can wait.
    pub(super) fn refresh(&mut self) {
        self.is_stale = false;
        for link in &mut self.links {
            link.used = 0;
        }
        for idx in 0..self.active.len() {
            let class = self.active[idx];
            let least = self.least_levels(class);
            for hop in self.hops_of(class) {
                let ClassHop { link, member_idx, .. } = self.hops[hop];
                let link = &mut self.links[link as usize];
                let member = &mut link.members[member_idx as usize];
                member.bound = least.without(index(hop));
                link.used += u128::from(member.weight) * u128::from(member.bound);
            }
        }
    }
}
