//! Where measured times lie beside predicted ones.

use std::collections::{BTreeMap, BTreeSet};

use super::{Sample, fit};
use crate::inputs::measurement::{Family, Work};
use crate::inputs::profile::ResidualFile;
use crate::timing::accuracy::{quantile, rounded};
use crate::timing::fitted::{FittedModel, Form, regime};
use crate::timing::regime::Regime;

/// A regime with fewer groups of rows than this says nothing by itself, and shares the spread of the family.
const N_ROWS_MIN: usize = 20;

/// The share of true times that an interval is to hold.
const COVERAGE: f64 = 0.9;

/// Widenings that are tried, and the step between them: up to twice as wide.
const N_WIDENINGS: u32 = 41;
const WIDENING: f64 = 0.025;

/// Rows that were measured more often than this say how much one run differs from the next.
const N_REPEATS_MIN: usize = 3;

/// measured / predicted - 1 of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residual {
    regime: Regime,
    /// Rows of one group of shapes err together: coverage is judged between halves of the groups.
    half: bool,
    value: f64,
}

/// The residuals of `rows` under a model.
pub(super) fn of_model(model: &FittedModel, rows: &[Sample<'_>]) -> Vec<Residual> {
    let of_row = |sample: &Sample<'_>| {
        let predicted = model.predict_us(&sample.row.work, &sample.set.site)?;
        let value = sample.row.time_us / predicted - 1.0;
        let group = sample.row.group.iter().flat_map(|text| text.bytes());
        // Any even division of the groups will do.
        let half = group.fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 2 == 0;
        Some(Residual { regime: regime(&sample.row.work, predicted), half, value })
    };
    rows.iter().filter_map(of_row).collect()
}

/// What each set would have seen of a model fitted to the others: the spread between stacks.
pub(super) fn between_sets(
    form: Form,
    fitted: &[Sample<'_>],
    judged: &[Sample<'_>],
    fixed: &[String],
) -> Vec<Residual> {
    let names: BTreeSet<&str> = fitted.iter().map(|sample| sample.set.name.as_str()).collect();
    if names.len() < 2 {
        return Vec::new();
    }
    let without = |name: &str| {
        let others: Vec<_> = fitted.iter().filter(|sample| sample.set.name != name).copied().collect();
        let own: Vec<_> = judged.iter().filter(|sample| sample.set.name == name).copied().collect();
        of_model(&fit::fit(form, &others, fixed), &own)
    };
    names.into_iter().flat_map(without).collect()
}

/// The spread in each regime, small ones together.
pub(super) fn files(family: Family, residuals: &[Residual]) -> Vec<ResidualFile> {
    let by_regime = |regime: Regime| {
        let own: Vec<_> = residuals.iter().filter(|it| it.regime == regime).copied().collect();
        if own.is_empty() {
            return None;
        }
        let is_enough = own.len() >= N_ROWS_MIN;
        Some(file(regime, own.len(), if is_enough { &own } else { residuals }))
    };
    Regime::of_family(family).filter_map(by_regime).collect()
}

fn file(regime: Regime, n: usize, residuals: &[Residual]) -> ResidualFile {
    let sorted = |keep: fn(&Residual) -> bool| {
        let mut values: Vec<_> = residuals.iter().filter(|it| keep(it)).map(|it| it.value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (all, halves) = (sorted(|_| true), [sorted(|it| it.half), sorted(|it| !it.half)]);
    let wide = widening(&halves);
    let middle = quantile(&all, 0.5);
    let at = |share: f64| rounded(middle + wide * (quantile(&all, share) - middle));
    ResidualFile {
        regime: regime.name().to_owned(),
        q05: at(0.05),
        q25: at(0.25),
        q50: at(0.5),
        q75: at(0.75),
        q95: at(0.95),
        n: n as u64,
        coverage: coverage(&halves, wide).map(rounded),
    }
}

/// How much wider the spread of one half of the groups must be to hold 90 % of the other half.
///
/// Groups err together, so that those of a fit which nobody has seen lie further apart than those that are counted.
fn widening(halves: &[Vec<f64>; 2]) -> f64 {
    let is_enough = |wide: &f64| coverage(halves, *wide).is_none_or(|share| share >= COVERAGE);
    (0..N_WIDENINGS).map(|n| 1.0 + f64::from(n) * WIDENING).find(is_enough).unwrap_or(1.0)
}

/// How many values of each half lie between the 5 % marks of the other one, `wide` times as far from its middle; none
/// where a half is too small to say.
fn coverage(halves: &[Vec<f64>; 2], wide: f64) -> Option<f64> {
    let [one, other] = halves;
    if one.len().min(other.len()) < N_ROWS_MIN {
        return None;
    }
    let inside = |from: &[f64], of: &[f64]| {
        let middle = quantile(from, 0.5);
        let [low, high] = [0.05, 0.95].map(|share| middle + wide * (quantile(from, share) - middle));
        of.iter().filter(|&&value| low <= value && value <= high).count()
    };
    let n_inside = inside(one, other) + inside(other, one);
    Some(n_inside as f64 / (one.len() + other.len()) as f64)
}

/// Standard deviation of repeated runs beside their median; none where no work was measured often enough.
pub(super) fn jitter(rows: &[Sample<'_>]) -> Option<f64> {
    let mut repeats = BTreeMap::<(&str, Work), Vec<f64>>::new();
    for sample in rows {
        let key = (sample.set.name.as_str(), sample.row.work);
        repeats.entry(key).or_default().push(sample.row.time_us);
    }
    let (mut sum, mut n) = (0.0, 0_usize);
    for mut times in repeats.into_values().filter(|times| times.len() >= N_REPEATS_MIN) {
        times.sort_by(f64::total_cmp);
        let middle = quantile(&times, 0.5);
        sum += times.iter().map(|time| (time / middle - 1.0) * (time / middle - 1.0)).sum::<f64>();
        n += times.len() - 1;
    }
    (n > 0).then(|| (sum / n as f64).sqrt())
}
