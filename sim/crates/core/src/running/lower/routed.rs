//! One step of a plan in which tokens travel to their experts.

use std::ops::Range;

use masim_engine::TaskId;

use super::Lowering;
use super::attention::AttentionBlock;
use super::head::{Stream, lm_head};
use super::m2n::{Arrivals, SendOrder};
use super::pass::Tokens;
use super::step::{Place, Step};
use super::traffic::Traffic;
use super::wave::Wave;
use crate::inputs::topology::GpuIdx;
use crate::plan::RoutedPlan;
use crate::scenario::{Dispatch, Overlap, Schedule, Workload};
use crate::work::cost::TooLong;
use crate::work::ops::Op;
use crate::work::routing::StepRouting;

/// A step under construction.
pub(super) struct RoutedStep<'s, 'a> {
    pub(super) lowering: &'s mut Lowering<'a>,
    pub(super) plan: &'s RoutedPlan,
    pub(super) routing: &'s StepRouting,
    /// By micro-batch; of prompts one for each chunk too.
    pub(super) waves: Vec<Wave>,
    /// GPUs whose residual stream holds tokens, replica after replica.
    pub(super) owners: Vec<GpuIdx>,
    pub(super) step: Step,
    pub(super) sends: SendOrder,
    /// The expert tasks of the layer and micro-batch emitted last, by member.
    pub(super) expert_tasks: Vec<TaskId>,
    /// `[micro-batch][owner]`: what the next block begins with.
    pub(super) inputs: Vec<Vec<(Vec<Op>, Vec<TaskId>)>>,
    /// The barrier that closed the last slot of a lockstep schedule.
    slot: Option<TaskId>,
}

pub(super) fn lower(
    lowering: &mut Lowering,
    step: Step,
    plan: &RoutedPlan,
    routing: &StepRouting,
) -> Result<Step, TooLong> {
    let workload = &lowering.scenario.workload;
    let n_gpus = lowering.scenario.cluster.n_gpus();
    let is_of_prompts = matches!(workload, Workload::Prefill { .. });
    let mut run = RoutedStep {
        plan,
        routing,
        waves: Wave::all(workload, &plan.attention, plan.n_micro_batches),
        owners: plan.attention.members().map(|(_, _, gpu)| gpu).collect(),
        step,
        sends: SendOrder::new(n_gpus),
        expert_tasks: Vec::new(),
        inputs: Vec::new(),
        slot: None,
        lowering,
    };
    if is_of_prompts {
        run.prompts()?;
        return Ok(run.step);
    }
    run.tokens()
}

impl RoutedStep<'_, '_> {
    /// One token of every sequence.
    ///
    /// The step begins with the head: the token of the step before is chosen, then passes all layers. In this order
    /// a micro-batch that is ahead goes on with its next token while others are still in the last layer; with the heads
    /// at the end of a step, the in-order streams would drain the pools at every token.
    fn tokens(mut self) -> Result<Step, TooLong> {
        let starts = self.begin();
        for layer in 0..self.lowering.scenario.model.n_layers {
            self.layer(layer, 0..self.plan.n_micro_batches)?;
        }
        let ends = self.finish();
        let mut step = self.step;
        step.carries = self.sends.carries().chain(starts.into_iter().zip(ends)).collect();
        Ok(step)
    }

    /// A starting point for each micro-batch and owner: the last layer of the step before.
    ///
    /// What is summed there was sent in the step before; its rows are taken to be as many as in this step.
    fn begin(&mut self) -> Vec<TaskId> {
        let layer = self.lowering.scenario.model.n_layers - 1;
        let mut starts = Vec::new();
        for micro_batch in 0..self.plan.n_micro_batches {
            let place = Place { layer, micro_batch };
            let first = starts.len();
            for owner in 0..self.owners.len() {
                starts.push(self.step.barrier(place, Some(self.owners[owner]), &[]));
            }
            let traffic = self.traffic(place);
            let arrived = starts[first..].iter().map(|&start| vec![start]).collect();
            let inputs = self.sums(place, &traffic, arrived);
            self.inputs.push(inputs);
        }
        starts
    }

