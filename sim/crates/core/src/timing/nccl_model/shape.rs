//! The sizes of a collective from which everything follows.

use crate::inputs::measurement::{CollectiveWork, Machine, Operation};

/// Counts and bytes of a collective on a machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) operation: Operation,
    pub(super) bytes: f64,
    pub(super) n_gpus: f64,
    pub(super) n_nodes: u32,
    pub(super) n_per_node: f64,
    /// Steps round a ring.
    pub(super) n_steps: f64,
    /// Those of them that leave a node.
    pub(super) n_net_steps: f64,
    /// GB/s from one GPU to the others of its node.
    pub(super) reach: f64,
    /// The same as a share of all its links.
    pub(super) reach_share: f64,
    /// GB/s of all NICs of a node.
    pub(super) nics: f64,
    /// Microseconds by which a hop inside a node takes longer than on the fitted machine.
    pub(super) hop_excess_us: f64,
    /// The same between nodes.
    pub(super) net_excess_us: f64,
}

impl Shape {
    pub(super) fn new(work: &CollectiveWork, machine: &Machine) -> Self {
        let (n_gpus, n_nodes) = (f64::from(work.n_gpus), f64::from(work.n_nodes));
        let passes = match work.operation {
            Operation::AllReduce => 2.0,
            Operation::AllGather | Operation::ReduceScatter | Operation::Broadcast | Operation::AllToAll => {
                1.0
            }
        };
        let n_per_node = work.n_gpus.div_ceil(work.n_nodes);
        let reach = machine.reach(n_per_node);
        Self {
            operation: work.operation,
            bytes: work.bytes as f64,
            n_gpus,
            n_nodes: work.n_nodes,
            n_per_node: f64::from(n_per_node),
            n_steps: passes * (n_gpus - 1.0),
            n_net_steps: passes * (n_nodes - 1.0),
            reach,
            reach_share: reach / machine.nvlink,
            nics: machine.nics(),
            hop_excess_us: machine.hop_excess_us,
            net_excess_us: machine.net_excess_us,
        }
    }

    /// One rank's part of the buffer.
    pub(super) fn shard(&self) -> f64 {
        self.bytes / self.n_gpus
    }

    /// Bytes that each GPU of a ring, or each node of two trees, sends.
    pub(super) fn sent(&self) -> f64 {
        match self.operation {
            Operation::Broadcast => self.bytes,
            Operation::AllReduce | Operation::AllGather | Operation::ReduceScatter | Operation::AllToAll => {
                self.n_steps * self.shard()
            }
        }
    }
}
