//! Fits the models of families to measurement sets.

mod fit;
mod predictor;
mod residual;
mod simplex;
mod simulated;
mod split;
#[cfg(test)]
mod tests;

pub use predictor::calibrate_predictor;
pub use simulated::{CannotSimulate, simulated_set};
pub use split::{HELD_OUT, Split};

use crate::inputs::measurement::{Family, MeasurementSet, Row, Table};
use crate::inputs::profile::{
    AccuracyFile, ErrorsFile, FamilyFile, ProfileFile, SCHEMA, SetReferenceFile, SplitFile,
};
use crate::timing::accuracy::{accuracy, rounded};
use crate::timing::fitted::{Covered, FittedModel, Form};

/// The seed of every split, unless a profile says otherwise.
pub const SEED: u64 = 1;

/// Why sets cannot be fitted together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrateError {
    /// A profile belongs to one card.
    #[error("set `{set}` was measured on `{found}`, but the profile is for `{expected}`")]
    OtherGpu {
        /// The set.
        set: String,
        /// Its card.
        found: String,
        /// That of the profile or the first set.
        expected: String,
    },
    /// There is nothing to train a predictor on.
    #[error("no set has rows of attention_decode, attention_prefill or moe in a format of two bytes")]
    NothingToPredict,
    /// There is nothing to fit.
    #[error(
        "no set has rows that can be fitted, in a number format of its card; expected a table of {}",
        family_names()
    )]
    NoTables,
}

fn family_names() -> String {
    Family::ALL.map(Family::name).join(", ")
}

/// A set and its table of the family being fitted.
type Sources<'a> = Vec<(&'a MeasurementSet, &'a Table)>;

/// A profile with all families of `sets` fitted anew, and those of `existing` that the sets do not have.
///
/// # Errors
///
/// Sets of another card, or without anything to fit.
///
/// # Panics
///
/// Without sets.
pub fn calibrate(
    name: &str,
    sets: &[MeasurementSet],
    existing: Option<ProfileFile>,
) -> Result<ProfileFile, CalibrateError> {
    let gpu = gpu_of(sets, existing.as_ref())?;
    let (mut families, predictor) =
        existing.map(|profile| (profile.families, profile.predictor)).unwrap_or_default();
    let mut n_fitted = 0;
    for family in Family::ALL {
        let sources: Sources<'_> =
            sets.iter().filter_map(|set| set.table(family).map(|table| (set, table))).collect();
        if let Some(fitted) = calibrate_family(family, &sources) {
            families.insert(family.name().to_owned(), fitted);
            n_fitted += 1;
        }
    }
    if n_fitted == 0 {
        return Err(CalibrateError::NoTables);
    }
    let source = "fitted by `masim calibrate` to the sets that each family names".to_owned();
    Ok(ProfileFile {
        schema: SCHEMA,
        name: name.to_owned(),
        gpu,
        source,
        derived_from: None,
        date: None,
        families,
        predictor,
    })
}

/// The one card of `sets` and of the profile that they go into.
fn gpu_of(sets: &[MeasurementSet], existing: Option<&ProfileFile>) -> Result<String, CalibrateError> {
    let first = sets.first().expect("a set at least");
    let gpu = existing.map_or(&first.gpu, |profile| &profile.gpu).clone();
    if let Some(other) = sets.iter().find(|set| set.gpu != gpu) {
        let (set, found) = (other.name.clone(), other.gpu.clone());
        return Err(CalibrateError::OtherGpu { set, found, expected: gpu });
    }
    Ok(gpu)
}

fn calibrate_family(family: Family, sources: &Sources<'_>) -> Option<FamilyFile> {
    if sources.is_empty() {
        return None;
    }
    let mut stacks: Vec<&str> = sources.iter().map(|(set, _)| set.stack.as_str()).collect();
    stacks.dedup();
    let stack = stacks.join("; ");
    let form = Form::new(family, &stack);
    let splits: Vec<_> = sources.iter().map(|(set, table)| Split::new(SEED, &set.name, table)).collect();
    let parts = |is_held_out: bool| {
        sources.iter().zip(&splits).flat_map(move |(&(set, table), split)| {
            let rows = table.rows.iter().filter(move |row| split.is_held_out(row) == is_held_out);
            // A card says nothing about number formats that it does not have.
            let can = move |row: &&Row| form.predict_us(form.start(), &row.work, &set.site).is_some();
            rows.filter(can).map(move |row| Sample { set, row })
        })
    };
    let fitted: Vec<_> = parts(false).collect();
    let held_out: Vec<_> = parts(true).collect();
    if fitted.is_empty() {
        return None;
    }
    let assumed = assumed(form, &fitted);
    let model = fit::fit(form, &fitted, &assumed);
    let judged = if held_out.is_empty() { &fitted } else { &held_out };
    let mut spread = residual::of_model(&model, judged);
    spread.extend(residual::between_sets(form, &fitted, judged, &assumed));
    Some(FamilyFile {
        stack,
        sets: sources.iter().map(|&(set, table)| reference(set, table)).collect(),
        split: SplitFile { seed: SEED, held_out: HELD_OUT },
        model: form.name().to_owned(),
        params: model.params(),
        assumed,
        covered: Covered::by(fitted.iter().map(|sample| &sample.row.work)).into_file(),
        error: ErrorsFile {
            fit: accuracy_of(&model, &fitted).expect("there are rows to fit"),
            held_out: accuracy_of(&model, &held_out),
        },
        residuals: residual::files(family, &spread),
        jitter: residual::jitter(&fitted).map(rounded),
    })
}

fn reference(set: &MeasurementSet, table: &Table) -> SetReferenceFile {
    SetReferenceFile {
        name: set.name.clone(),
        sha256: table.sha256.clone(),
        source: set.source.clone(),
        licence: set.licence.clone(),
    }
}

/// A row and the set that it belongs to.
#[derive(Clone, Copy, Debug)]
struct Sample<'a> {
    set: &'a MeasurementSet,
    row: &'a Row,
}

/// Parameters that no row depends on.
fn assumed(form: Form, rows: &[Sample<'_>]) -> Vec<String> {
    let special = form.special_params().iter();
    let idle = special.filter(|(_, concerns)| !rows.iter().any(|sample| concerns(&sample.row.work)));
    idle.flat_map(|(names, _)| names.iter().map(|name| (*name).to_owned())).collect()
}

fn accuracy_of(model: &FittedModel, rows: &[Sample<'_>]) -> Option<AccuracyFile> {
    let predicted = |sample: &Sample<'_>| {
        Some(model.predict_us(&sample.row.work, &sample.set.site)? / sample.row.time_us - 1.0)
    };
    accuracy_file(&rows.iter().filter_map(predicted).collect::<Vec<_>>())
}

/// The figures of the errors `predicted / measured - 1`, as profiles state them.
fn accuracy_file(errors: &[f64]) -> Option<AccuracyFile> {
    let found = accuracy(errors)?;
    Some(AccuracyFile {
        n: found.n,
        mape: rounded(found.mape),
        median_ape: rounded(found.median_ape),
        p95_ape: rounded(found.p95_ape),
        bias: rounded(found.bias),
    })
}
