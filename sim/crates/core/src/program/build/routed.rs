//! One step of a plan in which tokens travel to their experts.

use std::collections::BTreeMap;
use std::ops::Range;

use super::attention::AttentionBlock;
use super::head::{Stream, lm_head};
use super::pass::Tokens;
use super::wave::Wave;
use super::{Builder, Pending, n_of};
use crate::inputs::topology::GpuIdx;
use crate::plan::RoutedPlan;
use crate::program::instr::{Kernel, Need, Place};
use crate::program::size::{Fill, Rows, RowsIdx};
use crate::program::sizing::{Parties, TrafficBlock, TrafficIdx};
use crate::program::skeleton::Port;
use crate::program::value::What;
use crate::scenario::{Dispatch, Forward, Overlap, Schedule, Workload};

/// The needs of each receiver.
pub(super) type Arrivals = Vec<Vec<Need>>;

/// A step under construction.
pub(super) struct RoutedStep<'s, 'a> {
    pub(super) builder: &'s mut Builder<'a>,
    pub(super) plan: &'s RoutedPlan,
    /// By micro-batch; of prompts one for each chunk too.
    pub(super) waves: Vec<Wave>,
    /// Ranks whose residual stream holds tokens, replica after replica.
    pub(super) owners: Vec<GpuIdx>,
    /// Ranks with experts, each with its group.
    pub(super) members: Vec<(u32, GpuIdx)>,
    /// `[owner][node]`: members of the expert pool in nodes to which one copy of a token travels.
    pub(super) nodes: Vec<Vec<Vec<usize>>>,
    /// `[layer][wave]`
    traffic: Vec<Vec<TrafficIdx>>,
    /// The expert outputs of the layer and micro-batch added last, by member.
    pub(super) expert_outputs: Vec<Need>,
    /// `[wave][owner]`: the kernels and needs that the next block begins with.
    pub(super) inputs: Vec<Vec<Pending>>,
    /// The join that closed the last slot of a lockstep schedule.
    slot: Option<Need>,
}

pub(super) fn build(builder: &mut Builder, plan: &RoutedPlan) {
    let workload = &builder.scenario.workload;
    let owners: Vec<GpuIdx> = plan.attention.members().map(|(_, _, gpu)| gpu).collect();
    let members: Vec<(u32, GpuIdx)> = plan.experts.members().collect();
    let mut step = RoutedStep {
        plan,
        waves: Wave::all(workload, &plan.attention, plan.n_micro_batches),
        nodes: owners.iter().map(|&owner| other_nodes(builder, plan, owner, &members)).collect(),
        owners,
        members,
        traffic: Vec::new(),
        expert_outputs: Vec::new(),
        inputs: Vec::new(),
        slot: None,
        builder,
    };
    step.count_traffic();
    if matches!(workload, Workload::Prefill { .. }) {
        step.prompts();
    } else {
        step.tokens();
    }
}

/// Members of the expert pool in nodes other than that of `owner`, by node, where one copy of a token serves a node.
fn other_nodes(
    builder: &Builder,
    plan: &RoutedPlan,
    owner: GpuIdx,
    members: &[(u32, GpuIdx)],
) -> Vec<Vec<usize>> {
    if plan.forward == Forward::None {
        return Vec::new();
    }
    let cluster = &builder.scenario.cluster;
    let mut nodes = BTreeMap::<u32, Vec<usize>>::new();
    for (at, (_, gpu)) in members.iter().enumerate() {
        nodes.entry(cluster.gpu(*gpu).node_idx).or_default().push(at);
    }
    nodes.remove(&cluster.gpu(owner).node_idx);
    nodes.into_values().collect()
}

impl RoutedStep<'_, '_> {
    /// Prepares the counts of every layer and wave.
    fn count_traffic(&mut self) {
        let groups_of = |node: &Vec<usize>| node.iter().map(|&at| self.members[at].0).collect();
        let nodes = self.nodes.iter().map(|nodes| nodes.iter().map(groups_of).collect()).collect();
        self.builder.sizing.set_parties(Parties {
            owners: self.owners.clone(),
            members: self.members.clone(),
            experts: self.plan.experts.clone(),
            overlap: self.dispatch_overlap(),
            shares: self.plan.n_shares(),
            nodes,
        });
        for layer in 0..self.builder.scenario.model.n_layers {
            let of_layer = (0..self.waves.len())
                .map(|wave| {
                    let owners = 0..self.owners.len();
                    let owners = owners.map(|owner| self.owned_tokens(wave, owner)).collect();
                    self.builder.sizing.add_traffic(TrafficBlock { layer, owners })
                })
                .collect();
            self.traffic.push(of_layer);
        }
    }

    /// One token of every sequence.
    ///
    /// The step begins with the head: the token of the step before is chosen, then passes all layers. In this order
    /// a micro-batch that is ahead goes on with its next token while others are still in the last layer; with the heads
    /// at the end of a step, the in-order queues would drain the pools at every token.
    fn tokens(&mut self) {
        self.begin();
        for layer in 0..self.builder.scenario.model.n_layers {
            self.builder.begin_layer(layer);
            self.layer(layer, 0..self.plan.n_micro_batches);
        }
        self.builder.end_layers();
        self.finish();
    }

