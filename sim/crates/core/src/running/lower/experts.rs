//! The expert half of a layer on the GPUs of the expert pool.

use std::ops::Range;

use masim_engine::TaskId;
use masim_units::Bytes;

use super::m2n::{Arrivals, single};
use super::movement::Message;
use super::routed::RoutedStep;
use super::step::{Activity, Place};
use super::traffic::{Traffic, rows_to_any};
use crate::inputs::topology::GpuIdx;
use crate::plan::share;
use crate::scenario::{Dispatch, Forward};
use crate::work::cost::TooLong;

impl RoutedStep<'_, '_> {
    /// Sends the tokens of every owner to the GPUs of their experts, after `posts[owner]`.
    ///
    /// The result is by chunk and member of the expert pool.
    pub(super) fn dispatch(&mut self, place: Place, traffic: &Traffic, posts: &[TaskId]) -> Vec<Arrivals> {
        let members: Vec<(u32, GpuIdx)> = self.plan.experts.members().collect();
        let n_chunks = self.dispatch_overlap().n_chunks();
        let mut arrivals = vec![vec![Vec::new(); members.len()]; n_chunks as usize];
        let counted = self.counted(place, posts);
        for (owner, (&post, &known)) in posts.iter().zip(&counted).enumerate() {
            let src = self.owners[owner];
            if let Some(at) = members.iter().position(|(_, gpu)| *gpu == src) {
                arrivals[0][at].push(post);
            }
            let by_node: Vec<Vec<usize>> = match self.plan.forward {
                Forward::None => Vec::new(),
                Forward::Node => self.other_nodes(src, &members),
            };
            for (chunk, arrivals) in (0..).zip(&mut arrivals) {
                let load = Load { place, traffic, owner, chunk };
                self.dispatch_chunk(&load, (&members, &by_node), known, arrivals);
            }
        }
        arrivals
    }

    /// Sends one chunk of the tokens of one owner.
    fn dispatch_chunk(
        &mut self,
        load: &Load,
        (members, by_node): (&[(u32, GpuIdx)], &[Vec<usize>]),
        after: TaskId,
        arrivals: &mut Arrivals,
    ) {
        let src = self.owners[load.owner];
        let forwarded = |at: &usize| by_node.iter().flatten().any(|other| other == at);
        let direct: Vec<usize> =
            (0..members.len()).filter(|at| members[*at].1 != src && !forwarded(at)).collect();
        let message = |dst, groups: &[u32]| Message { dst, bytes: self.dispatch_bytes(load, groups) };
        let mut messages: Vec<Message> =
            direct.iter().map(|&at| message(members[at].1, &[members[at].0])).collect();
        let local = self.lowering.scenario.cluster.gpu(src).local_idx as usize;
        for node in by_node {
            let groups: Vec<u32> = node.iter().map(|&at| members[at].0).collect();
            messages.push(message(members[node[local % node.len()]].1, &groups));
        }
        let what = (Activity::Dispatch, load.place);
        let sent = self.sends.group(self.lowering, &mut self.step, what, src, &messages, &[after]);
        for (at, task) in direct.iter().zip(&sent) {
            arrivals[*at].push(*task);
        }
        for (node, &at_entry) in by_node.iter().zip(&sent[direct.len()..]) {
            let entry = members[node[local % node.len()]].1;
            for &at in node {
                arrivals[at].push(self.forward(load, entry, members[at], at_entry));
            }
        }
    }

    /// The copy that `entry` hands on inside its node; its own is there already.
    fn forward(
        &mut self,
        load: &Load,
        entry: GpuIdx,
        (group, gpu): (u32, GpuIdx),
        at_entry: TaskId,
    ) -> TaskId {
        if gpu == entry {
            return at_entry;
        }
        let message = Message { dst: gpu, bytes: self.dispatch_bytes(load, &[group]) };
        let what = (Activity::Dispatch, load.place);
        single(self.lowering, &mut self.step, what, (entry, message), &[at_entry])
    }

    /// Members of the expert pool in nodes other than that of `src`, by node.
    fn other_nodes(&self, src: GpuIdx, members: &[(u32, GpuIdx)]) -> Vec<Vec<usize>> {
        let cluster = &self.lowering.scenario.cluster;
        let mut nodes = std::collections::BTreeMap::<u32, Vec<usize>>::new();
        for (at, (_, gpu)) in members.iter().enumerate() {
            nodes.entry(cluster.gpu(*gpu).node_idx).or_default().push(at);
        }
        nodes.remove(&cluster.gpu(src).node_idx);
        nodes.into_values().collect()
    }

