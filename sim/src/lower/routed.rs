//! One step of a plan in which tokens travel to their experts.

use std::ops::Range;

use masim_engine::TaskId;

use super::Lowering;
use super::attention::AttentionBlock;
use super::head::{Stream, lm_head};
use super::m2n::SendOrder;
use super::step::{Place, Step};
use super::traffic::Traffic;
use crate::cost::TooLong;
use crate::load::StepRouting;
use crate::model::Op;
use crate::plan::{MicroBatch, RoutedPlan};
use crate::scenario::{Dispatch, Schedule, Workload};
use crate::topology::GpuIdx;

/// A step under construction.
pub(super) struct RoutedStep<'s, 'a> {
    pub(super) lowering: &'s mut Lowering<'a>,
    pub(super) plan: &'s RoutedPlan,
    pub(super) routing: &'s StepRouting,
    pub(super) micro_batches: Vec<MicroBatch>,
    /// GPUs whose residual stream holds tokens, replica after replica.
    pub(super) owners: Vec<GpuIdx>,
    pub(super) step: Step,
    pub(super) sends: SendOrder,
    /// The expert tasks of the layer and micro-batch emitted last, by member.
    pub(super) expert_tasks: Vec<TaskId>,
    /// `[micro-batch][owner]`: what the next block begins with.
    inputs: Vec<Vec<(Vec<Op>, Vec<TaskId>)>>,
    /// The barrier that closed the last slot of a lockstep schedule.
    slot: Option<TaskId>,
}

pub(super) fn lower(
    lowering: &mut Lowering,
    plan: &RoutedPlan,
    routing: &StepRouting,
) -> Result<Step, TooLong> {
    let Workload::Decode { batch, .. } = lowering.scenario.workload;
    let n_gpus = lowering.scenario.cluster.n_gpus();
    let mut run = RoutedStep {
        plan,
        routing,
        micro_batches: plan.attention.micro_batches(batch, plan.n_micro_batches),
        owners: plan.attention.members().map(|(_, _, gpu)| gpu).collect(),
        step: Step::default(),
        sends: SendOrder::new(n_gpus),
        expert_tasks: Vec::new(),
        inputs: Vec::new(),
        slot: None,
        lowering,
    };
    let starts = run.begin();
    for layer in 0..run.lowering.scenario.model.n_layers {
        run.layer(layer)?;
    }
    let tokens = run.finish()?;
    let mut step = run.step;
    step.carries = run.sends.carries().chain(starts.into_iter().zip(tokens)).collect();
    Ok(step)
}

impl RoutedStep<'_, '_> {
    /// A starting point for each micro-batch and owner: the token of the step before.
    fn begin(&mut self) -> Vec<TaskId> {
        let ops = self.lowering.ops;
        let embed = self.lowering.scenario.model.vocab.is_some();
        let mut starts = Vec::new();
        for micro_batch in 0..self.plan.n_micro_batches {
            let place = Place { layer: 0, micro_batch };
            let inputs = (0..self.owners.len()).map(|owner| {
                let start = self.step.barrier(place, Some(self.owners[owner]), &[]);
                starts.push(start);
                let tokens = n_tokens(&owned(&self.micro_batches[micro_batch as usize], owner));
                let mut first = if embed { vec![ops.embedding(tokens)] } else { Vec::new() };
                first.push(ops.norm(tokens));
                (first, vec![start])
            });
            let inputs = inputs.collect();
            self.inputs.push(inputs);
        }
        starts
    }

    /// Both halves of a layer for every micro-batch.
    ///
    /// On shared GPUs the attention of all micro-batches comes first, so that the tokens of one travel
    /// while the next computes; separate pools take turns as data arrives.
    fn layer(&mut self, layer: u32) -> Result<(), TooLong> {
        let places: Vec<Place> =
            (0..self.plan.n_micro_batches).map(|micro_batch| Place { layer, micro_batch }).collect();
        let mut waiting = Vec::new();
        for &place in &places {
            let traffic = self.traffic(place);
            let posts = self.attention(place, &traffic)?;
            self.close_slot(place, &posts);
            let arrivals = self.dispatch(place, &traffic, &posts);
            waiting.push((place, traffic, arrivals));
            if !self.plan.colocated {
                self.second_half(&mut waiting)?;
            }
        }
        self.second_half(&mut waiting)
    }

