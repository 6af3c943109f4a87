//! Shortest paths with a deterministic choice between equals.
//!
//! Cost is (latency, hops). Where several paths to a destination cost the same, every vertex on the way
//! back from the destination has several equal predecessors, ordered by link; number `choice` modulo
//! their count is taken. With the destination's index as the choice this spreads like the forwarding
//! tables of a switch: by destination, so that all traffic to one GPU meets on one spine.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use masim_engine::LinkId;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

/// Latency in picoseconds, then hops.
pub(crate) type Cost = (u64, u32);

/// The cost of what cannot be reached.
const NEVER: Cost = (u64::MAX, u32::MAX);

/// The cheapest ways from one vertex to all that it can reach.
#[derive(Debug)]
pub(crate) struct ShortestPaths<'a, V, L, C> {
    graph: &'a DiGraph<V, LinkId>,
    latency_ps: L,
    may_cross: C,
    start: NodeIndex,
    /// By vertex; [`NEVER`] where no way leads.
    costs: Cow<'a, [Cost]>,
}

impl<'a, V, L: Fn(LinkId) -> u64, C: Fn(&V) -> bool> ShortestPaths<'a, V, L, C> {
    /// Looks from `start`, passing only through vertices that `may_cross`; others can be reached but not crossed.
    pub(crate) fn from(graph: &'a DiGraph<V, LinkId>, latency_ps: L, start: NodeIndex, may_cross: C) -> Self {
        let costs = vec![NEVER; graph.node_count()];
        let mut paths = Self { graph, latency_ps, may_cross, start, costs: Cow::Owned(costs) };
        paths.search();
        paths
    }

    /// The same ways again, from costs that were found before.
    pub(crate) fn again(
        graph: &'a DiGraph<V, LinkId>,
        latency_ps: L,
        start: NodeIndex,
        may_cross: C,
        costs: &'a [Cost],
    ) -> Self {
        Self { graph, latency_ps, may_cross, start, costs: Cow::Borrowed(costs) }
    }

    /// Costs that must be kept to find the same paths again.
    pub(crate) fn into_costs(self) -> Vec<Cost> {
        self.costs.into_owned()
    }

    fn search(&mut self) {
        let mut costs = std::mem::take(&mut self.costs).into_owned();
        let mut queue = BinaryHeap::from([Reverse(((0, 0), self.start))]);
        costs[self.start.index()] = (0, 0);
        while let Some(Reverse((cost, at))) = queue.pop() {
            if costs[at.index()] < cost || !self.crosses(at) {
                continue;
            }
            for edge in self.graph.edges(at) {
                let next = self.after(cost, *edge.weight());
                let known = &mut costs[edge.target().index()];
                if next < *known {
                    *known = next;
                    queue.push(Reverse((next, edge.target())));
                }
            }
        }
        self.costs = Cow::Owned(costs);
    }

    /// True if paths may go on from `at`.
    fn crosses(&self, at: NodeIndex) -> bool {
        at == self.start || (self.may_cross)(&self.graph[at])
    }

    fn after(&self, (ps, hops): Cost, link: LinkId) -> Cost {
        (ps.saturating_add((self.latency_ps)(link)), hops + 1)
    }

    pub(crate) fn reaches(&self, vertex: NodeIndex) -> bool {
        self.costs[vertex.index()] < NEVER
    }

    /// The links of a cheapest path to `end`, or `None` where there is no path.
    pub(crate) fn path_to(&self, end: NodeIndex, choice: u32) -> Option<Vec<LinkId>> {
        let mut at = end;
        let mut cost = self.costs[end.index()];
        if cost == NEVER {
            return None;
        }
        let mut links = Vec::with_capacity(cost.1 as usize);
        while at != self.start {
            let mut equals: Vec<_> = self
                .graph
                .edges_directed(at, Direction::Incoming)
                .filter(|edge| self.crosses(edge.source()))
                .map(|edge| (*edge.weight(), edge.source(), self.costs[edge.source().index()]))
                .filter(|&(link, _, before)| before < NEVER && self.after(before, link) == cost)
                .collect();
            equals.sort_unstable();
            let (link, before, before_cost) = equals[choice as usize % equals.len()];
            links.push(link);
            (at, cost) = (before, before_cost);
        }
        links.reverse();
        Some(links)
    }
}
