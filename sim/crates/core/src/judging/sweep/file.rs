//! What the YAML of a sweep says, word for word.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::inputs::text::kind::rest_of;
use crate::inputs::topology::ReferenceFile;
use crate::scenario::ScenarioFile;
use crate::scenario::strategy_file::StrategyFile;

/// Values by path, in the order of the file.
pub type ByPathFile = serde_json::Map<String, serde_json::Value>;

/// A sweep, such as `scenarios/ratios.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// Version of the format; 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The scenario that the points vary: a path relative to this file, or the scenario itself.
    pub base: ReferenceFile<ScenarioFile>,
    /// The grid of these items; the keys inside one item, which hold lists of equal length, are zipped.
    #[serde(default)]
    pub axes: Vec<ByPathFile>,
    /// Points where all conditions of an item hold are left out; a value or `=`, `!=`, `<`, `<=`, `>`, `>=` and a value.
    #[serde(default)]
    pub exclude: Vec<ByPathFile>,
    /// Strategies that every point is compared with.
    #[serde(default)]
    pub baselines: Vec<BaselineFile>,
}

/// A strategy that replaces that of the base; axes that name `strategy` do not apply to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineFile {
    /// Its name in the results.
    pub name: String,
    /// The column by which the best of several strategies is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_of: Option<String>,
    /// True if it is tuned as the splits are; `false` keeps it out of the verdict.
    #[serde(default = "yes")]
    pub tuned: bool,
    /// One strategy, or several with `best_of`.
    pub strategy: StrategiesFile,
}

fn yes() -> bool {
    true
}

/// One strategy or several.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StrategiesFile {
    /// One.
    One(Box<StrategyFile>),
    /// Several.
    Several(Vec<StrategyFile>),
}

impl StrategiesFile {
    /// All of them.
    pub fn all(&self) -> &[StrategyFile] {
        match self {
            Self::One(strategy) => std::slice::from_ref(strategy),
            Self::Several(strategies) => strategies,
        }
    }
}

impl<'de> Deserialize<'de> for StrategiesFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrategiesVisitor)
    }
}

struct StrategiesVisitor;

impl<'de> Visitor<'de> for StrategiesVisitor {
    type Value = StrategiesFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a strategy or a list of strategies")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StrategiesFile, A::Error> {
        rest_of(map).map(|strategy| StrategiesFile::One(Box::new(strategy)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<StrategiesFile, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(StrategiesFile::Several)
    }
}
