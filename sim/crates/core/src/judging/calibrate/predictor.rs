//! Trains the paper's time predictor on measurement sets.

use std::collections::BTreeMap;

use super::fit::{N_ROWS_MAX, distinct};
use super::{CalibrateError, HELD_OUT, SEED, Sample, Split, accuracy_file, gpu_of, reference};
use crate::inputs::measurement::{Family, MeasurementSet, Work};
use crate::inputs::profile::predictor::{NetworkFile, PredictorFile, PredictorResidualFile};
use crate::inputs::profile::{AccuracyFile, ErrorsFile, ProfileFile, SCHEMA, SplitFile};
use crate::timing::accuracy::{quantile, rounded};
use crate::timing::predictor::{Head, Predictor, covers, train};

/// A profile with the predictor of `sets`, and all families of `existing`; networks without rows stay as they were.
///
/// The rows that are kept aside are those that [`super::calibrate`] keeps aside.
///
/// # Errors
///
/// Sets of another card, or without rows that a network could learn.
///
/// # Panics
///
/// Without sets.
pub fn calibrate_predictor(
    name: &str,
    sets: &[MeasurementSet],
    existing: Option<ProfileFile>,
    seed: u64,
) -> Result<ProfileFile, CalibrateError> {
    let gpu = gpu_of(sets, existing.as_ref())?;
    let (families, before) =
        existing.map(|profile| (profile.families, profile.predictor)).unwrap_or_default();
    // A file has one seed: networks of another one are not kept.
    let before = before.filter(|before| before.seed == seed);
    let mut networks = before.map(|before| before.networks).unwrap_or_default();
    let mut n_trained = 0;
    for head in Head::ALL {
        if let Some(network) = network_of(head, sets, seed) {
            networks.insert(head.name().to_owned(), network);
            n_trained += 1;
        }
    }
    if n_trained == 0 {
        return Err(CalibrateError::NothingToPredict);
    }
    let split = SplitFile { seed: SEED, held_out: HELD_OUT };
    let source = if families.is_empty() {
        "trained by `masim calibrate --predictor` on the sets that each network names"
    } else {
        "fitted by `masim calibrate` to the sets that each family names"
    };
    Ok(ProfileFile {
        schema: SCHEMA,
        name: name.to_owned(),
        gpu,
        source: source.to_owned(),
        derived_from: None,
        date: None,
        families,
        predictor: Some(PredictorFile { seed, split, networks }),
    })
}

fn network_of(head: Head, sets: &[MeasurementSet], seed: u64) -> Option<NetworkFile> {
    let (mut families, mut references) = (Vec::new(), Vec::new());
    let (mut thin, mut fitted, mut held_out) = (Vec::new(), Vec::new(), Vec::new());
    for family in Family::ALL.into_iter().filter(|family| Head::of(*family) == Some(head)) {
        for (set, table) in sets.iter().filter_map(|set| Some((set, set.table(family)?))) {
            let split = Split::new(SEED, &set.name, table);
            let rows = table.rows.iter().filter(|row| covers(&row.work));
            let (aside, own): (Vec<_>, Vec<_>) = rows.partition(|row| split.is_held_out(row));
            if own.is_empty() {
                continue;
            }
            let own: Vec<_> = own.into_iter().map(|row| Sample { set, row }).collect();
            thin.extend(thinned(&own));
            fitted.extend(own);
            held_out.extend(aside.into_iter().map(|row| Sample { set, row }));
            references.push(reference(set, table));
            families.push(family.name().to_owned());
        }
    }
    families.dedup();
    if thin.is_empty() {
        return None;
    }
    let trained = train(head, &thin, seed);
    let mut file = NetworkFile {
        families,
        sets: references,
        features: trained.features,
        target: trained.target,
        layers: trained.layers,
        error: ErrorsFile {
            fit: AccuracyFile { n: 0, mape: 0.0, median_ape: 0.0, p95_ape: 0.0, bias: 0.0 },
            held_out: None,
        },
        residual: PredictorResidualFile { q05: 0.0, q95: 0.0 },
    };
    judge(head, &mut file, &fitted, &held_out);
    Some(file)
}

/// Work that was measured several times once, and not more rows than the fits of families see.
fn thinned(rows: &[Sample<'_>]) -> Vec<(Work, f64)> {
    let distinct = distinct(rows);
    let step = distinct.len().div_ceil(N_ROWS_MAX);
    distinct.into_iter().step_by(step).map(|(sample, time_us)| (sample.row.work, time_us)).collect()
}

/// Fills in how far the network, as it is written, is from the rows.
fn judge(head: Head, file: &mut NetworkFile, fitted: &[Sample<'_>], held_out: &[Sample<'_>]) {
    let networks = BTreeMap::from([(head.name().to_owned(), file.clone())]);
    let split = SplitFile { seed: SEED, held_out: HELD_OUT };
    let predictor = Predictor::of_file(&PredictorFile { seed: 0, split, networks });
    let predictor = predictor.expect("what was just written can be read");
    let errors = |rows: &[Sample<'_>]| -> Vec<f64> {
        let error = |sample: &Sample<'_>| {
            let guess = predictor.predict(&sample.row.work).expect("rows of its own head");
            guess.time_us / sample.row.time_us - 1.0
        };
        rows.iter().map(error).collect()
    };
    let (of_fit, of_held_out) = (errors(fitted), errors(held_out));
    let judged = if of_held_out.is_empty() { &of_fit } else { &of_held_out };
    let mut residuals: Vec<_> = judged.iter().map(|error| 1.0 / (1.0 + error) - 1.0).collect();
    residuals.sort_by(f64::total_cmp);
    let mark = |share| rounded(quantile(&residuals, share));
    file.residual = PredictorResidualFile { q05: mark(0.05), q95: mark(0.95) };
    let fit = accuracy_file(&of_fit).expect("there are rows to train on");
    file.error = ErrorsFile { fit, held_out: accuracy_file(&of_held_out) };
}
