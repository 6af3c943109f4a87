//! One family's parameters, as near to the rows as they can be.

use std::collections::BTreeMap;

use super::{Sample, simplex};
use crate::inputs::measurement::{Site, Work};
use crate::timing::accuracy::quantile;
use crate::timing::fitted::{FittedModel, Form};

/// Rows of one kind of one set beyond this are thinned evenly: a thousand sizes say what ten thousand say.
pub(super) const N_ROWS_MAX: usize = 2048;

/// What a parameter costs when it is e times its start: enough to hold what no row depends on.
const PULL: f64 = 5e-4;

/// Minimizes the mean |log(predicted / measured)|; every kind of work of every set counts the same, however many rows it has.
///
/// The absolute value keeps single rows that went wrong from pulling the curve; the logarithm makes parameters positive
/// and counts twice too fast like twice too slow.
///
/// The parameters named by `fixed` stay where fits begin.
pub(super) fn fit(form: Form, rows: &[Sample<'_>], fixed: &[String]) -> FittedModel {
    let rows = weighted(rows);
    let is_free = |name: &&str| !fixed.iter().any(|other| other == name);
    let free: Vec<_> =
        form.names().iter().enumerate().filter(|(_, name)| is_free(name)).map(|(at, _)| at).collect();
    let values_at = |logs: &[f64]| {
        let mut values = form.start().to_vec();
        for (&at, log) in free.iter().zip(logs) {
            values[at] = libm::exp(*log);
        }
        values
    };
    let start: Vec<_> = free.iter().map(|&at| libm::log(form.start()[at])).collect();
    let cost = |logs: &[f64]| {
        let values = values_at(logs);
        let mut sum = 0.0;
        for target in &rows {
            let predicted = form.predict_us(&values, target.work, target.site);
            let predicted = predicted.expect("only rows that can be predicted are fitted");
            sum += target.weight * libm::log(predicted / target.time_us).abs();
        }
        let pull: f64 = logs.iter().zip(&start).map(|(log, start)| (log - start) * (log - start)).sum();
        sum + PULL * pull
    };
    let found = values_at(&simplex::minimize(&start, cost));
    FittedModel::new(form, found.into_iter().map(six_digits).collect())
}

/// What rows are counted by: their set, and what is done.
fn kind<'a>(sample: &Sample<'a>) -> (&'a str, &'static str) {
    let what = match sample.row.work {
        Work::Elementwise(work) => work.kind.name(),
        Work::Collective(work) => work.operation.name(),
        Work::Pairs(work) => work.scope.name(),
        Work::Gemm(_) | Work::Prefill(_) | Work::Decode(_) | Work::Moe(_) => "",
    };
    (&sample.set.name, what)
}

/// A row to come near, and how much it counts.
struct Target<'a> {
    work: &'a Work,
    site: &'a Site,
    time_us: f64,
    weight: f64,
}

/// Thinned rows, with weights that add up to 1 and are equal between kinds.
fn weighted<'a>(rows: &[Sample<'a>]) -> Vec<Target<'a>> {
    let mut kinds = BTreeMap::<_, Vec<Sample<'a>>>::new();
    for &sample in rows {
        kinds.entry(kind(&sample)).or_default().push(sample);
    }
    let n_kinds = kinds.len() as f64;
    let thinned = kinds.into_values().flat_map(|rows| {
        let distinct = distinct(&rows);
        let step = distinct.len().div_ceil(N_ROWS_MAX);
        let kept: Vec<_> = distinct.into_iter().step_by(step).collect();
        let weight = 1.0 / (kept.len() as f64 * n_kinds);
        kept.into_iter().map(move |(sample, time_us)| {
            let (work, site) = (&sample.row.work, &sample.set.site);
            Target { work, site, time_us, weight }
        })
    });
    thinned.collect()
}

/// Work that was measured several times counts once, with the median of its times; in the order of its columns.
pub(super) fn distinct<'a>(rows: &[Sample<'a>]) -> Vec<(Sample<'a>, f64)> {
    let mut times = BTreeMap::<_, (Sample<'a>, Vec<f64>)>::new();
    for &sample in rows {
        let (_, all) = times.entry(sample.row.work.columns()).or_insert((sample, Vec::new()));
        all.push(sample.row.time_us);
    }
    let median = |(sample, mut all): (Sample<'a>, Vec<f64>)| {
        all.sort_by(f64::total_cmp);
        (sample, quantile(&all, 0.5))
    };
    times.into_values().map(median).collect()
}

/// `value` with six significant digits: more would claim what no fit knows.
fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().expect("a number that was just written")
}
