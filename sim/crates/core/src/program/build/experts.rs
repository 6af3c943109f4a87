//! The expert half of a layer on the GPUs of the expert pool.

use super::routed::{Arrivals, RoutedStep};
use super::{Sent, fixed, n_of};
use crate::inputs::topology::GpuIdx;
use crate::plan::share;
use crate::program::instr::{Activity, Kernel, Label, Need, Place, Posted};
use crate::program::size::{Fill, Rows};
use crate::program::value::{Data, What};
use crate::scenario::Dispatch;
use crate::work::collectives::CollectiveKind;

impl RoutedStep<'_, '_> {
    /// Sends the tokens of every owner to the ranks of their experts, after `posts[owner]`.
    ///
    /// The result is by chunk and member of the expert pool.
    pub(super) fn dispatch(&mut self, place: Place, posts: &[Need]) -> Vec<Arrivals> {
        let n_chunks = self.dispatch_overlap().n_chunks();
        let mut arrivals = vec![vec![Vec::new(); self.members.len()]; n_chunks as usize];
        let counted = self.counted(place, posts);
        for (owner, (&post, &known)) in posts.iter().zip(&counted).enumerate() {
            let src = self.owners[owner];
            if let Some(at) = self.members.iter().position(|(_, gpu)| *gpu == src) {
                arrivals[0][at].push(post);
            }
            for (chunk, arrivals) in (0..).zip(&mut arrivals) {
                self.dispatch_chunk(&Load { place, owner, chunk }, known, arrivals);
            }
        }
        if self.plan.gathers_inside() {
            for arrivals in &mut arrivals {
                self.gather_inside(place, arrivals);
            }
        }
        arrivals
    }

    /// Sends one chunk of the tokens of one owner.
    fn dispatch_chunk(&mut self, load: &Load, after: Need, arrivals: &mut Arrivals) {
        let src = self.owners[load.owner];
        let by_node = self.nodes[load.owner].clone();
        let forwarded = |at: &usize| by_node.iter().flatten().any(|other| other == at);
        let direct: Vec<usize> =
            (0..self.members.len()).filter(|at| self.members[*at].1 != src && !forwarded(at)).collect();
        let to_member = |&at: &usize| {
            let (group, to) = self.members[at];
            let rows =
                if self.plan.gathers_inside() { self.share_of(load, at) } else { self.rows(load, group) };
            self.sent(to, rows)
        };
        let mut messages: Vec<Sent> = direct.iter().map(to_member).collect();
        let local = self.builder.scenario.cluster.gpu(src).local_idx as usize;
        for (idx, node) in by_node.iter().enumerate() {
            let entry = self.members[node[local % node.len()]].1;
            messages.push(self.sent(entry, self.node_rows(load, idx)));
        }
        let label = Label::new(Activity::Dispatch, load.place);
        let posted = (src, Posted::InGroups);
        let sent = self.builder.exchange(label, posted, What::ExpertRows, &messages, &[after]);
        for (at, need) in direct.iter().zip(&sent) {
            arrivals[*at].push(*need);
        }
        for (node, &at_entry) in by_node.iter().zip(&sent[direct.len()..]) {
            let entry = self.members[node[local % node.len()]].1;
            for &at in node {
                arrivals[at].push(self.forward(load, entry, self.members[at], at_entry));
            }
        }
    }

    /// The copy that `entry` hands on inside its node; its own is there already.
    fn forward(&mut self, load: &Load, entry: GpuIdx, (group, gpu): (u32, GpuIdx), at_entry: Need) -> Need {
        if gpu == entry {
            return at_entry;
        }
        let message = self.sent(gpu, self.rows(load, group));
        let label = Label::new(Activity::Dispatch, load.place);
        let posted = (entry, Posted::Relayed);
        self.builder.exchange(label, posted, What::ExpertRows, &[message], &[at_entry])[0]
    }

    fn sent(&self, to: GpuIdx, rows: Rows) -> Sent {
        let model = &self.builder.scenario.model;
        Sent { to, rows, row_bytes: u64::from(model.hidden) * model.dtype.dispatch.bytes() }
    }

    /// Rows of a chunk that its owner sends to `group`: each token once.
    fn rows(&self, load: &Load, group: u32) -> Rows {
        let traffic = self.traffic_at(load.place);
        match self.plan.dispatch {
            Dispatch::Broadcast => self.all_rows(load),
            Dispatch::M2n if self.dispatch_overlap().n_chunks() == 1 => traffic.rows(load.owner, group),
            Dispatch::M2n => traffic.piece_rows(load.owner, group, load.chunk),
        }
    }