    /// Both halves of a layer for the micro-batches `together`.
    ///
    /// On shared GPUs the attention of all micro-batches comes first, so that the tokens of one travel
    /// while the next computes; separate pools take turns as data arrives.
    pub(super) fn layer(&mut self, layer: u32, together: Range<u32>) -> Result<(), TooLong> {
        let mut waiting = Vec::new();
        for place in together.map(|micro_batch| Place { layer, micro_batch }) {
            if layer == 0 && self.waves[place.micro_batch as usize].tokens == Tokens::Newest {
                self.head(place.micro_batch)?;
            }
            let traffic = self.traffic(place);
            let posts = self.attention(place, &traffic)?;
            self.close_slot(place, &posts);
            let arrivals = self.dispatch(place, &traffic, &posts);
            self.shared_experts(place, &posts)?;
            waiting.push((place, traffic, arrivals));
            if !self.plan.colocated {
                self.second_half(&mut waiting)?;
            }
        }
        self.second_half(&mut waiting)
    }

    fn second_half(&mut self, waiting: &mut Vec<(Place, Traffic, Vec<Arrivals>)>) -> Result<(), TooLong> {
        for (place, traffic, mut arrivals) in waiting.drain(..) {
            if let Some(slot) = self.slot {
                for tasks in &mut arrivals[0] {
                    tasks.push(slot);
                }
            }
            let returned = self.experts_and_combine(place, &traffic, &arrivals)?;
            self.inputs[place.micro_batch as usize] = self.sums(place, &traffic, returned);
        }
        Ok(())
    }

    /// The kernels that follow the expert half on every owner: sum by token, residual stream, norm.
    fn sums(
        &self,
        place: Place,
        traffic: &Traffic,
        arrived: Vec<Vec<TaskId>>,
    ) -> Vec<(Vec<Op>, Vec<TaskId>)> {
        let (ops, model) = (self.lowering.ops, &self.lowering.scenario.model);
        let no_head = place.layer + 1 == model.n_layers && model.vocab.is_none();
        let inputs = arrived.into_iter().enumerate().map(|(owner, after)| {
            let tokens = n_tokens(&self.owned_tokens(place.micro_batch, owner));
            let rows: u64 = self.plan.experts.members().map(|(group, _)| traffic.rows(owner, group)).sum();
            let mut first = Vec::new();
            if rows > tokens {
                first.push(ops.combine_sum(rows, tokens));
            }
            first.push(if no_head { ops.residual(tokens) } else { ops.residual_norm(tokens) });
            (first, after)
        });
        inputs.collect()
    }

    /// Attention of every replica; the result is the last task of each owner.
    fn attention(&mut self, place: Place, traffic: &Traffic) -> Result<Vec<TaskId>, TooLong> {
        let mut inputs = std::mem::take(&mut self.inputs[place.micro_batch as usize]).into_iter();
        let per_replica = (self.plan.attention.heads * self.plan.attention.sequences) as usize;
        let ops = self.lowering.ops;
        let experts: Vec<(u32, GpuIdx)> = self.plan.experts.members().collect();
        let mut posts = Vec::with_capacity(self.owners.len());
        for replica in 0..self.plan.attention.replicas.len() {
            let mut first: Vec<_> = inputs.by_ref().take(per_replica).collect();
            if let Some(slot) = self.slot {
                for (_, after) in &mut first {
                    after.push(slot);
                }
            }
            let outputs = |member: usize, tokens: u64| {
                let mut last = vec![ops.residual_norm(tokens)];
                if self.plan.dispatch == Dispatch::M2n {
                    let owner = replica * per_replica + member;
                    let sent = experts.iter().filter(|(_, gpu)| *gpu != self.owners[owner]);
                    last.extend(ops.gate(tokens));
                    last.extend(ops.permute(sent.map(|(group, _)| traffic.rows(owner, *group)).sum()));
                }
                last
            };
            let block = AttentionBlock {
                lowering: self.lowering,
                step: &mut self.step,
                layout: &self.plan.attention,
                wave: &self.waves[place.micro_batch as usize],
                replica,
                place,
            };
            posts.extend(block.emit(first, outputs)?);
        }
        Ok(posts)
    }

