//! The queues of every rank, and the check that a program can run.

use super::instr::{Counts, Does, Instr, InstrIdx, Need};
use super::value::Holder;
use super::{Program, Skeleton};
use crate::inputs::topology::GpuIdx;

/// An in-order list of a rank's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// Kernels.
    Compute,
    /// Exchanges and collectives, which stand in the queues of every rank that takes part.
    Communication,
    /// The work of the host.
    Host,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Compute, Self::Communication, Self::Host];

    /// The name in program files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Communication => "communication",
            Self::Host => "host",
        }
    }
}

/// `[rank][queue]`: instructions in sequence, queues in the order of [`Queue::ALL`].
pub type Order = Vec<[Vec<InstrIdx>; 3]>;

/// A reason why a program cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrunnable {
    /// An instruction waits for one that does not stand before it, so that queues could wait for each other in a circle.
    #[error("instruction {instr} waits for {need}, which does not stand before it")]
    NotBefore {
        /// The instruction.
        instr: u32,
        /// The value or instruction that it waits for.
        need: String,
    },
    /// A rank, group, kernel, message, value or size that does not exist.
    #[error("instruction {instr} names {what} {found}; there are {n}")]
    NoSuch {
        /// The instruction.
        instr: u32,
        /// The kind of part.
        what: &'static str,
        /// Its position.
        found: u64,
        /// Parts of this kind.
        n: usize,
    },
}

impl Program {
    /// The order of every rank and queue.
    ///
    /// All queues follow the order of the skeleton, so that every communicator sees its exchanges and collectives in
    /// one order on all ranks.
    pub fn order(&self) -> Order {
        let mut order = vec![<[Vec<InstrIdx>; 3]>::default(); self.n_ranks as usize];
        for (idx, instr) in self.skeleton.indexed() {
            for (rank, queue) in self.skeleton.queues(instr) {
                order[rank.0 as usize][queue as usize].push(idx);
            }
        }
        order
    }

    /// Checks that every part exists, and that every instruction waits only for those that stand before it.
    ///
    /// # Errors
    ///
    /// [`Unrunnable`] names the first instruction that does not hold.
    pub fn check(&self) -> Result<(), Unrunnable> {
        let skeleton = &self.skeleton;
        let mut made = vec![false; skeleton.values.len()];
        for (idx, instr) in skeleton.indexed() {
            let exists = |what, found: u64, n: usize| {
                let is_there = usize::try_from(found).is_ok_and(|at| at < n);
                is_there.then_some(()).ok_or(Unrunnable::NoSuch { instr: idx.0, what, found, n })
            };
            for need in skeleton.needs_of(instr) {
                let is_before = match need {
                    Need::Value(value) => {
                        exists("value", value.0.into(), made.len())?;
                        made[value.0 as usize]
                    }
                    Need::After(other) => *other < idx,
                };
                if !is_before {
                    return Err(Unrunnable::NotBefore { instr: idx.0, need: format!("{need:?}") });
                }
            }
            for (rank, _) in skeleton.queues(instr) {
                exists("rank", rank.0.into(), self.n_ranks as usize)?;
            }
            for value in skeleton.made(instr) {
                exists("value", value.0.into(), made.len())?;
                made[value.0 as usize] = true;
            }
        }
        Ok(())
    }
}

impl Skeleton {
    /// The ranks and queues in which an instruction stands.
    pub fn queues(&self, instr: &Instr) -> Vec<(GpuIdx, Queue)> {
        match &instr.does {
            Does::Kernels { rank, .. } => vec![(*rank, Queue::Compute)],
            Does::HostStep { rank, .. } => vec![(*rank, Queue::Host)],
            Does::Join { .. } => Vec::new(),
            Does::Exchange { from, messages, .. } => {
                let messages = &self.messages[messages.start as usize..messages.end as usize];
                let receivers = messages.iter().map(|message| message.to);
                [*from].into_iter().chain(receivers).map(|rank| (rank, Queue::Communication)).collect()
            }
            Does::Collective { group, counts: Counts::Even { .. } | Counts::ByPair(_), .. } => {
                self.group(*group).iter().map(|&rank| (rank, Queue::Communication)).collect()
            }
        }
    }

    /// The values that an instruction makes.
    pub fn made(&self, instr: &Instr) -> Vec<super::ValueIdx> {
        let of_messages = match &instr.does {
            Does::Exchange { messages, .. } => {
                let messages = &self.messages[messages.start as usize..messages.end as usize];
                messages.iter().filter_map(|message| message.writes).collect()
            }
            Does::Kernels { .. } | Does::Collective { .. } | Does::HostStep { .. } | Does::Join { .. } => {
                Vec::new()
            }
        };
        instr.writes.into_iter().chain(of_messages).collect()
    }

    /// The ranks that have a value.
    pub fn holders(&self, holder: Holder) -> Vec<GpuIdx> {
        match holder {
            Holder::Rank(rank) => vec![rank],
            Holder::Group(group) => self.group(group).to_vec(),
        }
    }
}