    /// Rows of a chunk that its owner sends to node `node` for all groups there together: each token once.
    fn node_rows(&self, load: &Load, node: usize) -> Rows {
        match (self.plan.dispatch, &self.nodes[load.owner][node][..]) {
            (Dispatch::Broadcast, _) => self.all_rows(load),
            (Dispatch::M2n, [only]) => self.rows(load, self.members[*only].0),
            (Dispatch::M2n, _) => self.traffic_at(load.place).node_rows(load.owner, node, load.chunk),
        }
    }

    /// The share of its tokens that an owner sends to member `at` of the expert pool.
    fn share_of(&self, load: &Load, at: usize) -> Rows {
        let tokens = self.owned_tokens(load.place.micro_batch as usize, load.owner);
        let rank = at % self.plan.n_shares() as usize;
        let share = share::split(&tokens, self.plan.n_shares()).nth(rank);
        Rows::Fixed(n_of(&share.expect("the rank is below the number of shares")))
    }

    fn all_rows(&self, load: &Load) -> Rows {
        Rows::Fixed(n_of(&self.owned_tokens(load.place.micro_batch as usize, load.owner)))
    }

    /// Runs the experts of every member, and sends the sums of each back to the owners of the tokens.
    ///
    /// The result is the needs of every owner.
    pub(super) fn experts_and_combine(&mut self, place: Place, arrivals: &[Arrivals]) -> Arrivals {
        let members = self.members.clone();
        let mut returned = vec![Vec::new(); self.owners.len()];
        self.expert_outputs.clear();
        let mut done = Vec::with_capacity(members.len());
        for (at, &(group, src)) in members.iter().enumerate() {
            let chunks = self.experts(place, (at, group, src), arrivals);
            self.expert_outputs.push(chunks[chunks.len() - 1]);
            done.push(chunks);
        }
        if self.plan.n_shares() > 1 {
            self.sum_inside(place, &mut done);
        }
        for (rank, (&(group, src), chunks)) in
            (0..self.plan.n_shares()).cycle().zip(members.iter().zip(&done))
        {
            let mut remote = Vec::new();
            for (owner, needs) in returned.iter_mut().enumerate() {
                if self.owners[owner] == src {
                    needs.push(chunks[chunks.len() - 1]);
                } else {
                    remote.push(owner);
                }
            }
            for (chunk, &outputs) in (0..).zip(chunks) {
                let row_bytes = self.combine_bytes(chunk);
                let message = |&owner: &usize| {
                    let rows = self.traffic_at(place).returned(owner, group, rank);
                    Sent { to: self.owners[owner], rows, row_bytes }
                };
                let messages: Vec<Sent> = remote.iter().map(message).collect();
                let label = Label::new(Activity::Combine, place);
                let posted = (src, Posted::InGroups);
                let what = What::ExpertOutputs;
                let sent = self.builder.exchange(label, posted, what, &messages, &[outputs]);
                for (&owner, arrival) in remote.iter().zip(sent) {
                    returned[owner].push(arrival);
                }
            }
        }
        returned
    }

    /// The members of every group sum their partial outputs among them; each goes on with a share of the rows.
    fn sum_inside(&mut self, place: Place, done: &mut [Vec<Need>]) {
        let n_shares = self.plan.n_shares() as usize;
        for (idx, of_group) in done.chunks_mut(n_shares).enumerate() {
            let (group, _) = self.members[idx * n_shares];
            let ranks: Vec<GpuIdx> =
                self.members[idx * n_shares..][..n_shares].iter().map(|(_, gpu)| *gpu).collect();
            for chunk in 0..of_group[0].len() {
                let needs: Vec<Need> = of_group.iter().map(|chunks| chunks[chunk]).collect();
                let row_bytes = self.combine_bytes(u32::try_from(chunk).expect("few chunks"));
                let rows = self.traffic_at(place).tokens(group);
                let kind = CollectiveKind::ReduceScatter;
                let summed = self.builder.of_experts(kind, place, &ranks, (rows, row_bytes), &needs);
                for chunks in of_group.iter_mut() {
                    chunks[chunk] = summed;
                }
            }
        }
    }