    /// A starting point for each micro-batch and owner: the last layer of the step before, whose outputs are summed here.
    fn begin(&mut self) {
        let layer = self.builder.scenario.model.n_layers - 1;
        for micro_batch in 0..self.plan.n_micro_batches {
            let place = Place { layer, micro_batch };
            let mut arrived = Vec::with_capacity(self.owners.len());
            for owner in 0..self.owners.len() {
                let tokens = n_of(&self.owned_tokens(micro_batch as usize, owner));
                let outputs = self.builder.hidden_rows(What::ExpertOutputs, Rows::Fixed(tokens));
                let port = (self.replica_of(owner), self.owners[owner]);
                arrived.push(vec![self.builder.arrive(place, port, outputs)]);
            }
            let summed = self.builder.sizing.add_carried(self.traffic_at(place));
            let inputs = self.sums(place, arrived, &summed);
            self.inputs.push(inputs);
        }
    }

    /// Both halves of a layer for the micro-batches `together`.
    ///
    /// On shared GPUs the attention of all micro-batches comes first, so that the tokens of one travel
    /// while the next computes; separate pools take turns as data arrives.
    pub(super) fn layer(&mut self, layer: u32, together: Range<u32>) {
        let mut waiting = Vec::new();
        for place in together.map(|micro_batch| Place { layer, micro_batch }) {
            if layer == 0 && self.waves[place.micro_batch as usize].tokens == Tokens::Newest {
                self.head(place.micro_batch);
            }
            let posts = self.attention(place);
            self.close_slot(place, &posts);
            let arrivals = self.dispatch(place, &posts);
            self.shared_experts(place, &posts);
            waiting.push((place, arrivals));
            if !self.plan.colocated {
                self.second_half(&mut waiting);
            }
        }
        self.second_half(&mut waiting);
    }

    fn second_half(&mut self, waiting: &mut Vec<(Place, Vec<Arrivals>)>) {
        for (place, mut arrivals) in waiting.drain(..) {
            if let Some(slot) = self.slot {
                for needs in &mut arrivals[0] {
                    needs.push(slot);
                }
            }
            let returned = self.experts_and_combine(place, &arrivals);
            let traffic = self.traffic_at(place);
            let summed: Vec<RowsIdx> = (0..self.owners.len()).map(|owner| traffic.summed(owner)).collect();
            self.inputs[place.micro_batch as usize] = self.sums(place, returned, &summed);
        }
    }

    /// The kernels that follow the expert half on every owner: sum by token of `summed[owner]` rows, residual stream, norm.
    fn sums(&self, place: Place, arrived: Arrivals, summed: &[RowsIdx]) -> Vec<Pending> {
        let (ops, model) = (self.builder.ops, &self.builder.scenario.model);
        let no_head = place.layer + 1 == model.n_layers && model.vocab.is_none();
        let inputs = arrived.into_iter().enumerate().map(|(owner, needs)| {
            let tokens = n_of(&self.owned_tokens(place.micro_batch as usize, owner));
            let sum = Kernel { op: ops.combine_sum(0, 0), fill: Fill::Rows(summed[owner]) };
            let next = if no_head { ops.residual(tokens) } else { ops.residual_norm(tokens) };
            (vec![sum, next.into()], needs)
        });
        inputs.collect()
    }

    /// Attention of every replica; the result is the last value of each owner.
    fn attention(&mut self, place: Place) -> Vec<Need> {
        let mut inputs = std::mem::take(&mut self.inputs[place.micro_batch as usize]).into_iter();
        let per_replica = (self.plan.attention.heads * self.plan.attention.sequences) as usize;
        let (ops, traffic) = (self.builder.ops, self.traffic_at(place));
        let mut posts = Vec::with_capacity(self.owners.len());
        for replica in 0..self.plan.attention.replicas.len() {
            let mut first: Vec<_> = inputs.by_ref().take(per_replica).collect();
            if let Some(slot) = self.slot {
                for (_, needs) in &mut first {
                    needs.push(slot);
                }
            }
            let outputs = |member: usize, tokens: u64| {
                let mut last = vec![Kernel::from(ops.residual_norm(tokens))];
                if self.plan.dispatch == Dispatch::M2n {
                    let sent = Fill::Rows(traffic.sent(replica * per_replica + member));
                    last.extend(ops.gate(tokens).into_iter().map(Kernel::from));
                    last.extend(ops.permute(0).map(|op| Kernel { op, fill: sent }));
                }
                last
            };
            let block = AttentionBlock {
                builder: self.builder,
                layout: &self.plan.attention,
                wave: &self.waves[place.micro_batch as usize],
                replica,
                place,
            };
            posts.extend(block.add(first, outputs));
        }
        posts
    }

