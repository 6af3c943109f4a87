//! From the choices of tokens to the sizes of a step.

use std::ops::Range;

use super::size::{GroupedIdx, Rows, RowsIdx, Sizes};
use super::traffic::{Traffic, rows_to_any};
use crate::inputs::topology::GpuIdx;
use crate::plan::ExpertLayout;
use crate::scenario::Overlap;
use crate::work::ops::GroupRows;
use crate::work::routing::{LayerRouting, StepRouting};

/// Both sides of the messages between tokens and experts.
#[derive(Clone, Debug)]
pub(super) struct Parties {
    /// Ranks whose residual stream holds tokens, replica after replica.
    pub(super) owners: Vec<GpuIdx>,
    /// Ranks with experts, each with its group.
    pub(super) members: Vec<(u32, GpuIdx)>,
    /// The hosts of every expert.
    pub(super) experts: ExpertLayout,
    /// The pieces in which tokens travel.
    pub(super) overlap: Overlap,
    /// Members of each group that send a share of its rows each, after they have summed them; 1 where each sends all.
    pub(super) shares: u32,
    /// `[owner][node]`: the expert groups of other nodes to which one copy of a token travels.
    pub(super) nodes: Vec<Vec<Vec<u32>>>,
}

/// Tokens of one layer and micro-batch, by owner.
#[derive(Clone, Debug)]
pub(super) struct TrafficBlock {
    pub(super) layer: u32,
    pub(super) owners: Vec<Range<u32>>,
}

/// Tokens that meet all experts of one layer on the same ranks.
#[derive(Clone, Debug)]
pub(super) struct GroupBlock {
    pub(super) layer: u32,
    /// Positions of the tokens that choose, which are all tokens or a sample of them.
    pub(super) choosing: Range<u32>,
    pub(super) n_experts: usize,
    /// Tokens that pass.
    pub(super) tokens: u64,
    /// Rows of all experts together.
    pub(super) rows: u64,
}

/// The way from choices to sizes, built with the program.
#[derive(Clone, Debug, Default)]
pub struct Sizing {
    parties: Option<Parties>,
    traffic: Vec<TrafficBlock>,
    /// Blocks whose sums on owners are made in the step that follows.
    carried: Vec<TrafficIdx>,
    grouped: Vec<GroupBlock>,
}

/// The sizes of one block of traffic.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrafficIdx {
    first: u32,
    first_grouped: u32,
    dims: Dims,
}

/// Lengths of the axes of a block of traffic.
#[derive(Clone, Copy, Debug)]
struct Dims {
    owners: u32,
    groups: u32,
    chunks: u32,
    /// Most nodes of one owner.
    nodes: u32,
    /// Shares of the rows of a group.
    shares: u32,
}

impl Dims {
    fn n_pieces(self) -> u32 {
        if self.chunks == 1 { 0 } else { self.chunks }
    }

    fn n_rows(self) -> u32 {
        let by_owner = self.groups + 2 + self.groups * self.n_pieces() + self.nodes * self.chunks;
        self.owners * (by_owner + self.groups * self.n_shares()) + self.groups * (3 + self.n_pieces())
    }

    fn n_shares(self) -> u32 {
        if self.shares == 1 { 0 } else { self.shares }
    }

    fn n_grouped(self) -> u32 {
        self.groups * (1 + self.n_pieces())
    }
}

impl TrafficIdx {
    /// Tokens of `owner` with an expert in `group`.
    pub(super) fn rows(self, owner: usize, group: u32) -> Rows {
        self.at(count(owner) * self.dims.groups + group)
    }

    /// Rows that `owner` sends to all other ranks with experts.
    pub(super) fn sent(self, owner: usize) -> RowsIdx {
        self.idx(self.dims.owners * self.dims.groups + count(owner))
    }

    /// Rows that are read and written when `owner` sums what returns: 0 where every token has one row.
    pub(super) fn summed(self, owner: usize) -> RowsIdx {
        self.idx(self.dims.owners * (self.dims.groups + 1) + count(owner))
    }

    /// Rows that the experts of `group` compute.
    pub(super) fn choices(self, group: u32) -> RowsIdx {
        self.idx(self.groups() + group)
    }

    /// Rows that are read and written when `group` sums the outputs of its experts by token.
    pub(super) fn combined(self, group: u32) -> RowsIdx {
        self.idx(self.groups() + self.dims.groups + group)
    }

    /// Tokens with an expert in `group`.
    pub(super) fn tokens(self, group: u32) -> Rows {
        self.at(self.groups() + 2 * self.dims.groups + group)
    }

