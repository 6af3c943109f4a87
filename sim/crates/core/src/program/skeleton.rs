//! The part of a program that is equal in every step: values, instructions, and who waits for whom.

use super::instr::{Counts, Does, Instr, InstrIdx, Kernel, Message, Need};
use super::size::{Fill, Rows};
use super::value::{GroupIdx, Value};
use crate::inputs::topology::GpuIdx;

/// Values, instructions and edges.
///
/// Instructions stand in an order in which every one follows those that it waits for, and in which every rank runs those of
/// each of its queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skeleton {
    /// Values, by [`super::ValueIdx`].
    pub values: Vec<Value>,
    /// Instructions, by [`InstrIdx`].
    pub instrs: Vec<Instr>,
    /// Needs of all instructions, one after the other.
    pub needs: Vec<Need>,
    /// Kernels of all instructions.
    pub kernels: Vec<Kernel>,
    /// Messages of all exchanges.
    pub messages: Vec<Message>,
    /// Groups of ranks, by [`GroupIdx`].
    pub groups: Vec<Vec<GpuIdx>>,
}

/// A position in each array of a skeleton.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// In the values.
    pub values: u32,
    /// In the instructions.
    pub instrs: u32,
    /// In the needs.
    pub needs: u32,
    /// In the kernels.
    pub kernels: u32,
    /// In the messages.
    pub messages: u32,
}

/// A named end of a program: the `out` of a step meets the `in` of equal name of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The replica.
    pub replica: u32,
    /// The micro-batch.
    pub micro_batch: u32,
    /// The rank.
    pub rank: GpuIdx,
    /// The point that waits, or that is waited for.
    pub at: Need,
}

impl Skeleton {
    /// The needs of an instruction.
    pub fn needs_of(&self, instr: &Instr) -> &[Need] {
        &self.needs[instr.needs.start as usize..instr.needs.end as usize]
    }

    /// The ends of all arrays.
    pub fn mark(&self) -> Mark {
        let count = |n: usize| u32::try_from(n).expect("fewer than 2^32 parts of a program");
        Mark {
            values: count(self.values.len()),
            instrs: count(self.instrs.len()),
            needs: count(self.needs.len()),
            kernels: count(self.kernels.len()),
            messages: count(self.messages.len()),
        }
    }

    /// Counts of rows and groups of rows that instructions name.
    pub fn n_sizes(&self) -> (usize, usize) {
        let after = |rows: Rows| if let Rows::At(at) = rows { at.0 as usize + 1 } else { 0 };
        let of_values = self.values.iter().map(|value| after(value.data.rows));
        let of_messages = self.messages.iter().map(|message| after(message.rows));
        let of_kernels = self.kernels.iter().map(|kernel| match kernel.fill {
            Fill::Rows(at) => (at.0 as usize + 1, 0),
            Fill::Grouped(at) => (0, at.0 as usize + 1),
            Fill::Fixed => (0, 0),
        });
        let of_collectives = self.instrs.iter().map(|instr| match &instr.does {
            Does::Collective { counts: Counts::Even { rows, .. }, .. } => after(*rows),
            Does::Collective { counts: Counts::ByPair(_), .. }
            | Does::Kernels { .. }
            | Does::Exchange { .. }
            | Does::HostStep { .. }
            | Does::Join { .. } => 0,
        });
        let of_data = of_values.chain(of_messages).chain(of_collectives).map(|rows| (rows, 0));
        of_data.chain(of_kernels).fold((0, 0), |most, next| (most.0.max(next.0), most.1.max(next.1)))
    }

    /// The ranks of a group.
    pub fn group(&self, group: GroupIdx) -> &[GpuIdx] {
        &self.groups[group.0 as usize]
    }

    /// Instructions with their positions.
    pub fn indexed(&self) -> impl Iterator<Item = (InstrIdx, &Instr)> {
        (0..).map(InstrIdx).zip(&self.instrs)
    }
}
