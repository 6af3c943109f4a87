//! Rows by sender and receiver in one layer of one micro-batch, and the rows of the experts.

use std::ops::Range;

use super::pieces::Pieces;
use crate::plan::experts::ExpertMap;
use crate::scenario::Overlap;
use crate::work::ops::GroupRows;
use crate::work::routing::LayerRouting;

/// Tokens of one layer and micro-batch by owner and expert group.
#[derive(Debug)]
pub(super) struct Traffic {
    n_groups: usize,
    /// `[owner, group]`: tokens of the owner with at least one expert in the group.
    rows: Vec<u32>,
    /// `[group]`: tokens with at least one expert in the group.
    tokens: Vec<u32>,
    /// `[group]`: choices served by the group; a token with two experts there counts twice.
    choices: Vec<u32>,
    /// `[group]`: the rows of each of its experts.
    group_rows: Vec<GroupRows>,
    /// The same by pieces of the experts of each group, where work is cut.
    pub(super) pieces: Option<Pieces>,
}

impl Traffic {
    /// Counts the choices of the tokens of each owner.
    pub(super) fn count(
        owners: &[Range<u32>],
        routing: &LayerRouting,
        map: &ExpertMap,
        n_groups: usize,
        overlap: Overlap,
    ) -> Self {
        let mut traffic = Self {
            n_groups,
            rows: vec![0; owners.len() * n_groups],
            tokens: vec![0; n_groups],
            choices: vec![0; n_groups],
            group_rows: Vec::with_capacity(n_groups),
            pieces: None,
        };
        let n_experts = map.hosts().len();
        let mut counts = vec![0_u64; n_experts * n_groups];
        let mut seen_by = vec![u32::MAX; n_groups];
        for (owner, tokens) in owners.iter().enumerate() {
            for token in tokens.clone() {
                for &expert in routing.experts_of(token) {
                    let group = map.group(expert, token) as usize;
                    traffic.choices[group] += 1;
                    counts[group * n_experts + usize::from(expert)] += 1;
                    if std::mem::replace(&mut seen_by[group], token) != token {
                        traffic.rows[owner * n_groups + group] += 1;
                        traffic.tokens[group] += 1;
                    }
                }
            }
        }
        let is_cut = overlap.n_chunks() > 1;
        traffic.pieces = is_cut.then(|| Pieces::count(owners, routing, map, &counts, overlap));
        for (group, counts) in counts.chunks(n_experts).enumerate() {
            let is_here = |(hosts, _): &(&Vec<u32>, &u64)| hosts.iter().any(|&host| host as usize == group);
            let here = map.hosts().iter().zip(counts).filter(is_here).map(|(_, &count)| count);
            let rows = GroupRows::of_counts(u64::from(traffic.tokens[group]), here);
            traffic.group_rows.push(rows);
        }
        traffic
    }

    /// Tokens of `owner` with an expert in `group`.
    pub(super) fn rows(&self, owner: usize, group: u32) -> u64 {
        u64::from(self.rows[owner * self.n_groups + group as usize])
    }

    /// Tokens with an expert in `group`.
    pub(super) fn tokens(&self, group: u32) -> u64 {
        u64::from(self.tokens[group as usize])
    }

    /// Rows that the experts of `group` compute.
    pub(super) fn choices(&self, group: u32) -> u64 {
        u64::from(self.choices[group as usize])
    }

    /// The same by expert.
    pub(super) fn group_rows(&self, group: u32) -> GroupRows {
        self.group_rows[group as usize]
    }
}

/// Tokens of `tokens` with an expert on any of the groups in `wanted`.
pub(super) fn rows_to_any(
    tokens: &Range<u32>,
    routing: &LayerRouting,
    map: &ExpertMap,
    wanted: &[u32],
) -> u64 {
    let goes = |token: &u32| {
        routing.experts_of(*token).iter().any(|&expert| wanted.contains(&map.group(expert, *token)))
    };
    tokens.clone().filter(goes).count() as u64
}
