//! The experts of each group in pieces, so that the first compute while tokens for the others travel.

use std::ops::Range;

use crate::plan::experts::ExpertMap;
use crate::scenario::Overlap;
use crate::work::ops::GroupRows;
use crate::work::routing::LayerRouting;

/// Tokens of one layer and micro-batch by owner, expert group and piece of its experts.
#[derive(Debug)]
pub(super) struct Pieces {
    n_groups: usize,
    n_chunks: usize,
    /// `[group, expert]`: the piece of an expert that the group hosts.
    piece_of: Vec<u32>,
    /// `[owner, group, piece]`: tokens whose first expert in the group is in the piece; they travel with it, once.
    rows: Vec<u32>,
    /// `[group, piece]`: the rows of each expert of the piece.
    group_rows: Vec<GroupRows>,
}

impl Pieces {
    /// Counts the tokens of each owner by pieces; `counts[group, expert]` are the rows that each expert gets.
    pub(super) fn count(
        owners: &[Range<u32>],
        routing: &LayerRouting,
        map: &ExpertMap,
        counts: &[u64],
        overlap: Overlap,
    ) -> Self {
        let n_chunks = overlap.n_chunks() as usize;
        let n_experts = map.hosts().len();
        let n_groups = counts.len() / n_experts;
        let mut pieces = Self {
            n_groups,
            n_chunks,
            piece_of: pieces_of(map, n_groups, overlap),
            rows: vec![0; owners.len() * n_groups * n_chunks],
            group_rows: Vec::with_capacity(n_groups * n_chunks),
        };
        let mut tokens_of = vec![0_u64; n_groups * n_chunks];
        for (owner, tokens) in owners.iter().enumerate() {
            for token in tokens.clone() {
                let mut seen = None;
                for (group, piece) in pieces.visits(token, routing, map) {
                    tokens_of[group * n_chunks + piece] += 1;
                    if seen.replace(group) != Some(group) {
                        pieces.rows[(owner * n_groups + group) * n_chunks + piece] += 1;
                    }
                }
            }
        }
        for (at, tokens) in tokens_of.into_iter().enumerate() {
            let (group, piece) = (at / n_chunks, at % n_chunks);
            let is_here = |expert: &usize| {
                let is_hosted = map.hosts()[*expert].iter().any(|&host| host as usize == group);
                is_hosted && pieces.piece_of[group * n_experts + expert] as usize == piece
            };
            let here = (0..n_experts).filter(is_here).map(|expert| counts[group * n_experts + expert]);
            pieces.group_rows.push(GroupRows::of_counts(tokens, here));
        }
        pieces
    }

    /// Tokens of `owner` that travel to `group` with a piece.
    pub(super) fn rows(&self, owner: usize, group: u32, piece: u32) -> u64 {
        let at = (owner * self.n_groups + group as usize) * self.n_chunks + piece as usize;
        u64::from(self.rows[at])
    }

    /// Number of `tokens` whose first expert on any of the groups in `wanted` is in the piece.
    pub(super) fn rows_to_any(
        &self,
        tokens: &Range<u32>,
        (routing, map): (&LayerRouting, &ExpertMap),
        wanted: &[u32],
        piece: u32,
    ) -> u64 {
        let first = |token: u32| {
            let wanted = |(group, _): &(usize, usize)| wanted.iter().any(|it| *it as usize == *group);
            self.visits(token, routing, map).into_iter().filter(wanted).map(|(_, piece)| piece).min()
        };
        tokens.clone().filter(|&token| first(token) == Some(piece as usize)).count() as u64
    }

    /// The rows of the experts of a piece.
    pub(super) fn group_rows(&self, group: u32, piece: u32) -> GroupRows {
        self.group_rows[group as usize * self.n_chunks + piece as usize]
    }

    /// The groups and pieces with an expert of `token`, in order and once each.
    fn visits(&self, token: u32, routing: &LayerRouting, map: &ExpertMap) -> Vec<(usize, usize)> {
        let n_experts = map.hosts().len();
        let visit = |&expert: &u16| {
            let group = map.group(expert, token) as usize;
            (group, self.piece_of[group * n_experts + usize::from(expert)] as usize)
        };
        let mut visits: Vec<_> = routing.experts_of(token).iter().map(visit).collect();
        visits.sort_unstable();
        visits.dedup();
        visits
    }
}

/// `[group, expert]`: the experts that a group hosts, in order, in pieces as equal as whole numbers allow.
fn pieces_of(map: &ExpertMap, n_groups: usize, overlap: Overlap) -> Vec<u32> {
    let n_experts = map.hosts().len();
    let mut piece_of = vec![0; n_groups * n_experts];
    for (group, row) in (0..).zip(piece_of.chunks_mut(n_experts)) {
        let n_hosted = u64::from(map.n_on(group));
        let mut piece =
            (0..overlap.n_chunks()).flat_map(|piece| (0..overlap.share(n_hosted, piece)).map(move |_| piece));
        for (expert, hosts) in map.hosts().iter().enumerate() {
            if hosts.contains(&group) {
                row[expert] = piece.next().expect("as many places as hosted experts");
            }
        }
    }
    piece_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::traffic::Traffic;

    /// Experts 0, 1 on group 0 and 2, 3 on group 1, each a piece of its own.
    #[test]
    fn a_token_travels_once_with_its_first_expert() {
        let routing = LayerRouting::of_choices(&[[0, 1], [2, 1], [2, 3], [0, 3]]);
        let owners = [0..2, 2..4];
        let map = ExpertMap::contiguous(4, 2);
        let overlap = Overlap::Chunks { n: 2 };
        let whole = Traffic::count(&owners, &routing, &map, 2, overlap);
        let pieces = whole.pieces.as_ref().unwrap();
        let rows = |owner| [0, 1].map(|group| [0, 1].map(|piece| pieces.rows(owner, group, piece)));
        assert_eq!(rows(0), [[1, 1], [1, 0]]);
        assert_eq!(rows(1), [[1, 0], [1, 1]]);
        let loads = [0, 1].map(|group| [0, 1].map(|piece| pieces.group_rows(group, piece).rows));
        assert_eq!(loads, [[2, 2], [2, 2]]);

        for (owner, group) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let sum: u64 = (0..2).map(|piece| pieces.rows(owner, group, piece)).sum();
            assert_eq!(sum, whole.rows(owner, group), "pieces add up to the whole");
        }
        // Token 1 needs experts 1 (piece 1 of group 0) and 2 (piece 0 of group 1): to both together it goes at once.
        let to_any = |piece| pieces.rows_to_any(&(0..4), (&routing, &map), &[0, 1], piece);
        assert_eq!([to_any(0), to_any(1)], [4, 0]);
    }

    #[test]
    fn five_experts_in_two_pieces_are_two_and_three() {
        let map = ExpertMap::contiguous(5, 1);
        assert_eq!(pieces_of(&map, 1, Overlap::Chunks { n: 2 }), [0, 0, 1, 1, 1]);
        assert_eq!(pieces_of(&ExpertMap::contiguous(1, 1), 1, Overlap::Chunks { n: 3 }), [2]);
    }
}
