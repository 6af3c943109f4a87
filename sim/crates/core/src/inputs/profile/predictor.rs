//! The time predictor of a profile.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorsFile, SetReferenceFile, SplitFile};
use crate::inputs::text::Problem;

/// Networks that predict times, written by `masim calibrate --predictor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictorFile {
    /// Seed of the first weights and of the order of the rows.
    pub seed: u64,
    /// Which rows were kept aside.
    pub split: SplitFile,
    /// `attention` and `moe`.
    pub networks: BTreeMap<String, NetworkFile>,
}

/// One network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// The families whose rows it was trained on.
    pub families: Vec<String>,
    /// The tables of these families.
    pub sets: Vec<SetReferenceFile>,
    /// Its inputs.
    pub features: Vec<FeatureFile>,
    /// The logarithm of microseconds, as it comes out.
    pub target: TargetFile,
    /// From the inputs to the output, with max(0, x) between two layers.
    pub layers: Vec<LayerFile>,
    /// Errors on the rows.
    pub error: ErrorsFile,
    /// Quantiles of true over predicted times.
    pub residual: PredictorResidualFile,
}

/// An input: `(ln(value) - mean) / deviation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureFile {
    /// Name of the feature.
    pub name: String,
    /// Mean logarithm of the rows.
    pub mean: f64,
    /// Standard deviation of the logarithm.
    pub deviation: f64,
    /// Least and greatest value of the rows; beyond them times are extrapolated.
    pub covered: [f64; 2],
}

/// The output: `exp(mean + deviation x output)` microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// Mean logarithm of the rows.
    pub mean: f64,
    /// Standard deviation of the logarithm.
    pub deviation: f64,
}

/// Neurons of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerFile {
    /// A row for each neuron, a number for each neuron of the layer before.
    pub weights: Vec<Vec<f64>>,
    /// One for each neuron.
    pub biases: Vec<f64>,
}

/// Spread of measured / predicted - 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictorResidualFile {
    /// 5 % of the rows are below.
    pub q05: f64,
    /// 5 % of the rows are above.
    pub q95: f64,
}

impl PredictorFile {
    /// Numbers with which no time can be computed.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.networks.iter().flat_map(|(name, network)| network.problems(name)).collect()
    }
}

impl NetworkFile {
    fn problems(&self, name: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let scales = self.features.iter().map(|it| (it.name.as_str(), it.mean, it.deviation));
        for (what, mean, deviation) in scales.chain([("target", self.target.mean, self.target.deviation)]) {
            if !mean.is_finite() || !deviation.is_finite() || deviation <= 0.0 {
                let message = format!(
                    "`{what}`: found mean {mean} and deviation {deviation}; expected a number, and one above 0"
                );
                problems.push(Problem::new(&format!("predictor.networks.{name}"), message));
            }
        }
        for (at, layer) in self.layers.iter().enumerate() {
            if layer.weights.iter().flatten().chain(&layer.biases).any(|number| !number.is_finite()) {
                let key = format!("predictor.networks.{name}.layers[{at}]");
                problems.push(Problem::new(&key, "found a weight that is no number".to_owned()));
            }
        }
        problems
    }
}