    /// Bytes of a chunk that its owner sends for all of `groups` together: each token once.
    fn dispatch_bytes(&self, load: &Load, groups: &[u32]) -> Bytes {
        let Load { place, traffic, owner, chunk } = *load;
        let model = &self.lowering.scenario.model;
        let tokens = self.owned_tokens(place.micro_batch, owner);
        let (routing, map) = (&self.routing[place.layer as usize], self.plan.experts.map(place.layer));
        let rows = match (self.plan.dispatch, groups, &traffic.pieces) {
            (Dispatch::Broadcast, ..) => n_tokens(&tokens),
            (Dispatch::M2n, [group], None) => traffic.rows(owner, *group),
            (Dispatch::M2n, [group], Some(pieces)) => pieces.rows(owner, *group, chunk),
            (Dispatch::M2n, groups, None) => rows_to_any(&tokens, routing, map, groups),
            (Dispatch::M2n, groups, Some(pieces)) => {
                pieces.rows_to_any(&tokens, (routing, map), groups, chunk)
            }
        };
        Bytes(rows * u64::from(model.hidden) * model.dtype.dispatch.bytes())
    }

    /// Runs the experts of every member, and sends the sums of each back to the owners of the tokens.
    ///
    /// The result is, by owner, the tasks to wait for.
    pub(super) fn experts_and_combine(
        &mut self,
        place: Place,
        traffic: &Traffic,
        arrivals: &[Arrivals],
    ) -> Result<Arrivals, TooLong> {
        let members: Vec<(u32, GpuIdx)> = self.plan.experts.members().collect();
        let mut returned = vec![Vec::new(); self.owners.len()];
        self.expert_tasks.clear();
        let mut done = Vec::with_capacity(members.len());
        for (at, &(group, src)) in members.iter().enumerate() {
            let chunks = self.experts(place, traffic, (at, group, src), arrivals)?;
            self.expert_tasks.push(chunks[chunks.len() - 1]);
            done.push(chunks);
        }
        for (&(group, src), chunks) in members.iter().zip(&done) {
            let mut remote = Vec::new();
            for (owner, tasks) in returned.iter_mut().enumerate() {
                if self.owners[owner] == src {
                    tasks.push(chunks[chunks.len() - 1]);
                } else {
                    remote.push(owner);
                }
            }
            for (chunk, &task) in (0..).zip(chunks) {
                let message = |&owner: &usize| Message {
                    dst: self.owners[owner],
                    bytes: self.combine_bytes(traffic.rows(owner, group), chunk),
                };
                let messages: Vec<Message> = remote.iter().map(message).collect();
                let what = (Activity::Combine, place);
                let sent = self.sends.group(self.lowering, &mut self.step, what, src, &messages, &[task]);
                for (&owner, arrival) in remote.iter().zip(sent) {
                    returned[owner].push(arrival);
                }
            }
        }
        Ok(returned)
    }

    /// Bytes of a chunk of `rows` expert outputs: its share of their columns.
    fn combine_bytes(&self, rows: u64, chunk: u32) -> Bytes {
        let model = &self.lowering.scenario.model;
        let columns = self.lowering.scenario.overlap.share(u64::from(model.hidden), chunk);
        Bytes(rows * columns * model.dtype.combine.bytes())
    }

    /// The experts of member `at`, which is `gpu` in `group`: one task for each chunk of their outputs.
    ///
    /// Products that lead in follow the chunks that arrive, expert by expert; those that lead out are cut by columns,
    /// so that in both no weight is read twice.
    fn experts(
        &mut self,
        place: Place,
        traffic: &Traffic,
        (at, group, gpu): (usize, u32, GpuIdx),
        arrivals: &[Arrivals],
    ) -> Result<Vec<TaskId>, TooLong> {
        let (ops, moe) = (self.lowering.ops, self.lowering.ops.moe());
        let tp = self.plan.experts.tp();
        let width = share::sizes(moe.expert_hidden, tp, 0).nth(at % tp as usize);
        let width = u64::from(width.expect("the rank is below tp"));
        let choices = traffic.choices(group);
        let what = (Activity::Experts, place);
        let mut all = match self.plan.dispatch {
            Dispatch::M2n => Vec::new(),
            Dispatch::Broadcast => ops.gate(n_tokens(&self.waves[place.micro_batch as usize].batch.tokens)),
        };
        if let Some(pieces) = &traffic.pieces {
            let last = arrivals.len() - 1;
            for (chunk, arrived) in (0..).zip(arrivals) {
                let rows = pieces.group_rows(group, chunk);
                let [up, activation, _] = ops.experts(rows, width);
                all.extend(ops.permute(rows.rows));
                all.extend([up, activation]);
                if (chunk as usize) < last {
                    self.step.compute(self.lowering, what, gpu, &all, &arrived[at])?;
                    all.clear();
                }
            }
            all.extend(ops.experts(traffic.group_rows(group), width).last());
        } else {
            all.extend(ops.permute(choices));
            all.extend(ops.experts(traffic.group_rows(group), width));
        }
        if moe.has_gate() {
            all.push(ops.combine_sum(choices, traffic.tokens(group)));
        }
        let arrived = &arrivals[arrivals.len() - 1][at];
        self.step.compute_in_chunks(self.lowering, what, gpu, &all, arrived)
    }
}

/// What one owner sends at once.
struct Load<'t> {
    place: Place,
    traffic: &'t Traffic,
    owner: usize,
    chunk: u32,
}

fn n_tokens(range: &Range<u32>) -> u64 {
    u64::from(range.end - range.start)
}
