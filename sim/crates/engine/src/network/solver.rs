//! The rates of all classes of flows on their links, max-min fair.

use crate::graph::Hop;
use crate::network::rate::UNLIMITED;

/// The rates of flows that are equal in path and cap, and the links that they share.
#[derive(Debug)]
pub(super) struct Solver {
    pub(super) links: Vec<Link>,
    pub(super) classes: Vec<Class>,
    /// The hops of all classes, one class after the other.
    pub(super) hops: Vec<ClassHop>,
    /// Classes with flows on at least one link, in no particular order.
    pub(super) active: Vec<u32>,
    /// Classes whose rate may have changed, each once.
    changed: Vec<u32>,
    dirty: bool,
}

/// What is known of a link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) capacity: u64,
    /// Crossings by all flows at once.
    pub(super) weight: u64,
    pub(super) members: Vec<Member>,
}

/// A class that crosses a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Flows of the class times crossings per flow.
    pub(super) weight: u64,
    /// Which of all hops this is.
    pub(super) hop: u32,
}

/// Flows with one rate.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) first_hop: u32,
    pub(super) end_hop: u32,
    pub(super) n_flows: u64,
    /// No flow of the class is faster.
    pub(super) cap: u64,
    pub(super) rate: u64,
    is_changed: bool,
    /// Where it stands in the list of active classes.
    active_idx: u32,
}

/// One link of the path of a class.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassHop {
    pub(super) class: u32,
    pub(super) link: u32,
    pub(super) multiplicity: u32,
    /// Where the class stands among the link's members.
    pub(super) member_idx: u32,
}

impl Solver {
    /// Links of these capacities, and no flows.
    pub(super) fn new(capacities: impl Iterator<Item = u64>) -> Self {
        let link = |capacity| Link { capacity, weight: 0, members: Vec::new() };
        Self {
            links: capacities.map(link).collect(),
            classes: Vec::new(),
            hops: Vec::new(),
            active: Vec::new(),
            changed: Vec::new(),
            dirty: false,
        }
    }

    /// A class without flows; `hops` names each link at most once.
    pub(super) fn add_class(&mut self, hops: &[Hop], cap: u64) -> u32 {
        let class = index(self.classes.len());
        let first_hop = index(self.hops.len());
        self.hops.extend(hops.iter().map(|hop| ClassHop {
            class,
            link: hop.link.0,
            multiplicity: hop.multiplicity,
            member_idx: 0,
        }));
        let end_hop = index(self.hops.len());
        self.classes.push(Class {
            first_hop,
            end_hop,
            n_flows: 0,
            cap,
            rate: 0,
            is_changed: false,
            active_idx: 0,
        });
        class
    }

    /// The rate of each flow of `class`, as last solved.
    pub(super) fn rate(&self, class: u32) -> u64 {
        self.classes[class as usize].rate
    }

    /// One more flow of `class`.
    pub(super) fn add_flow(&mut self, class: u32) {
        self.dirty = true;
        self.classes[class as usize].n_flows += 1;
        if self.classes[class as usize].n_flows == 1 {
            self.activate(class);
        }
        for hop in self.hops_of(class) {
            let ClassHop { link, multiplicity, member_idx, .. } = self.hops[hop];
            let link = &mut self.links[link as usize];
            link.weight += u64::from(multiplicity);
            link.members[member_idx as usize].weight += u64::from(multiplicity);
        }
    }

    /// One flow of `class` less.
    pub(super) fn remove_flow(&mut self, class: u32) {
        self.dirty = true;
        for hop in self.hops_of(class) {
            let ClassHop { link, multiplicity, member_idx, .. } = self.hops[hop];
            let link = &mut self.links[link as usize];
            link.weight -= u64::from(multiplicity);
            link.members[member_idx as usize].weight -= u64::from(multiplicity);
        }
        self.classes[class as usize].n_flows -= 1;
        if self.classes[class as usize].n_flows == 0 {
            self.deactivate(class);
        }
    }

    /// Gives `link` another capacity.
    pub(super) fn set_capacity(&mut self, link: u32, capacity: u64) {
        self.links[link as usize].capacity = capacity;
        self.dirty = true;
    }

    /// Brings all rates up to date and appends the classes whose rate may have changed to `changed`.
    pub(super) fn solve(&mut self, changed: &mut Vec<u32>) {
        if self.dirty {
            self.dirty = false;
            self.fill();
        }
        for &class in &self.changed {
            self.classes[class as usize].is_changed = false;
        }
        changed.append(&mut self.changed);
    }

    /// Sets the rate of `class` and remembers that it changed.
    pub(super) fn set_rate(&mut self, class: u32, rate: u64) {
        let Class { rate: old, is_changed, .. } = &mut self.classes[class as usize];
        if *old != rate {
            *old = rate;
            if !*is_changed {
                *is_changed = true;
                self.changed.push(class);
            }
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
        for hop in self.hops_of(class) {
            let members = &mut self.links[self.hops[hop].link as usize].members;
            self.hops[hop].member_idx = index(members.len());
            members.push(Member { weight: 0, hop: index(hop) });
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
        for hop in self.hops_of(class) {
            let ClassHop { link, member_idx, .. } = self.hops[hop];
            let members = &mut self.links[link as usize].members;
            members.swap_remove(member_idx as usize);
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

const _: () = assert!(UNLIMITED == u64::MAX, "an unlimited rate compares above all others");
