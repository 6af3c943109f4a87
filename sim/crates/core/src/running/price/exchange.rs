//! Messages between pairs of ranks: M senders, N receivers.
//!
//! A GPU sends one group of messages after the other, as grouped sends on one communication stream do;
//! the messages of a group share the wires, and each receiver goes on with what it has.

use masim_engine::{TaskId, Work};

use super::movement::{Message as Sized, Movement};
use super::step::TaskInfo;
use super::{Pricer, Pricing, collective_stream, send_stream};
use crate::inputs::topology::GpuIdx;
use crate::program::{Activity, Instr, InstrIdx, Label, Message, Posted, Program};

impl Pricer<'_> {
    /// Adds a group of messages from `src`; every receiver goes on with its own.
    pub(super) fn exchange(
        &mut self,
        pricing: &mut Pricing,
        (program, idx, instr): (&Program, InstrIdx, &Instr),
        (src, posted): (GpuIdx, Posted),
        messages: &[Message],
    ) -> TaskId {
        let mut after = pricing.after(program, instr);
        let info = |message: &Message| TaskInfo {
            to: Some(message.to),
            ..TaskInfo::new((idx, instr.label), Some(src))
        };
        let streams = match posted {
            Posted::InGroups => {
                return self.group_of_messages(pricing, (idx, instr), (src, after), messages);
            }
            Posted::Relayed => Vec::new(),
            Posted::InTurn => {
                after.extend(self.host_launch(pricing, (idx, instr.label.place), src, 1));
                vec![send_stream(src)]
            }
        };
        let mut end = None;
        for message in messages {
            let movement = self.single_send(src, self.sized(message));
            let task = self.transfer(pricing, &streams, &after, (movement, info(message)));
            pricing.made(message, task);
            end = Some(task);
        }
        end.expect("a single send is a message")
    }

    /// Messages that leave together after the sender's earlier groups have arrived.
    fn group_of_messages(
        &mut self,
        pricing: &mut Pricing,
        (idx, instr): (InstrIdx, &Instr),
        (src, mut after): (GpuIdx, Vec<TaskId>),
        messages: &[Message],
    ) -> TaskId {
        let at = (idx, Label::new(Activity::Barrier, instr.label.place));
        let last = pricing.groups.get(src.0 as usize).copied().flatten();
        after.extend(last.map(|(_, end)| end));
        if !messages.is_empty() {
            after.extend(self.host_launch(pricing, (idx, instr.label.place), src, 1));
        }
        let start = pricing.step.push(&[], &after, Work::Barrier, TaskInfo::new(at, Some(src)));
        let sized: Vec<Sized> = messages.iter().map(|message| self.sized(message)).collect();
        let movements = self.grouped(src, &sized);
        let mut arrivals = Vec::with_capacity(messages.len());
        for (message, movement) in messages.iter().zip(movements) {
            let info = TaskInfo { to: Some(message.to), ..TaskInfo::new((idx, instr.label), Some(src)) };
            let task = self.transfer(pricing, &[], &[start], (movement, info));
            pricing.made(message, task);
            arrivals.push(task);
        }
        let end = if arrivals.is_empty() {
            start
        } else {
            pricing.step.push(&[], &arrivals, Work::Barrier, TaskInfo::new(at, Some(src)))
        };
        if let Some(group) = pricing.groups.get_mut(src.0 as usize) {
            *group = Some((last.map_or(start, |(first, _)| first), end));
        }
        end
    }

    /// Messages among the members of `group`, which all go on when the last has arrived.
    pub(super) fn by_pair(
        &mut self,
        pricing: &mut Pricing,
        (program, idx, instr): (&Program, InstrIdx, &Instr),
        group: &[GpuIdx],
        messages: &[Message],
    ) -> TaskId {
        let mut sent = Vec::with_capacity(messages.len());
        for of_sender in messages.chunk_by(|a, b| a.from == b.from) {
            let sized: Vec<Sized> = of_sender.iter().map(|message| self.sized(message)).collect();
            sent.extend(self.grouped(of_sender[0].from, &sized));
        }
        let movement = Movement::joined(sent);
        let streams: Vec<_> = group.iter().map(|&gpu| collective_stream(gpu)).collect();
        let mut after = pricing.after(program, instr);
        let at = (idx, instr.label.place);
        after.extend(group.iter().filter_map(|&gpu| self.host_launch(pricing, at, gpu, 1)));
        self.transfer(pricing, &streams, &after, (movement, TaskInfo::new((idx, instr.label), None)))
    }

    fn sized(&self, message: &Message) -> Sized {
        Sized { dst: message.to, bytes: message.bytes(&self.sizes) }
    }
}

impl Pricing {
    /// Notes the task with which a message arrives.
    fn made(&mut self, message: &Message, task: TaskId) {
        if let (Some(value), true) = (message.writes, self.is_first()) {
            self.makers[value.0 as usize] = task;
        }
    }
}
