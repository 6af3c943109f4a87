//! Models of communication, by the card that it starts on: fitted ones of profiles, or none.

use std::collections::BTreeMap;

use crate::inputs::measurement::{
    CollectiveWork, Family, Machine, PairsWork, ScaleUp, Work, known_nvlink_of,
};
use crate::inputs::topology::GpuCard;
use crate::scenario::{Launch, Profiles};
use crate::timing::fitted::{CardModels, Covered, FamilyModel, Origin};
use crate::timing::nccl_model::{NcclParams, NcclVersion, PairsParams};

/// Largest distance of a rate from the datasheet's at which a machine counts as one that was fitted.
const LIKE_FITTED: f64 = 0.01;

/// Largest distance of the latency of a hop from that of the fitted machine, in microseconds.
const LATENCY_LIKE_FITTED_US: f64 = 0.001;

/// Models of communication, by the card that it starts on; empty where wires alone decide.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommModel {
    by_card: BTreeMap<String, Calibrated>,
}

/// NCCL on one kind of card, as a profile has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// The version whose way of choosing is followed.
    pub version: NcclVersion,
    /// Collectives.
    pub params: NcclParams,
    /// Sends between pairs, where the profile has them.
    pub pairs: Option<PairsParams>,
    covered: Covered,
    covered_pairs: Covered,
    /// GB/s of all `NVLink`s of a GPU of the card, where its datasheet is known.
    nvlink: Option<f64>,
}

impl CommModel {
    /// Wires alone decide.
    pub const IDEAL: Self = Self { by_card: BTreeMap::new() };

    /// Models of the profiles of a scenario; for cards without collectives in theirs, wires alone decide.
    pub fn of_profiles(profiles: &Profiles) -> Self {
        let known = |(card, models): (&String, &std::sync::Arc<CardModels>)| {
            Some((card.clone(), Calibrated::of_card(card, models)?))
        };
        Self { by_card: profiles.cards.iter().filter_map(known).collect() }
    }

    /// Models of one profile.
    pub fn of_card(card: &str, models: &CardModels) -> Self {
        let known = Calibrated::of_card(card, models).map(|known| (card.to_owned(), known));
        Self { by_card: known.into_iter().collect() }
    }

    /// The model of communication that starts on `card`.
    pub fn of(&self, card: &str) -> Option<&Calibrated> {
        self.by_card.get(card)
    }
}

impl Calibrated {
    /// The models of a card; none where it has no fitted collectives.
    pub fn of_card(card: &str, models: &CardModels) -> Option<Self> {
        let collective = Fitted::of(models.family(Family::Collective)?)?;
        let pairs = models.family(Family::P2p).and_then(Fitted::of);
        Some(Self {
            version: NcclVersion::of_stack(collective.stack),
            params: NcclParams::from_values(collective.model.model.values()),
            covered: collective.covered,
            pairs: pairs.as_ref().map(|pairs| PairsParams::from_values(pairs.model.model.values())),
            covered_pairs: pairs.map(|pairs| pairs.covered).unwrap_or_default(),
            nvlink: known_nvlink_of(card),
        })
    }

    /// True if rows that were fitted cover a collective on such a machine.
    pub fn covers(&self, work: &CollectiveWork, machine: &Machine) -> bool {
        self.is_fitted_machine(machine) && self.covered.contains(&Work::Collective(*work))
    }

    /// True if rows that were fitted cover sends between pairs on such a machine.
    pub fn covers_pairs(&self, work: &PairsWork, machine: &Machine) -> bool {
        self.is_fitted_machine(machine) && self.covered_pairs.contains(&Work::Pairs(*work))
    }

    /// True if a machine is of the kind that was fitted: all so far had switches that give a GPU all of its links. GPUs that reach
    /// one another by PCIe, or over fewer or faster links, or with other latencies, are no such machine.
    fn is_fitted_machine(&self, machine: &Machine) -> bool {
        let is_alike = |nvlink: f64| (machine.nvlink / nvlink - 1.0).abs() <= LIKE_FITTED;
        let (hop, net) = (machine.hop_excess_us, machine.net_excess_us);
        let has_latencies = hop.abs().max(net.abs()) <= LATENCY_LIKE_FITTED_US;
        has_latencies && machine.scale_up == ScaleUp::Switch && self.nvlink.is_none_or(is_alike)
    }

    /// The share of the rate of NICs that any kind of communication reaches.
    pub fn nic_efficiency(&self) -> f64 {
        let pairs = self.pairs.map_or(0.0, |pairs| pairs.nic_efficiency);
        self.params.nic_efficiency.max(pairs).min(1.0)
    }
}

/// The part of a launch that stays, in microseconds, of `launch_us` that were measured with kernels launched one by one.
///
/// A replayed graph saves what the card says that it saves on any kernel; what the kernels of all GPUs need until they
/// have found one another stays. This is an assumption: no set has both.
pub fn kept_launch_us(launch_us: f64, launch: Launch, card: &GpuCard) -> f64 {
    let (eager, graph) = (card.roofline.launch_eager.as_us(), card.roofline.launch_graph.as_us());
    match launch {
        Launch::Eager => launch_us,
        Launch::Graph => (launch_us - (eager - graph).max(0.0)).max(graph.min(launch_us)),
    }
}

/// A model that was fitted on the card itself.
struct Fitted<'a> {
    model: &'a FamilyModel,
    stack: &'a str,
    covered: Covered,
}

impl<'a> Fitted<'a> {
    fn of(model: &'a FamilyModel) -> Option<Self> {
        match &model.origin {
            Origin::Profile { file, is_substitute, .. } => {
                // What stands in for another stack covers nothing.
                let covered =
                    if *is_substitute { Covered::default() } else { Covered::new(file.covered.clone()) };
                Some(Self { model, stack: &file.stack, covered })
            }
            Origin::Physics => None,
        }
    }
}
