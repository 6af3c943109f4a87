//! Tokens on their way between attention and expert GPUs: M senders, N receivers.
//!
//! A GPU sends one group of messages after the other, as grouped sends on one communication stream do;
//! the messages of a group share the wires, and each receiver goes on with what it has.

use masim_engine::TaskId;

use super::Lowering;
use super::movement::{Message, Movement};
use super::step::{Activity, Place, Step};
use crate::inputs::topology::GpuIdx;

/// Tasks that each receiver waits for.
pub(super) type Arrivals = Vec<Vec<TaskId>>;

/// The groups of messages that each GPU has sent so far in a step.
#[derive(Debug)]
pub(super) struct SendOrder {
    /// `[gpu]`: start of the first group, end of the last one.
    ends: Vec<Option<(TaskId, TaskId)>>,
}

impl SendOrder {
    pub(super) fn new(n_gpus: u32) -> Self {
        Self { ends: vec![None; n_gpus as usize] }
    }

    /// Emits a group of messages from `src`; the result is one task for each, which ends with its arrival.
    pub(super) fn group(
        &mut self,
        lowering: &mut Lowering,
        step: &mut Step,
        what: (Activity, Place),
        src: GpuIdx,
        messages: &[Message],
        after: &[TaskId],
    ) -> Vec<TaskId> {
        let place = what.1;
        let last = self.ends[src.0 as usize];
        let mut wait_for = Vec::from(after);
        wait_for.extend(last.map(|(_, end)| end));
        let start = step.barrier(place, Some(src), &wait_for);
        let movements = lowering.grouped(src, messages);
        let send = |(message, movement): (&Message, Movement)| {
            step.transfer(what, (Some(src), Some(message.dst)), &[], movement, &[start])
        };
        let arrivals: Vec<TaskId> = messages.iter().zip(movements).map(send).collect();
        let end = if arrivals.is_empty() { start } else { step.barrier(place, Some(src), &arrivals) };
        self.ends[src.0 as usize] = Some((last.map_or(start, |(first, _)| first), end));
        arrivals
    }

    /// The first group of the next step waits for the last one of this step.
    pub(super) fn carries(&self) -> impl Iterator<Item = (TaskId, TaskId)> {
        self.ends.iter().flatten().copied()
    }
}

/// One message outside any group, such as a copy forwarded inside a node.
pub(super) fn single(
    lowering: &mut Lowering,
    step: &mut Step,
    what: (Activity, Place),
    (src, message): (GpuIdx, Message),
    after: &[TaskId],
) -> TaskId {
    let movement = lowering.single_send(src, message);
    step.transfer(what, (Some(src), Some(message.dst)), &[], movement, after)
}
