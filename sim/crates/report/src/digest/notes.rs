//! Notes to read before trusting the numbers: warnings, provenance, rows without figures.

use std::collections::BTreeMap;

use masim_core::judging::sweep::RowJson;

/// Notes on all rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes<'a> {
    /// Each warning with the number of rows that carry it and the first of them.
    pub(crate) warnings: BTreeMap<&'a str, (usize, u32)>,
    /// Mean share of the critical path by level of provenance, over rows that run.
    pub(crate) provenance: BTreeMap<&'a str, f64>,
    /// Rows by their one-word provenance.
    pub(crate) words: BTreeMap<&'a str, usize>,
    /// Texts of the steady states, with the number of rows.
    pub(crate) steady: BTreeMap<&'a str, usize>,
    /// Rows that do not fit into memory.
    pub(crate) unfit: Vec<&'a RowJson>,
    /// Rows that fit and still have no figures.
    pub(crate) failed: Vec<&'a RowJson>,
    /// Rows that are faster than no strategy can be: a fault of the simulator.
    pub(crate) impossible: Vec<&'a RowJson>,
}

/// Collects the notes of `rows`.
pub(crate) fn notes(rows: &[RowJson]) -> Notes<'_> {
    let mut notes = Notes::default();
    let mut n_shared = 0_usize;
    for row in rows {
        for warning in &row.warnings {
            notes.warnings.entry(warning).or_insert((0, row.row_idx)).0 += 1;
        }
        if let Some(word) = &row.provenance {
            *notes.words.entry(word).or_default() += 1;
        }
        if let Some(steady) = &row.steady {
            *notes.steady.entry(steady).or_default() += 1;
        }
        n_shared += usize::from(!row.provenance_shares.is_empty());
        for (level, share) in &row.provenance_shares {
            *notes.provenance.entry(level).or_default() += share;
        }
        match (row.fits, row.answer_us()) {
            (false, _) => notes.unfit.push(row),
            (true, None) => notes.failed.push(row),
            (true, Some(tpot)) => {
                // One part in a million covers the rounding of the bound, which is a float.
                if row.work_bound_us.is_some_and(|bound| tpot < bound * (1.0 - 1e-6)) {
                    notes.impossible.push(row);
                }
            }
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
        failed.tpot_us = None;
        let mut fast = hand_made(0, "10:6", 10.0);
        fast.work_bound_us = Some(20.0);
        let rows = [not_fitting(0, "12:4"), failed, fast];
        let notes = notes(&rows);
        assert_eq!((notes.unfit.len(), notes.failed.len(), notes.impossible.len()), (1, 1, 1));
    }
}
