//! Notes to read before trusting the numbers: warnings, provenance, rows without figures.

use std::collections::BTreeMap;

use masim_core::judging::sweep::{Failure, Row};
use masim_core::running::run::Steady;
use masim_core::timing::provenance::Provenance;

/// Notes on all rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes<'a> {
    /// Each warning with the number of rows that carry it and the first of them.
    pub(crate) warnings: BTreeMap<&'a str, (usize, u32)>,
    /// Mean share of the critical path by level of provenance, over rows that run.
    pub(crate) provenance: BTreeMap<Provenance, f64>,
    /// Rows by the weakest level that carries their path.
    pub(crate) weakest: BTreeMap<Provenance, usize>,
    /// The way in which the times of rows were settled, with their measured steps.
    pub(crate) steady: Vec<(Steady, u32)>,
    /// Rows that do not fit into memory.
    pub(crate) unfit: Vec<&'a Row>,
    /// Rows that fit and still have no figures.
    pub(crate) failed: Vec<&'a Row>,
    /// Rows that are faster than no strategy can be: a fault of the simulator.
    pub(crate) impossible: Vec<&'a Row>,
}

/// Collects the notes of `rows`.
pub(crate) fn notes(rows: &[Row]) -> Notes<'_> {
    let mut notes = Notes::default();
    let mut n_shared = 0_usize;
    for row in rows {
        for warning in &row.warnings {
            notes.warnings.entry(warning).or_insert((0, row.row_idx)).0 += 1;
        }
        let figures = match &row.outcome {
            Ok(figures) => figures,
            Err(Failure { fits: false, .. }) => {
                notes.unfit.push(row);
                continue;
            }
            Err(Failure { fits: true, .. }) => {
                notes.failed.push(row);
                continue;
            }
        };
        *notes.weakest.entry(figures.provenance).or_default() += 1;
        notes.steady.push((figures.steady, figures.n_steps));
        n_shared += usize::from(!figures.provenance_shares.is_empty());
        for (level, share) in &figures.provenance_shares {
            *notes.provenance.entry(*level).or_default() += share;
        }
        // One part in a million covers the rounding of the bound, which is a float.
        if row.answer_us().is_some_and(|us| us < figures.work_bound_us * (1.0 - 1e-6)) {
            notes.impossible.push(row);
        }
    }
    for share in notes.provenance.values_mut() {
        *share /= n_shared as f64;
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{hand_made, not_fitting};

    #[test]
    fn rows_without_figures_and_impossible_rows_are_found() {
        let mut failed = hand_made(0, "dp_ep", 1.0);
        failed.outcome = Err(Failure { fits: true, error: "no plan is possible".to_owned() });
        let mut fast = hand_made(0, "10:6", 10.0);
        fast.outcome.as_mut().unwrap().work_bound_us = 20.0;
        let rows = [not_fitting(0, "12:4"), failed, fast];
        let notes = notes(&rows);
        assert_eq!((notes.unfit.len(), notes.failed.len(), notes.impossible.len()), (1, 1, 1));
    }
}
