//! Progressive filling where each class crosses one link or two, as behind switches: links with the weight that each shares with
//! others are all that has to be looked at, in a few contiguous numbers. Levels and rates are those of `fill`.

use std::cmp::Reverse;

use crate::network::rate::UNLIMITED;
use crate::network::solver::{ClassHop, Filling, Pair, Solver};

impl Solver {
    /// True if links and what they share say it all: no class has a cap or crosses more than two links.
    pub(super) fn is_of_pairs(&self) -> bool {
        self.n_capped == 0 && self.n_long == 0
    }

    /// The share of `class` beyond `hop`, one of its two.
    pub(super) fn pair(&self, class: u32, hop: usize) -> Pair {
        let hops = self.hops_of(class);
        let other = if hop == hops.start { hops.end - 1 } else { hops.start };
        let ClassHop { link, multiplicity, .. } = self.hops[other];
        let weight = self.classes[class as usize].n_flows * u64::from(multiplicity);
        Pair { other: link, weight: u32::try_from(weight).expect("fewer than 2^32 crossings by one class") }
    }

    /// Finds all levels and rates anew.
    pub(super) fn fill_pairs(&mut self, filling: &mut Filling) {
        let Self { links, levels, .. } = self;
        while let Some(Reverse((level, link))) = filling.queue.pop() {
            let (left, weight) = filling.links[link as usize];
            if weight == 0 {
                continue;
            }
            let risen = left / weight;
            if risen > level {
                filling.queue.push(Reverse((risen, link)));
                continue;
            }
            levels[link as usize] = level;
            for &Pair { other, weight } in &links[link as usize].pairs {
                if levels[other as usize] == UNLIMITED {
                    let (left, rising) = &mut filling.links[other as usize];
                    *left -= u64::from(weight) * level;
                    *rising -= u64::from(weight);
                }
            }
        }
        for idx in 0..self.active.len() {
            let class = self.active[idx];
            let [one, two] = self.ends[class as usize];
            self.set_rate(class, self.levels[one as usize].min(self.levels[two as usize]));
        }
    }
}