    /// Rows of `owner` that member `rank` of `group` sends back: its share of them, or all where each sends all.
    pub(super) fn returned(self, owner: usize, group: u32, rank: u32) -> Rows {
        let Dims { groups, nodes, chunks, owners, shares } = self.dims;
        if shares == 1 {
            return self.rows(owner, group);
        }
        let first = self.pieces() + groups * self.dims.n_pieces() * (owners + 1) + owners * nodes * chunks;
        self.at(first + (count(owner) * groups + group) * shares + rank)
    }

    /// Tokens of `owner` that travel to `group` with a piece of its experts.
    pub(super) fn piece_rows(self, owner: usize, group: u32, piece: u32) -> Rows {
        let at = (count(owner) * self.dims.groups + group) * self.dims.n_pieces() + piece;
        self.at(self.pieces() + at)
    }

    /// Rows that the experts of a piece of `group` compute.
    pub(super) fn piece_choices(self, group: u32, piece: u32) -> RowsIdx {
        let first = self.pieces() + self.dims.owners * self.dims.groups * self.dims.n_pieces();
        self.idx(first + group * self.dims.n_pieces() + piece)
    }

    /// Tokens of `owner` that travel to its node `node` with a chunk, each once.
    pub(super) fn node_rows(self, owner: usize, node: usize, chunk: u32) -> Rows {
        let Dims { owners, groups, chunks, nodes, .. } = self.dims;
        let first = self.pieces() + groups * self.dims.n_pieces() * (owners + 1);
        self.at(first + (count(owner) * nodes + count(node)) * chunks + chunk)
    }

    /// The rows of every expert of `group`.
    pub(super) fn grouped(self, group: u32) -> GroupedIdx {
        GroupedIdx(self.first_grouped + group)
    }

    /// The rows of every expert in a piece of `group`.
    pub(super) fn piece_grouped(self, group: u32, piece: u32) -> GroupedIdx {
        let Dims { groups, .. } = self.dims;
        GroupedIdx(self.first_grouped + groups + group * self.dims.n_pieces() + piece)
    }

    fn groups(self) -> u32 {
        self.dims.owners * (self.dims.groups + 2)
    }

    fn pieces(self) -> u32 {
        self.groups() + 3 * self.dims.groups
    }

    fn idx(self, offset: u32) -> RowsIdx {
        RowsIdx(self.first + offset)
    }

    fn at(self, offset: u32) -> Rows {
        Rows::At(self.idx(offset))
    }
}

impl Sizing {
    /// Says who sends to whom; before any block of traffic is added.
    pub(super) fn set_parties(&mut self, parties: Parties) {
        self.parties = Some(parties);
    }

    /// Adds the traffic of one layer and micro-batch.
    pub(super) fn add_traffic(&mut self, block: TrafficBlock) -> TrafficIdx {
        assert!(self.carried.is_empty(), "sums that are carried stand behind all traffic");
        let dims = self.dims();
        let at = count(self.traffic.len());
        self.traffic.push(block);
        TrafficIdx { first: at * dims.n_rows(), first_grouped: at * dims.n_grouped(), dims }
    }

    /// Adds the sums of a block that are made in the step that follows: `[owner]`, as [`TrafficIdx::summed`] in the step before.
    pub(super) fn add_carried(&mut self, block: TrafficIdx) -> Vec<RowsIdx> {
        let first =
            count(self.traffic.len()) * block.dims.n_rows() + count(self.carried.len()) * block.dims.owners;
        self.carried.push(block);
        (0..block.dims.owners).map(|owner| RowsIdx(first + owner)).collect()
    }

    /// Adds the rows of all experts of one layer for some tokens.
    pub(super) fn add_grouped(&mut self, block: GroupBlock) -> GroupedIdx {
        assert!(self.traffic.is_empty(), "a plan sends rows to experts, or has all experts in place");
        self.grouped.push(block);
        GroupedIdx(count(self.grouped.len() - 1))
    }

    /// Fills `sizes`, which are those of the step before, with those of a step in which tokens choose experts as `routing`
    /// says.
    ///
    /// Outputs of experts that arrived in the step before are summed in this one, as many as they were; where `sizes` are
    /// empty, as many as arrive in this one.
    pub fn fill(&self, routing: &StepRouting, sizes: &mut Sizes) {
        let before = (!sizes.rows.is_empty()).then(|| self.carried_sums(sizes));
        sizes.rows.clear();
        sizes.grouped.clear();
        for block in &self.grouped {
            sizes.grouped.push(block.rows(&routing[block.layer as usize]));
        }
        if let Some(parties) = &self.parties {
            let dims = self.dims();
            for block in &self.traffic {
                parties.fill(block, dims, &routing[block.layer as usize], sizes);
            }
        }
        let carried = before.unwrap_or_else(|| self.carried_sums(sizes));
        sizes.rows.extend(carried);
    }