    /// The members of every group gather the tokens of which each got a share.
    fn gather_inside(&mut self, place: Place, arrivals: &mut Arrivals) {
        let n_shares = self.plan.n_shares() as usize;
        let all = n_of(&self.waves[place.micro_batch as usize].batch.tokens);
        for (idx, of_group) in arrivals.chunks_mut(n_shares).enumerate() {
            let ranks: Vec<GpuIdx> =
                self.members[idx * n_shares..][..n_shares].iter().map(|(_, gpu)| *gpu).collect();
            let row_bytes = self.sent(ranks[0], Rows::Fixed(all)).row_bytes;
            let (kind, rows) = (CollectiveKind::AllGather, Rows::Fixed(all));
            let gathered =
                self.builder.of_experts(kind, place, &ranks, (rows, row_bytes), &of_group.concat());
            of_group.fill(vec![gathered]);
        }
    }

    /// Bytes of a chunk of one row of expert outputs: its share of their columns.
    fn combine_bytes(&self, chunk: u32) -> u64 {
        let scenario = self.builder.scenario;
        scenario.overlap.share(u64::from(scenario.model.hidden), chunk) * scenario.model.dtype.combine.bytes()
    }

    /// The experts of member `at`, which is `gpu` in `group`: one instruction for each chunk of their outputs.
    ///
    /// Products that lead in follow the chunks that arrive, expert by expert; those that lead out are cut by columns,
    /// so that in both no weight is read twice.
    fn experts(
        &mut self,
        place: Place,
        (at, group, gpu): (usize, u32, GpuIdx),
        arrivals: &[Arrivals],
    ) -> Vec<Need> {
        let (ops, moe) = (self.builder.ops, self.builder.ops.moe());
        let (traffic, tp) = (self.traffic_at(place), self.plan.experts.tp());
        let width = share::sizes(moe.expert_hidden, tp, 0).nth(at % tp as usize);
        let width = u64::from(width.expect("the rank is below tp"));
        let choices = traffic.choices(group);
        let products =
            Products { choices: Fill::Rows(choices), grouped: Fill::Grouped(traffic.grouped(group)) };
        let label = Label::new(Activity::Experts, place);
        let mut all: Vec<Kernel> = match self.plan.dispatch {
            Dispatch::M2n => Vec::new(),
            Dispatch::Broadcast => {
                fixed(ops.gate(n_of(&self.waves[place.micro_batch as usize].batch.tokens))).collect()
            }
        };
        if self.dispatch_overlap().n_chunks() > 1 {
            let last = arrivals.len() - 1;
            for (chunk, arrived) in (0..).zip(arrivals) {
                let choices = traffic.piece_choices(group, chunk);
                let grouped = Fill::Grouped(traffic.piece_grouped(group, chunk));
                let products = Products { choices: Fill::Rows(choices), grouped };
                let [up, activation, _] = products.kernels(self, width);
                all.extend(ops.permute(0).map(|op| Kernel { op, fill: products.choices }));
                all.extend([up, activation]);
                if (chunk as usize) < last {
                    let inner = Rows::At(choices);
                    let row_bytes = width * self.builder.scenario.model.dtype.activations.bytes();
                    let data = Data { what: What::ExpertRows, rows: inner, row_bytes };
                    self.builder.kernels(label, gpu, &all, &arrived[at], data);
                    all.clear();
                }
            }
            all.extend(products.kernels(self, width).last());
        } else {
            all.extend(ops.permute(0).map(|op| Kernel { op, fill: products.choices }));
            all.extend(products.kernels(self, width));
        }
        if moe.has_gate() {
            let sum = Fill::Rows(traffic.combined(group));
            all.push(Kernel { op: ops.combine_sum(0, 0), fill: sum });
        }
        let arrived = &arrivals[arrivals.len() - 1][at];
        let outputs = self.builder.hidden_rows(What::ExpertOutputs, Rows::At(choices));
        self.builder.kernels_in_chunks(label, gpu, (&all, arrived), outputs)
    }
}

/// The sizes of the products of some experts.
#[derive(Clone, Copy)]
struct Products {
    choices: Fill,
    grouped: Fill,
}

impl Products {
    fn kernels(self, step: &RoutedStep, width: u64) -> [Kernel; 3] {
        let none = crate::work::ops::GroupRows::of_counts(0, []);
        let [up, activation, down] = step.builder.ops.experts(none, width);
        let Self { choices, grouped } = self;
        [(up, grouped), (activation, choices), (down, grouped)].map(|(op, fill)| Kernel { op, fill })
    }
}

/// Tokens that one owner sends at once.
struct Load {
    place: Place,
    owner: usize,
    chunk: u32,
}