    fn second_half(&mut self, waiting: &mut Vec<(Place, Traffic, Vec<Vec<TaskId>>)>) -> Result<(), TooLong> {
        for (place, traffic, mut arrivals) in waiting.drain(..) {
            if let Some(slot) = self.slot {
                for tasks in &mut arrivals {
                    tasks.push(slot);
                }
            }
            let returned = self.experts_and_combine(place, &traffic, &arrivals)?;
            let ops = self.lowering.ops;
            let last_layer = place.layer + 1 == self.lowering.scenario.model.n_layers;
            let no_head = last_layer && self.lowering.scenario.model.vocab.is_none();
            let inputs = returned.into_iter().enumerate().map(|(owner, after)| {
                let tokens = n_tokens(&self.owned_tokens(place.micro_batch, owner));
                let members = self.plan.experts.members();
                let rows: u64 = members.map(|(group, _)| traffic.rows(owner, group)).sum();
                let mut first = Vec::new();
                if rows > tokens {
                    first.push(ops.combine_sum(rows, tokens));
                }
                first.push(if no_head { ops.residual(tokens) } else { ops.residual_norm(tokens) });
                (first, after)
            });
            self.inputs[place.micro_batch as usize] = inputs.collect();
        }
        Ok(())
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
                micro_batch: &self.micro_batches[place.micro_batch as usize],
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

    /// The head of every micro-batch; the result is, by micro-batch and owner, where the token is known.
    fn finish(&mut self) -> Result<Vec<TaskId>, TooLong> {
        let heads = self.plan.attention.heads;
        let n_layers = self.lowering.scenario.model.n_layers;
        let mut tokens = Vec::new();
        for micro_batch in 0..self.plan.n_micro_batches {
            let place = Place { layer: n_layers, micro_batch };
            let mut inputs = std::mem::take(&mut self.inputs[micro_batch as usize]).into_iter();
            let first = tokens.len();
            for (replica, owned) in
                self.plan.attention.replicas.iter().zip(&self.micro_batches[micro_batch as usize].owned)
            {
                for rank in 0..self.plan.attention.sequences {
                    let members = (rank * heads) as usize..((rank + 1) * heads) as usize;
                    let n_rank_tokens = owned[members].iter().map(n_tokens).sum();
                    let first = inputs.by_ref().take(heads as usize).collect();
                    let group = replica.head_group(rank, heads);
                    let stream = (n_rank_tokens, Stream::Sharded);
                    tokens.extend(lm_head(self.lowering, &mut self.step, place, group, stream, first)?);
                }
            }
            let done = self.step.barrier(place, None, &tokens[first..]);
            self.step.done.push(done);
        }
        Ok(tokens)
    }

    fn traffic(&self, place: Place) -> Traffic {
        let owners: Vec<Range<u32>> =
            (0..self.owners.len()).map(|owner| self.owned_tokens(place.micro_batch, owner)).collect();
        let map = self.plan.experts.map(place.layer);
        Traffic::count(&owners, &self.routing[place.layer as usize], map, self.plan.experts.groups.len())
    }

    /// The tokens of `owner` in a micro-batch.
    pub(super) fn owned_tokens(&self, micro_batch: u32, owner: usize) -> Range<u32> {
        owned(&self.micro_batches[micro_batch as usize], owner)
    }
}

fn owned(micro_batch: &MicroBatch, owner: usize) -> Range<u32> {
    let per_replica = micro_batch.owned[0].len();
    micro_batch.owned[owner / per_replica][owner % per_replica].clone()
}

fn n_tokens(range: &Range<u32>) -> u64 {
    u64::from(range.end - range.start)
}
