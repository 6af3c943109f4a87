//! Which algorithm a group takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use masim_units::Bytes;

use super::calibrated::{Rules, calibrated};
use super::{Algorithm, Collective, CollectiveKind, collective};
use crate::fabric::Fabric;
use crate::inputs::topology::GpuIdx;
use crate::scenario::{AlgorithmRule, CollectiveRules, Launch, ProtocolRule};
use crate::timing::nccl_model::Protocol;

/// The collectives of a simulation, each worked out once.
#[derive(Debug)]
pub struct Collectives {
    rules: CollectiveRules,
    launch: Launch,
    known: BTreeMap<(CollectiveKind, u64, Vec<GpuIdx>), Arc<Collective>>,
}

impl Collectives {
    /// None is known yet.
    pub fn new(rules: CollectiveRules, launch: Launch) -> Self {
        Self { rules, launch, known: BTreeMap::new() }
    }

    /// The way in which `group` does `kind` on a buffer of `bytes` in all (nccl-tests convention): the forced one
    /// where the group has the shape for it, else NCCL's choice or, on wires alone, the fastest.
    ///
    /// # Panics
    ///
    /// For a group of fewer than two GPUs.
    pub fn choose(
        &mut self,
        kind: CollectiveKind,
        group: &[GpuIdx],
        bytes: Bytes,
        fabric: &mut Fabric,
    ) -> Arc<Collective> {
        let key = (kind, bytes.0, group.to_vec());
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let chosen = Arc::new(self.fresh(kind, group, bytes, fabric));
        self.known.insert(key, Arc::clone(&chosen));
        chosen
    }

    /// The collective of [`Collectives::choose`], worked out anew and not kept.
    ///
    /// # Panics
    ///
    /// For a group of fewer than two GPUs.
    pub fn fresh(
        &self,
        kind: CollectiveKind,
        group: &[GpuIdx],
        bytes: Bytes,
        fabric: &mut Fabric,
    ) -> Collective {
        let forced = forced_algorithm(self.rules.algorithm);
        let chosen = forced.and_then(|algorithm| self.by(kind, Some(algorithm), group, bytes, fabric));
        let chosen = chosen.or_else(|| self.by(kind, None, group, bytes, fabric));
        chosen.expect("every group has a way to do everything")
    }

    /// `algorithm`, or where none is given the one that is chosen; `None` where the group has not the shape for it.
    ///
    /// # Panics
    ///
    /// For a group of fewer than two GPUs.
    pub fn by(
        &self,
        kind: CollectiveKind,
        algorithm: Option<Algorithm>,
        group: &[GpuIdx],
        bytes: Bytes,
        fabric: &mut Fabric,
    ) -> Option<Collective> {
        if fabric.calibrated(group[0]).is_some() {
            let rules = Rules { protocol: forced_protocol(self.rules.protocol), launch: self.launch };
            return calibrated(rules, kind, algorithm, group, bytes, fabric);
        }
        match algorithm {
            Some(algorithm) => collective(kind, algorithm, group, bytes, fabric),
            None => fastest(kind, group, bytes, fabric),
        }
    }
}

/// The fastest way on wires alone, the first of equals.
fn fastest(kind: CollectiveKind, group: &[GpuIdx], bytes: Bytes, fabric: &mut Fabric) -> Option<Collective> {
    let candidates: &[Algorithm] = match kind {
        CollectiveKind::AllGather | CollectiveKind::ReduceScatter | CollectiveKind::AllReduce => {
            &[Algorithm::OneRing, Algorithm::Direct, Algorithm::Rail]
        }
        CollectiveKind::Broadcast | CollectiveKind::Reduce => {
            &[Algorithm::Ring, Algorithm::Direct, Algorithm::Leader]
        }
        CollectiveKind::AllToAll => &[Algorithm::Direct, Algorithm::Rail],
    };
    let collectives = candidates.iter().filter_map(|&it| collective(kind, it, group, bytes, fabric));
    collectives.min_by_key(|it| it.time_alone)
}

const fn forced_algorithm(rule: AlgorithmRule) -> Option<Algorithm> {
    match rule {
        AlgorithmRule::Auto => None,
        AlgorithmRule::Ring => Some(Algorithm::Ring),
        AlgorithmRule::Tree => Some(Algorithm::Tree),
        AlgorithmRule::Direct => Some(Algorithm::Direct),
        AlgorithmRule::Rail => Some(Algorithm::Rail),
        AlgorithmRule::Leader => Some(Algorithm::Leader),
    }
}

const fn forced_protocol(rule: ProtocolRule) -> Option<Protocol> {
    match rule {
        ProtocolRule::Auto => None,
        ProtocolRule::Ll => Some(Protocol::LowLatency),
        ProtocolRule::Ll128 => Some(Protocol::LowLatency128),
        ProtocolRule::Simple => Some(Protocol::Simple),
    }
}
