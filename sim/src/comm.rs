//! How long communication takes: by wires alone, or as profiles of the cards say.

mod covered;
mod machine;

pub use machine::{capacities, machine_of};

use std::collections::BTreeMap;

use crate::measurement::{CollectiveWork, Family, Machine, PairsWork};
use crate::nccl::{NcclParams, NcclVersion, PairsParams};
use crate::profile::{CoveredFile, FamilyFile, ProfileFile};
use crate::scenario::Launch;
use crate::topology::GpuCard;

/// What is known of communication, by the card that it starts on; empty where wires alone decide.
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
    covered: BTreeMap<String, CoveredFile>,
    covered_pairs: BTreeMap<String, CoveredFile>,
}

/// Why a profile does not say how long communication takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommError {
    /// Another version may have written it.
    #[error("`{family}` is modelled by `{found}`; expected `{expected}`")]
    Form {
        /// The family.
        family: &'static str,
        /// In the profile.
        found: String,
        /// What this version knows.
        expected: &'static str,
    },
    /// A parameter is missing.
    #[error("`{family}` has no parameter `{name}`")]
    Parameter {
        /// The family.
        family: &'static str,
        /// The parameter.
        name: &'static str,
    },
}

impl CommModel {
    /// Wires alone decide.
    pub const IDEAL: Self = Self { by_card: BTreeMap::new() };

    /// What one profile says of its card; ideal where it has no collectives.
    ///
    /// # Errors
    ///
    /// [`CommError`] for a form or parameters that this version does not know.
    pub fn of_profile(profile: &ProfileFile) -> Result<Self, CommError> {
        Self::IDEAL.with_profile(&profile.gpu, profile)
    }

    /// This, and for communication that starts on `card` what `profile` says.
    ///
    /// # Errors
    ///
    /// [`CommError`] for a form or parameters that this version does not know.
    pub fn with_profile(mut self, card: &str, profile: &ProfileFile) -> Result<Self, CommError> {
        let family = |family: Family| profile.families.get(family.name());
        if let Some(collective) = family(Family::Collective) {
            let calibrated = Calibrated::of_families(collective, family(Family::P2p))?;
            self.by_card.insert(card.to_owned(), calibrated);
        }
        Ok(self)
    }

    /// What is known of communication that starts on `card`.
    pub fn of(&self, card: &str) -> Option<&Calibrated> {
        self.by_card.get(card)
    }
}

impl Calibrated {
    /// The models that a profile's families hold.
    ///
    /// # Errors
    ///
    /// [`CommError`] for a form or parameters that this version does not know.
    pub fn of_families(collective: &FamilyFile, pairs: Option<&FamilyFile>) -> Result<Self, CommError> {
        let params = values(Family::Collective, "nccl_protocols", NcclParams::NAMES, collective)?;
        let of_pairs = |file| values(Family::P2p, "launch_and_wire", PairsParams::NAMES, file);
        let of_pairs = pairs.map(of_pairs).transpose()?;
        Ok(Self {
            version: NcclVersion::of_stack(&collective.stack),
            params: NcclParams::from_values(&params),
            pairs: of_pairs.map(|values| PairsParams::from_values(&values)),
            covered: collective.covered.clone(),
            covered_pairs: pairs.map(|file| file.covered.clone()).unwrap_or_default(),
        })
    }

    /// Whether rows that were fitted cover a collective on such a machine.
    pub fn covers(&self, work: &CollectiveWork, machine: &Machine) -> bool {
        covered::collective(&self.covered, work, machine)
    }

    /// Whether rows that were fitted cover sends between pairs on such a machine.
    pub fn covers_pairs(&self, work: &PairsWork, machine: &Machine) -> bool {
        covered::pairs(&self.covered_pairs, work, machine)
    }

    /// The share of the rate of NICs that any kind of communication reaches.
    pub fn nic_efficiency(&self) -> f64 {
        let pairs = self.pairs.map_or(0.0, |pairs| pairs.nic_efficiency);
        self.params.nic_efficiency.max(pairs).min(1.0)
    }
}

/// What of a launch stays, in microseconds, of `launch_us` that were measured with kernels launched one by one.
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

/// The parameters of a family in the order of `names`.
fn values(
    family: Family,
    expected: &'static str,
    names: &'static [&'static str],
    file: &FamilyFile,
) -> Result<Vec<f64>, CommError> {
    if file.model != expected {
        return Err(CommError::Form { family: family.name(), found: file.model.clone(), expected });
    }
    let value = |&name: &&'static str| {
        file.params.get(name).copied().ok_or(CommError::Parameter { family: family.name(), name })
    };
    names.iter().map(value).collect()
}