    /// The sums that the next step makes, as `sizes` have them.
    fn carried_sums(&self, sizes: &Sizes) -> Vec<u64> {
        let sums = |block: &TrafficIdx| {
            let block = *block;
            (0..block.dims.owners as usize).map(move |owner| sizes.rows[block.summed(owner).0 as usize])
        };
        self.carried.iter().flat_map(sums).collect()
    }

    fn dims(&self) -> Dims {
        let parties = self.parties.as_ref().expect("set before any traffic");
        Dims {
            owners: count(parties.owners.len()),
            groups: parties.experts.ep(),
            chunks: parties.overlap.n_chunks(),
            nodes: parties.nodes.iter().map(|nodes| count(nodes.len())).max().unwrap_or(0),
            shares: parties.shares,
        }
    }
}

impl Parties {
    /// Appends the sizes of one block, in the order that [`TrafficIdx`] knows.
    fn fill(&self, block: &TrafficBlock, dims: Dims, routing: &LayerRouting, sizes: &mut Sizes) {
        let map = self.experts.map(block.layer);
        let traffic = Traffic::count(&block.owners, routing, map, dims.groups as usize, self.overlap);
        let groups = || 0..dims.groups;
        let owners = || 0..self.owners.len();
        let rows = &mut sizes.rows;
        rows.extend(
            owners()
                .flat_map(|owner| groups().map(move |group| (owner, group)))
                .map(|(owner, group)| traffic.rows(owner, group)),
        );
        let to_members = |owner: usize, is_counted: &dyn Fn(GpuIdx) -> bool| -> u64 {
            let members = self.members.iter().filter(|(_, gpu)| is_counted(*gpu));
            members.map(|(group, _)| traffic.rows(owner, *group)).sum()
        };
        rows.extend(owners().map(|owner| to_members(owner, &|gpu| gpu != self.owners[owner])));
        rows.extend(owners().map(|owner| {
            let returned = if dims.shares == 1 {
                to_members(owner, &|_| true)
            } else {
                groups().map(|group| traffic.rows(owner, group)).sum()
            };
            let tokens = n_of(&block.owners[owner]);
            if returned > tokens { returned + tokens } else { 0 }
        }));
        rows.extend(groups().map(|group| traffic.choices(group)));
        rows.extend(groups().map(|group| traffic.choices(group) + traffic.tokens(group)));
        rows.extend(groups().map(|group| traffic.tokens(group)));
        sizes.grouped.extend(groups().map(|group| traffic.group_rows(group)));
        if let Some(pieces) = &traffic.pieces {
            let chunks = || 0..dims.chunks;
            for owner in owners() {
                let of_group = |group| chunks().map(move |piece| pieces.rows(owner, group, piece));
                rows.extend(groups().flat_map(of_group));
            }
            let all = groups().flat_map(|group| chunks().map(move |piece| pieces.group_rows(group, piece)));
            rows.extend(all.clone().map(|grouped| grouped.rows));
            sizes.grouped.extend(all);
        }
        for (owner, tokens) in block.owners.iter().enumerate() {
            for node in 0..dims.nodes as usize {
                let groups = self.nodes[owner].get(node);
                rows.extend((0..dims.chunks).map(|chunk| match (groups, &traffic.pieces) {
                    (None, _) => 0,
                    (Some(groups), None) => rows_to_any(tokens, routing, map, groups),
                    (Some(groups), Some(pieces)) => pieces.rows_to_any(tokens, (routing, map), groups, chunk),
                }));
            }
        }
        for (owner, group) in owners().flat_map(|owner| groups().map(move |group| (owner, group))) {
            let all = traffic.rows(owner, group);
            let share =
                |rank: u64| all / u64::from(dims.shares) + u64::from(rank < all % u64::from(dims.shares));
            rows.extend((0..u64::from(dims.n_shares())).map(share));
        }
    }
}

impl GroupBlock {
    /// Rows by expert, in proportion to the choices.
    fn rows(&self, routing: &LayerRouting) -> GroupRows {
        let mut counts = vec![0_u64; self.n_experts];
        for &expert in self.choosing.clone().flat_map(|token| routing.experts_of(token)) {
            counts[usize::from(expert)] += 1;
        }
        let total = counts.iter().sum::<u64>().max(1);
        let (mut seen, mut given) = (0, 0);
        let shares = counts.iter().map(|count| {
            seen += count;
            let until = u128::from(self.rows) * u128::from(seen) / u128::from(total);
            let until = u64::try_from(until).expect("at most all rows");
            std::mem::replace(&mut given, until).abs_diff(until)
        });
        GroupRows::of_counts(self.tokens, shares.collect::<Vec<_>>())
    }
}

fn n_of(range: &Range<u32>) -> u64 {
    u64::from(range.end - range.start)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 parts of a program")
}