    /// In lockstep, both pools join before either goes on (the paper's barrier).
    fn close_slot(&mut self, place: Place, posts: &[TaskId]) {
        if self.plan.schedule == Schedule::Lockstep {
            let mut joined = Vec::from(posts);
            joined.extend_from_slice(&self.expert_tasks);
            self.slot = Some(self.step.barrier(place, None, &joined));
        }
    }

    /// The head of a micro-batch; its owners go on with the embedding of the new token.
    fn head(&mut self, micro_batch: u32) -> Result<(), TooLong> {
        let place = Place { layer: 0, micro_batch };
        let known = self.next_tokens(place)?;
        let next =
            known.into_iter().enumerate().map(|(owner, task)| (self.embedded(place, owner), vec![task]));
        let next = next.collect();
        self.inputs[micro_batch as usize] = next;
        Ok(())
    }

    /// The kernels with which tokens enter the layers on their owner.
    pub(super) fn embedded(&self, place: Place, owner: usize) -> Vec<Op> {
        let ops = self.lowering.ops;
        let tokens = n_tokens(&self.owned_tokens(place.micro_batch, owner));
        let embeds = self.lowering.scenario.model.vocab.is_some();
        embeds.then(|| ops.embedding(tokens)).into_iter().chain([ops.norm(tokens)]).collect()
    }

    /// LM head and sampling of every sequence; the result is, by owner, the task after which its tokens are known.
    pub(super) fn next_tokens(&mut self, place: Place) -> Result<Vec<TaskId>, TooLong> {
        let heads = self.plan.attention.heads;
        let mut inputs = std::mem::take(&mut self.inputs[place.micro_batch as usize]).into_iter();
        let mut known = Vec::with_capacity(self.owners.len());
        for (idx, replica) in self.plan.attention.replicas.iter().enumerate() {
            for rank in 0..self.plan.attention.sequences {
                let wave = &self.waves[place.micro_batch as usize];
                let stream = (wave.n_next(idx, rank, &self.plan.attention), Stream::Sharded);
                let first = inputs.by_ref().take(heads as usize).collect();
                let group = replica.head_group(rank, heads);
                known.extend(lm_head(self.lowering, &mut self.step, place, group, stream, first)?);
            }
        }
        let done = self.step.barrier(place, None, &known);
        self.step.done.push(done);
        Ok(known)
    }

    /// Where the outputs of the last layer have arrived, by micro-batch and owner.
    fn finish(&mut self) -> Vec<TaskId> {
        let layer = self.lowering.scenario.model.n_layers;
        let mut ends = Vec::new();
        for (micro_batch, inputs) in (0..).zip(std::mem::take(&mut self.inputs)) {
            for (owner, (_, arrived)) in inputs.into_iter().enumerate() {
                ends.push(self.step.barrier(
                    Place { layer, micro_batch },
                    Some(self.owners[owner]),
                    &arrived,
                ));
            }
        }
        ends
    }

    fn traffic(&self, place: Place) -> Traffic {
        let owners: Vec<Range<u32>> =
            (0..self.owners.len()).map(|owner| self.owned_tokens(place.micro_batch, owner)).collect();
        let map = self.plan.experts.map(place.layer);
        let n_groups = self.plan.experts.groups.len();
        let overlap = self.dispatch_overlap();
        Traffic::count(&owners, &self.routing[place.layer as usize], map, n_groups, overlap)
    }

    /// The pieces in which tokens travel to their experts: one where they travel before anybody knows which expert needs them.
    pub(super) fn dispatch_overlap(&self) -> Overlap {
        match self.plan.dispatch {
            Dispatch::M2n => self.lowering.scenario.overlap,
            Dispatch::Broadcast => Overlap::None,
        }
    }

    /// The tokens of `owner` in a micro-batch.
    pub(super) fn owned_tokens(&self, micro_batch: u32, owner: usize) -> Range<u32> {
        let by_replica = &self.waves[micro_batch as usize].batch.owned;
        let n_members = by_replica[0].len();
        by_replica[owner / n_members][owner % n_members].clone()
    }
}

fn n_tokens(range: &Range<u32>) -> u64 {
    u64::from(range.end - range.start)
}
