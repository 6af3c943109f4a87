//! The expert half of a layer on the GPUs of the expert pool.

use std::ops::Range;

use masim_engine::TaskId;
use masim_units::Bytes;

use super::m2n::single;
use super::movement::Message;
use super::routed::RoutedStep;
use super::step::{Activity, Place};
use super::traffic::{Traffic, rows_to_any};
use crate::cost::TooLong;
use crate::model::Op;
use crate::plan::share;
use crate::scenario::{Dispatch, Forward};
use crate::topology::GpuIdx;

/// Tasks that each receiver waits for.
type Arrivals = Vec<Vec<TaskId>>;

impl RoutedStep<'_, '_> {
    /// Sends the tokens of every owner to the GPUs of their experts, after `posts[owner]`.
    ///
    /// The result is by member of the expert pool.
    pub(super) fn dispatch(&mut self, place: Place, traffic: &Traffic, posts: &[TaskId]) -> Arrivals {
        let members: Vec<(u32, GpuIdx)> = self.plan.experts.members().collect();
        let mut arrivals = vec![Vec::new(); members.len()];
        let counted = self.counted(place, posts);
        for (owner, (&post, &known)) in posts.iter().zip(&counted).enumerate() {
            let src = self.owners[owner];
            if let Some(at) = members.iter().position(|(_, gpu)| *gpu == src) {
                arrivals[at].push(post);
            }
            let by_node: Vec<Vec<usize>> = match self.plan.forward {
                Forward::None => Vec::new(),
                Forward::Node => self.other_nodes(src, &members),
            };
            let forwarded = |at: &usize| by_node.iter().flatten().any(|other| other == at);
            let direct: Vec<usize> =
                (0..members.len()).filter(|at| members[*at].1 != src && !forwarded(at)).collect();
            let mut messages: Vec<Message> = direct
                .iter()
                .map(|&at| Message {
                    dst: members[at].1,
                    bytes: self.dispatch_bytes(place, traffic, owner, &[members[at].0]),
                })
                .collect();
            let local = self.lowering.scenario.cluster.gpu(src).local_idx as usize;
            for node in &by_node {
                let groups: Vec<u32> = node.iter().map(|&at| members[at].0).collect();
                let entry = members[node[local % node.len()]].1;
                messages
                    .push(Message { dst: entry, bytes: self.dispatch_bytes(place, traffic, owner, &groups) });
            }
            let what = (Activity::Dispatch, place);
            let sent = self.sends.group(self.lowering, &mut self.step, what, src, &messages, &[known]);
            for (at, task) in direct.iter().zip(&sent) {
                arrivals[*at].push(*task);
            }
            for (node, &at_entry) in by_node.iter().zip(&sent[direct.len()..]) {
                let entry = members[node[local % node.len()]].1;
                for &at in node {
                    let task = self.forward(place, traffic, (owner, entry), members[at], at_entry);
                    arrivals[at].push(task);
                }
            }
        }
        arrivals
    }

    /// The copy that `entry` hands on inside its node; its own is there already.
    fn forward(
        &mut self,
        place: Place,
        traffic: &Traffic,
        (owner, entry): (usize, GpuIdx),
        (group, gpu): (u32, GpuIdx),
        at_entry: TaskId,
    ) -> TaskId {
        if gpu == entry {
            return at_entry;
        }
        let message = Message { dst: gpu, bytes: self.dispatch_bytes(place, traffic, owner, &[group]) };
        single(self.lowering, &mut self.step, (Activity::Dispatch, place), (entry, message), &[at_entry])
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

    /// Bytes that `owner` sends for all of `groups` together: each token once.
    fn dispatch_bytes(&self, place: Place, traffic: &Traffic, owner: usize, groups: &[u32]) -> Bytes {
        let model = &self.lowering.scenario.model;
        let tokens = self.owned_tokens(place.micro_batch, owner);
        let rows = match (self.plan.dispatch, groups) {
            (Dispatch::Broadcast, _) => u64::from(tokens.end - tokens.start),
            (Dispatch::M2n, [group]) => traffic.rows(owner, *group),
            (Dispatch::M2n, groups) => rows_to_any(
                &tokens,
                &self.routing[place.layer as usize],
                self.plan.experts.map(place.layer),
                groups,
            ),
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
        arrivals: &[Vec<TaskId>],
    ) -> Result<Arrivals, TooLong> {
        let model = &self.lowering.scenario.model;
        let row = u64::from(model.hidden) * model.dtype.combine.bytes();
        let members: Vec<(u32, GpuIdx)> = self.plan.experts.members().collect();
        let mut returned = vec![Vec::new(); self.owners.len()];
        self.expert_tasks.clear();
        for (at, &(group, src)) in members.iter().enumerate() {
            let rank = at % self.plan.experts.tp() as usize;
            let ops = self.expert_ops(place, traffic, group, rank);
            let task =
                self.step.compute(self.lowering, (Activity::Experts, place), src, &ops, &arrivals[at])?;
            self.expert_tasks.push(task);
        }
        for (at, &(group, src)) in members.iter().enumerate() {
            let task = self.expert_tasks[at];
            let mut remote = Vec::new();
            for (owner, tasks) in returned.iter_mut().enumerate() {
                if self.owners[owner] == src {
                    tasks.push(task);
                } else {
                    remote.push(owner);
                }
            }
            let message = |&owner: &usize| Message {
                dst: self.owners[owner],
                bytes: Bytes(traffic.rows(owner, group) * row),
            };
            let messages: Vec<Message> = remote.iter().map(message).collect();
            let what = (Activity::Combine, place);
            let sent = self.sends.group(self.lowering, &mut self.step, what, src, &messages, &[task]);
            for (owner, arrival) in remote.into_iter().zip(sent) {
                returned[owner].push(arrival);
            }
        }
        Ok(returned)
    }

    /// The kernels of tensor-parallel rank `rank` of `group`.
    fn expert_ops(&self, place: Place, traffic: &Traffic, group: u32, rank: usize) -> Vec<Op> {
        let (ops, moe) = (self.lowering.ops, self.lowering.ops.moe());
        let choices = traffic.choices(group);
        let width = share::sizes(moe.expert_hidden, self.plan.experts.tp(), 0).nth(rank);
        let width = u64::from(width.expect("the rank is below tp"));
        let mut all = match self.plan.dispatch {
            Dispatch::M2n => Vec::new(),
            Dispatch::Broadcast => ops.gate(n_tokens(&self.waves[place.micro_batch as usize].batch.tokens)),
        };
        all.extend(ops.permute(choices));
        all.extend(ops.experts(traffic.group_rows(group), width));
        if moe.has_gate() {
            all.push(ops.combine_sum(choices, traffic.tokens(group)));
        }
        all
    }
}

fn n_tokens(range: &Range<u32>) -> u64 {
    u64::from(range.end - range.start)
}
