//! The time predictor of the paper: a small neural network that guesses times of attention and of experts.
//!
//! A comparison, not the default: the models of `fitted` know the physics, the network knows its rows only.

mod features;
mod network;
mod train;

pub use features::{Head, covers};
pub use train::train;

use std::collections::BTreeMap;

use nalgebra::DMatrix;

use self::features::Feature;
use self::network::Network;
use crate::inputs::measurement::{Family, Work};
use crate::inputs::profile::predictor::{NetworkFile, PredictorFile};

/// Trained networks, by what they predict.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictor {
    heads: BTreeMap<Head, Trained>,
    seed: u64,
    sets: BTreeMap<Head, Vec<String>>,
}

/// A network and the scales of what goes in and comes out.
#[derive(Clone, Debug, PartialEq)]
struct Trained {
    features: Vec<Scaled>,
    network: Network,
    mean: f64,
    deviation: f64,
    families: Vec<Family>,
    residual: (f64, f64),
}

/// A feature as the network sees it: its logarithm, shifted and scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scaled {
    feature: Feature,
    mean: f64,
    deviation: f64,
    covered: (f64, f64),
}

/// Prediction of a network.
///
/// # Units
///
/// Microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// Expected time.
    pub time_us: f64,
    /// 90 % of the rows that were kept aside lie between these two.
    pub interval_us: (f64, f64),
    /// True if every feature lies in the range of the rows that it was trained on.
    pub is_covered: bool,
}

/// Why a profile's predictor is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPredictor {
    /// A network for something else.
    #[error("network `{found}` predicts nothing that is known; expected `attention` or `moe`")]
    Head {
        /// Its name.
        found: String,
    },
    /// An input that this version cannot compute.
    #[error("network `{head}` wants `{found}`, which is no feature of its work")]
    Feature {
        /// The network.
        head: &'static str,
        /// The feature.
        found: String,
    },
    /// A family that the network does not cover.
    #[error("network `{head}` says that it was trained on `{found}`")]
    Family {
        /// The network.
        head: &'static str,
        /// The family.
        found: String,
    },
    /// Layers that do not follow on one another.
    #[error(
        "layer {layer} of network `{head}` does not fit: expected rows of {expected} weights with a bias each"
    )]
    Shape {
        /// The network.
        head: &'static str,
        /// Its layer, from 1.
        layer: usize,
        /// Outputs of the layer before.
        expected: usize,
    },
}

impl Predictor {
    /// The networks that a profile holds.
    ///
    /// # Errors
    ///
    /// Networks that this version does not know.
    pub fn of_file(file: &PredictorFile) -> Result<Self, UnknownPredictor> {
        let (mut heads, mut sets) = (BTreeMap::new(), BTreeMap::new());
        for (name, network) in &file.networks {
            let unknown = || UnknownPredictor::Head { found: name.clone() };
            let head = Head::of_name(name).ok_or_else(unknown)?;
            heads.insert(head, Trained::of_file(head, network)?);
            sets.insert(head, network.sets.iter().map(|set| set.name.clone()).collect());
        }
        Ok(Self { heads, seed: file.split.seed, sets })
    }

    /// The time of `work`; none for work that no network was trained for.
    pub fn predict(&self, work: &Work) -> Option<Guess> {
        let head = Head::of(work.family())?;
        let trained = self.heads.get(&head).filter(|trained| trained.families.contains(&work.family()))?;
        covers(work).then(|| trained.predict(work))
    }

    /// The seed of the split, where rows of `family` of the set called `set` were trained on.
    pub fn split_of(&self, family: Family, set: &str) -> Option<u64> {
        let head = Head::of(family)?;
        let is_trained = self.heads.get(&head)?.families.contains(&family);
        let of_set = self.sets.get(&head)?.iter().any(|name| name == set);
        (is_trained && of_set).then_some(self.seed)
    }

    /// True if a network predicts `family`.
    pub fn has(&self, family: Family) -> bool {
        let trained = Head::of(family).and_then(|head| self.heads.get(&head));
        trained.is_some_and(|trained| trained.families.contains(&family))
    }
}

impl Trained {
    fn of_file(head: Head, file: &NetworkFile) -> Result<Self, UnknownPredictor> {
        let mut features = Vec::new();
        for it in &file.features {
            let known = head.features().iter().copied().find(|feature| feature.name() == it.name);
            let unknown = || UnknownPredictor::Feature { head: head.name(), found: it.name.clone() };
            let [low, high] = it.covered;
            let feature = known.ok_or_else(unknown)?;
            features.push(Scaled { feature, mean: it.mean, deviation: it.deviation, covered: (low, high) });
        }
        let family = |name: &String| {
            let found = Family::of_name(name).filter(|family| Head::of(*family) == Some(head));
            found.ok_or_else(|| UnknownPredictor::Family { head: head.name(), found: name.clone() })
        };
        let families = file.families.iter().map(family).collect::<Result<_, _>>()?;
        let network = Network::of_file(features.len(), &file.layers)
            .map_err(|(layer, expected)| UnknownPredictor::Shape { head: head.name(), layer, expected })?;
        let (mean, deviation) = (file.target.mean, file.target.deviation);
        let residual = (file.residual.q05, file.residual.q95);
        Ok(Self { features, network, mean, deviation, families, residual })
    }

    fn predict(&self, work: &Work) -> Guess {
        let values: Vec<_> = self.features.iter().map(|it| it.feature.value(work)).collect();
        let scaled = self.features.iter().zip(&values);
        let scaled = scaled.map(|(it, value)| (libm::log(*value) - it.mean) / it.deviation);
        let inputs = DMatrix::from_iterator(values.len(), 1, scaled);
        let time_us = libm::exp(self.network.outputs(&inputs)[0] * self.deviation + self.mean);
        let inside = |(it, value): (&Scaled, &f64)| it.covered.0 <= *value && *value <= it.covered.1;
        let (low, high) = self.residual;
        Guess {
            time_us,
            interval_us: (time_us * (1.0 + low), time_us * (1.0 + high)),
            is_covered: self.features.iter().zip(&values).all(inside),
        }
    }
}