    /// In lockstep, both pools join before either goes on (the paper's barrier).
    fn close_slot(&mut self, place: Place, posts: &[Need]) {
        if self.plan.schedule == Schedule::Lockstep {
            let mut joined = Vec::from(posts);
            joined.extend_from_slice(&self.expert_outputs);
            self.slot = Some(self.builder.join(place, None, &joined));
        }
    }

    /// The head of a micro-batch; its owners go on with the embedding of the new token.
    fn head(&mut self, micro_batch: u32) {
        let place = Place { layer: 0, micro_batch };
        let known = self.next_tokens(place);
        let scheduled = self.scheduled(place, &known);
        let inputs = known.into_iter().zip(scheduled).enumerate();
        let inputs = inputs.map(|(owner, (need, scheduled))| {
            (self.embedded(place, owner), [need].into_iter().chain(scheduled).collect())
        });
        self.inputs[micro_batch as usize] = inputs.collect();
    }

    /// The host of each replica schedules its sequences of a wave, after the `known` tokens of its owners; the result is by
    /// owner, none where hosts take no time.
    pub(super) fn scheduled(&mut self, place: Place, known: &[Need]) -> Vec<Option<Need>> {
        if self.builder.scenario.host_overhead.is_none() {
            return vec![None; self.owners.len()];
        }
        let per_replica = (self.plan.attention.heads * self.plan.attention.sequences) as usize;
        let mut all = Vec::with_capacity(self.owners.len());
        for (idx, ranks) in self.owners.clone().chunks(per_replica).enumerate() {
            let sequences = self.waves[place.micro_batch as usize].sequences[idx].clone();
            let known = known.get(idx * per_replica..(idx + 1) * per_replica).unwrap_or_default();
            let scheduled = self.builder.schedule(place, ranks, n_of(&sequences), known);
            all.extend(vec![Some(scheduled); per_replica]);
        }
        all
    }

    /// The kernels with which tokens enter the layers on their owner.
    pub(super) fn embedded(&self, place: Place, owner: usize) -> Vec<Kernel> {
        let ops = self.builder.ops;
        let tokens = n_of(&self.owned_tokens(place.micro_batch as usize, owner));
        let embeds = self.builder.scenario.model.vocab.is_some();
        let embedding = embeds.then(|| ops.embedding(tokens));
        embedding.into_iter().chain([ops.norm(tokens)]).map(Kernel::from).collect()
    }

    /// LM head and sampling of every sequence; the result is, by owner, the need of those who read its tokens.
    pub(super) fn next_tokens(&mut self, place: Place) -> Vec<Need> {
        let heads = self.plan.attention.heads;
        let mut inputs = std::mem::take(&mut self.inputs[place.micro_batch as usize]).into_iter();
        let mut known = Vec::with_capacity(self.owners.len());
        for (idx, replica) in self.plan.attention.replicas.iter().enumerate() {
            for rank in 0..self.plan.attention.sequences {
                let wave = &self.waves[place.micro_batch as usize];
                let stream = (wave.n_next(idx, rank, &self.plan.attention), Stream::Sharded);
                let first = inputs.by_ref().take(heads as usize).collect();
                let group = replica.head_group(rank, heads);
                known.extend(lm_head(self.builder, place, group, stream, first));
            }
        }
        let done = self.builder.join(place, None, &known);
        self.builder.program.done.push(done);
        known
    }

    /// The points where the outputs of the last layer have arrived, by micro-batch and owner.
    fn finish(&mut self) {
        let layer = self.builder.scenario.model.n_layers;
        for (micro_batch, inputs) in (0..).zip(std::mem::take(&mut self.inputs)) {
            for (owner, (_, arrived)) in inputs.into_iter().enumerate() {
                let (replica, rank) = (self.replica_of(owner), self.owners[owner]);
                let at = self.builder.join(Place { layer, micro_batch }, Some(rank), &arrived);
                self.builder.program.outs.push(Port { replica, micro_batch, rank, at });
            }
        }
    }

    /// The pieces in which tokens travel to their experts: one where they travel before anybody knows which expert needs them.
    pub(super) fn dispatch_overlap(&self) -> Overlap {
        match self.plan.dispatch {
            Dispatch::M2n => self.builder.scenario.overlap,
            Dispatch::Broadcast => Overlap::None,
        }
    }

    /// The counts of a layer and wave.
    pub(super) fn traffic_at(&self, place: Place) -> TrafficIdx {
        self.traffic[place.layer as usize][place.micro_batch as usize]
    }

    /// The tokens of `owner` in a wave.
    pub(super) fn owned_tokens(&self, wave: usize, owner: usize) -> Range<u32> {
        let by_replica = &self.waves[wave].batch.owned;
        let n_members = by_replica[0].len();
        by_replica[owner / n_members][owner % n_members].clone()
    }

    fn replica_of(&self, owner: usize) -> u32 {
        let per_replica = self.plan.attention.heads * self.plan.attention.sequences;
        u32::try_from(owner).expect("fewer than 2^32 GPUs") / per_replica
    }
}
