//! Progressive filling: all rates rise together, and each class stops where its first link is full.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::network::rate::UNLIMITED;
use crate::network::solver::{ClassHop, Solver};

/// What a filling still has to give.
struct Filling {
    /// Capacity that no stopped class takes, for each link.
    left: Vec<u64>,
    /// Weight of the classes that still rise, for each link.
    weights: Vec<u64>,
    /// Whether a class has stopped.
    stopped: Vec<bool>,
    /// Links by the rate at which they are full, as known when they were put here: it only ever rises.
    queue: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Solver {
    /// Solves all rates anew.
    pub(super) fn fill(&mut self) {
        let mut filling = self.start_filling();
        let mut capped: Vec<_> =
            self.active.iter().map(|&class| (self.classes[class as usize].cap, class)).collect();
        capped.retain(|&(cap, _)| cap < UNLIMITED);
        capped.sort_unstable();
        let mut capped = capped.into_iter().peekable();
        while let Some(Reverse((level, link))) = filling.queue.pop() {
            if let Some((cap, class)) = capped.next_if(|&(cap, _)| cap <= level) {
                filling.queue.push(Reverse((level, link)));
                self.stop(&mut filling, class, cap);
                continue;
            }
            let weight = filling.weights[link as usize];
            if weight == 0 {
                continue;
            }
            let now = filling.left[link as usize] / weight;
            if now > level {
                filling.queue.push(Reverse((now, link)));
                continue;
            }
            for member in 0..self.links[link as usize].members.len() {
                let hop = self.links[link as usize].members[member].hop;
                self.stop(&mut filling, self.hops[hop as usize].class, level);
            }
        }
    }

    fn start_filling(&self) -> Filling {
        let of = |(link, idx): (&crate::network::solver::Link, u32)| {
            (link.weight > 0).then(|| Reverse((link.capacity / link.weight, idx)))
        };
        Filling {
            left: self.links.iter().map(|link| link.capacity).collect(),
            weights: self.links.iter().map(|link| link.weight).collect(),
            stopped: vec![false; self.classes.len()],
            queue: self.links.iter().zip(0..).filter_map(of).collect(),
        }
    }

    /// `class` stays at `rate`.
    fn stop(&mut self, filling: &mut Filling, class: u32, rate: u64) {
        if std::mem::replace(&mut filling.stopped[class as usize], true) {
            return;
        }
        let n_flows = self.classes[class as usize].n_flows;
        for hop in self.hops_of(class) {
            let ClassHop { link, multiplicity, .. } = self.hops[hop];
            let weight = n_flows * u64::from(multiplicity);
            filling.left[link as usize] -= weight * rate;
            filling.weights[link as usize] -= weight;
        }
        self.set_rate(class, rate);
    }
}
