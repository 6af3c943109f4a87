//! Calibrated profiles: what `masim calibrate` writes, and never a person.

pub mod predictor;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inputs::text::{InputError, Library, Problem, RefKind, SourceText, Tree, parse_yaml};

/// The newest version of the format.
pub const SCHEMA: u32 = 1;

/// A profile, `topologies/profiles/<name>.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// Version of the format; 1.
    pub schema: u32,
    /// The profile's name, also the stem of its file.
    pub name: String,
    /// Name of the GPU card.
    pub gpu: String,
    /// Author of the profile.
    pub source: String,
    /// The profile of another card that it was taken from: shares of that card's figures, applied to this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<String>,
    /// When it was written, `2026-01-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Fitted families, by name.
    pub families: BTreeMap<String, FamilyFile>,
    /// The paper's time predictor, where it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictor: Option<predictor::PredictorFile>,
}

/// The fitted model of a family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FamilyFile {
    /// The software that ran, for each set.
    pub stack: String,
    /// Measurement sets that it was fitted to.
    pub sets: Vec<SetReferenceFile>,
    /// Which rows were kept aside.
    pub split: SplitFile,
    /// Name of the model.
    pub model: String,
    /// Its parameters.
    pub params: BTreeMap<String, f64>,
    /// Those that no fitted row depends on: they keep the value with which fits begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// Ranges of the fitted rows; beyond them times are extrapolated.
    pub covered: BTreeMap<String, CoveredFile>,
    /// Errors of the model on the rows.
    pub error: ErrorsFile,
    /// Quantiles of true over predicted times.
    pub residuals: Vec<ResidualFile>,
    /// Standard deviation of a time from run to run, as a share; null where nothing was measured several times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
}

/// A set that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetReferenceFile {
    /// Name of its folder.
    pub name: String,
    /// Hash of the family's table.
    pub sha256: String,
    /// Author of the measurements.
    pub source: String,
    /// Licence of the measurements.
    pub licence: String,
}

/// Split of the groups of shapes into fitted and held-out ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitFile {
    /// Seed of the order of the groups.
    pub seed: u64,
    /// The share of the groups, rounded up.
    pub held_out: f64,
}

/// Values that fitted rows have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected two whole numbers, or names")]
pub enum CoveredFile {
    /// The least and the greatest.
    Range([u64; 2]),
    /// All of them.
    Names(Vec<String>),
}

/// Errors of a model on its rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorsFile {
    /// From those that it was fitted to.
    pub fit: AccuracyFile,
    /// From those that were kept aside; null where a single group cannot be split.
    pub held_out: Option<AccuracyFile>,
}

/// Relative errors, as shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccuracyFile {
    /// Number of rows.
    pub n: u64,
    /// Mean of |predicted / measured - 1|.
    pub mape: f64,
    /// Half of the rows are closer.
    pub median_ape: f64,
    /// 95 % of the rows are closer.
    pub p95_ape: f64,
    /// Mean of predicted / measured - 1.
    pub bias: f64,
}

/// Spread of measured / predicted - 1 in a band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResidualFile {
    /// Name of the band.
    pub regime: String,
    /// 5 % of the rows are below.
    pub q05: f64,
    /// A quarter is below.
    pub q25: f64,
    /// Half is below.
    pub q50: f64,
    /// A quarter is above.
    pub q75: f64,
    /// 5 % of the rows are above.
    pub q95: f64,
    /// Number of rows; a regime with few of them has the spread of the family.
    pub n: u64,
    /// Share of the rows of one half of the groups between the 5 % marks of the other half; null where rows are few.
    #[serde(default)]
    pub coverage: Option<f64>,
}

impl ProfileFile {
    /// Reads a profile.
    ///
    /// # Errors
    ///
    /// The one syntax error, the first malformed key, or a version that is not known.
    pub fn read(source: &SourceText) -> Result<Self, InputError> {
        let file: Self = parse_yaml(source)?;
        if file.schema != SCHEMA {
            let message = format!("found {}; this version reads schema {SCHEMA}", file.schema);
            return Err(InputError::new(source, vec![Problem::new("schema", message)]));
        }
        let broken = file.families.iter().flat_map(|(family, fitted)| {
            let of_family = fitted.params.iter().filter(|(_, value)| !(value.is_finite() && **value > 0.0));
            of_family.map(move |(name, value)| {
                Problem::new(
                    &format!("families.{family}.params.{name}"),
                    format!("found {value}; expected a number above 0"),
                )
            })
        });
        let broken_networks = file.predictor.iter().flat_map(predictor::PredictorFile::problems);
        let problems: Vec<_> = broken.chain(broken_networks).collect();
        if problems.is_empty() { Ok(file) } else { Err(InputError::new(source, problems)) }
    }

    /// The file's text.
    pub fn to_yaml(&self) -> String {
        format!("# Written by `masim calibrate`; not to be edited by hand.\n{}", Tree::of(self).to_yaml())
    }
}

/// The profile of all stacks of the card `gpu` together, if `library` has one; `from` names the file that asks.
///
/// # Errors
///
/// A profile that exists and cannot be read; as [`ProfileFile::read`].
pub fn generic_of(gpu: &str, library: &dyn Library, from: &str) -> Result<Option<ProfileFile>, InputError> {
    let name = format!("{gpu}-generic");
    if !library.has(RefKind::Profile, &name, from) {
        return Ok(None);
    }
    let asking = SourceText { path: from.to_owned(), text: String::new() };
    let text = library
        .load(RefKind::Profile, &name, from)
        .map_err(|message| InputError::new(&asking, vec![Problem::new("profile", message)]))?;
    ProfileFile::read(&text).map(Some)
}

impl ProfileFile {
    /// Profile of another card `gpu` of the same generation, from this profile completed by that of all stacks.
    ///
    /// Parameters are microseconds and shares of the card's figures, so that they carry over; nothing there was measured.
    #[must_use]
    pub fn derived(&self, generic: Option<&Self>, name: &str, gpu: &str) -> Self {
        let mut families = generic.map(|generic| generic.families.clone()).unwrap_or_default();
        families.extend(self.families.clone());
        Self {
            schema: SCHEMA,
            name: name.to_owned(),
            gpu: gpu.to_owned(),
            source: format!(
                "parameters of `{}`, fitted on `{}`, beside the figures of `{gpu}`",
                self.name, self.gpu
            ),
            derived_from: Some(self.name.clone()),
            date: None,
            families,
            predictor: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows one profile: nothing, a text, or one that cannot be read.
    struct One(Option<Result<&'static str, &'static str>>);

    impl Library for One {
        fn load(&self, _: RefKind, reference: &str, _: &str) -> Result<SourceText, String> {
            let text = self.0.ok_or_else(|| format!("no profile `{reference}`"))??;
            Ok(SourceText { path: format!("{reference}.yaml"), text: text.to_owned() })
        }

        fn has(&self, _: RefKind, _: &str, _: &str) -> bool {
            self.0.is_some()
        }
    }

    #[test]
    fn a_profile_of_all_stacks_may_be_missing_but_not_unreadable() {
        let found = |one| generic_of("a100", &One(one), "scenarios/x.yaml");
        assert_eq!(found(None).unwrap(), None);
        let unreadable = found(Some(Err("`a100-generic.yaml`: permission denied"))).unwrap_err();
        assert_eq!(unreadable.source.path, "scenarios/x.yaml");
        assert_eq!(unreadable.problems[0].message, "`a100-generic.yaml`: permission denied");
        assert_eq!(found(Some(Ok("schema: 7\n"))).unwrap_err().source.path, "a100-generic.yaml");
    }
}
