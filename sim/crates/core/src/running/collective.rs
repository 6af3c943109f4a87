//! Collectives as flows on links: rings, trees, direct exchanges, and hierarchies of them.
//!
//! Without a profile the wires alone say how long a collective takes, and the fastest way is taken. With one, NCCL's way of
//! choosing decides, and the flows have the latencies and rates that were measured, so that alone they take
//! what the profile says; together with others they share links.

mod calibrated;
mod channels;
mod choice;
mod compressed;
mod direct;
mod hierarchy;
mod kind;
mod ring;
mod sends;
mod timed;
mod tree;

pub use crate::work::collectives::CollectiveKind;
pub use choice::Collectives;
pub use compressed::{Compressed, compressed};
pub use kind::Algorithm;
pub use sends::{FittedSend, Message, SendFlow, SendLaunch, grouped_sends, single_send};

use masim_engine::Flow;
use masim_units::{Bytes, SimDuration};

use crate::fabric::{Fabric, FabricPath};
use crate::inputs::topology::GpuIdx;
use crate::timing::nccl_model::Protocol;

/// Flows that start together; the next phase starts when all have ended.
pub type Phase = Vec<Flow>;

/// A collective, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collective {
    /// How it is done.
    pub algorithm: Algorithm,
    /// Model of a profile; none where wires alone decide.
    pub nccl: Option<NcclWay>,
    /// What happens, in order.
    pub phases: Vec<Phase>,
    /// How long it takes alone; without a profile, launch not included.
    pub time_alone: SimDuration,
}

impl Collective {
    /// How long it takes alone, launch included: `launch` where no profile says what launching costs.
    pub fn time_with(&self, launch: SimDuration) -> SimDuration {
        match self.nccl {
            Some(_) => self.time_alone,
            None => self.time_alone.saturating_add(launch),
        }
    }

    /// The flows of phase `idx`, launch included as in [`Collective::time_with`].
    pub fn flows_with(&self, idx: usize, launch: SimDuration) -> Phase {
        let mut flows = self.phases[idx].clone();
        if idx == 0 && self.nccl.is_none() {
            for flow in &mut flows {
                flow.latency += launch;
            }
        }
        flows
    }
}

/// What a profile says of a collective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NcclWay {
    /// The protocol, of the largest part where there are several.
    pub protocol: Protocol,
    /// True if fitted rows cover it.
    pub is_covered: bool,
    /// Blocks that the kernel keeps on each GPU.
    pub n_channels: u32,
}

/// One collective by one algorithm on wires alone; `None` where the group does not have the shape for it.
///
/// # Panics
///
/// For a group of fewer than two GPUs.
pub fn collective(
    kind: CollectiveKind,
    algorithm: Algorithm,
    group: &[GpuIdx],
    bytes: Bytes,
    fabric: &mut Fabric,
) -> Option<Collective> {
    assert!(group.len() >= 2, "a collective of one GPU is nothing");
    let phases = match algorithm {
        Algorithm::OneRing => vec![vec![ring::one_ring(kind, group, bytes, fabric)?]],
        Algorithm::Ring => vec![ring::rings(kind, group, bytes, fabric)?],
        Algorithm::Tree => vec![tree::trees(kind, group, bytes, fabric)?],
        Algorithm::Direct => direct::direct(kind, group, bytes, fabric),
        Algorithm::Rail => staged(hierarchy::rail(kind, group, bytes, fabric.cluster())?, fabric),
        Algorithm::Leader => staged(hierarchy::leader(kind, group, bytes, fabric.cluster())?, fabric),
    };
    let time_alone = phases.iter().map(|phase| fabric.time_alone(phase)).sum();
    Some(Collective { algorithm, nccl: None, phases, time_alone })
}

/// Stages on wires alone: rings across nodes, and inside them direct exchanges or, from and to one GPU, chains.
fn staged(stages: Vec<hierarchy::Stage>, fabric: &mut Fabric) -> Vec<Phase> {
    let one = |stage: &hierarchy::Stage, group: &Vec<GpuIdx>, fabric: &mut Fabric| {
        let hierarchy::Stage { kind, bytes, .. } = *stage;
        match (stage.reach, kind) {
            (_, CollectiveKind::AllToAll)
            | (
                hierarchy::Reach::Inside,
                CollectiveKind::AllGather | CollectiveKind::ReduceScatter | CollectiveKind::AllReduce,
            ) => direct::direct(kind, group, bytes, fabric).concat(),
            (hierarchy::Reach::Across, _) => ring::one_ring(kind, group, bytes, fabric).into_iter().collect(),
            (hierarchy::Reach::Inside, CollectiveKind::Broadcast | CollectiveKind::Reduce) => {
                ring::rings(kind, group, bytes, fabric).unwrap_or_default()
            }
        }
    };
    let phase = |stage: hierarchy::Stage| {
        let groups = stage.groups.iter().filter(|group| group.len() > 1);
        groups.flat_map(|group| one(&stage, group, fabric)).collect()
    };
    stages.into_iter().map(phase).collect()
}

/// `bytes / n`, rounded up.
fn share(bytes: Bytes, n: usize) -> Bytes {
    Bytes(bytes.0.div_ceil(n as u64))
}

fn flow(wire: FabricPath, bytes: Bytes, latency: SimDuration) -> Flow {
    Flow { path: wire.path, bytes, latency, rate_cap: None }
}
