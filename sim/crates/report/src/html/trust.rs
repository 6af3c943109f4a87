//! Tables of what limits the results: provenance, assumptions, warnings, rows without figures.

use std::collections::BTreeMap;

use super::{Cell, Table};
use crate::Assumption;
use crate::digest::Notes;
use crate::number::{label, or_dash, pct};
use crate::space::Space;
use masim_core::judging::sweep::{Row, steady_in_words};
use masim_core::running::run::Steady;
use masim_core::timing::provenance::Provenance;

pub(super) fn provenance(notes: &Notes<'_>) -> Table {
    let head = ["level", "mean share of the critical path", "rows with this word"];
    let mut table = Table::new("", head, "No row states where its times come from.");
    for level in Provenance::ALL {
        let (share, n) = (notes.provenance.get(&level), notes.weakest.get(&level));
        if share.is_some() || n.is_some() {
            table.rows.push(vec![
                Cell::text(level.name()),
                Cell::number(or_dash(share.copied(), pct)),
                Cell::number(n.copied().unwrap_or(0).to_string()),
            ]);
        }
    }
    table
}

pub(super) fn assumptions(assumptions: &[Assumption]) -> Table {
    let mut table = Table::new("", ["input", "value", "why"], "No input is marked as assumed.");
    for assumption in assumptions {
        table.rows.push(vec![
            Cell::text(&assumption.what),
            Cell::words(&assumption.value),
            Cell::words(&assumption.why),
        ]);
    }
    table
}

pub(super) fn warnings(notes: &Notes<'_>) -> Table {
    let mut table = Table::new("", ["warning", "rows", "first row"], "No warnings.");
    for (warning, (n, first)) in &notes.warnings {
        table.rows.push(vec![
            Cell::words(*warning),
            Cell::number(n.to_string()),
            Cell::number(first.to_string()),
        ]);
    }
    table
}

/// Table of steady states; means that differ in their length alone stand in one line.
pub(super) fn steady(notes: &Notes<'_>) -> Table {
    let mut table = Table::new("", ["how TPOT was settled", "rows"], "No row says how TPOT was settled.");
    let mut others = BTreeMap::<String, usize>::new();
    let mut means: Vec<(u32, f64)> = Vec::new();
    for &(steady, n_steps) in &notes.steady {
        match steady {
            Steady::Settled { half_width } => means.push((n_steps, half_width)),
            Steady::Repeats { .. } | Steady::Once | Steady::Unsettled { .. } => {
                *others.entry(steady_in_words(steady, n_steps)).or_default() += 1;
            }
        }
    }
    for (how, n) in others {
        table.rows.push(vec![Cell::words(how), Cell::number(n.to_string())]);
    }
    let (fewest, most) = (means.iter().map(|mean| mean.0).min(), means.iter().map(|mean| mean.0).max());
    if let (Some(fewest), Some(most)) = (fewest, most) {
        let worst = 100.0 * means.iter().map(|mean| mean.1).fold(0.0, f64::max);
        let steps = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
        let how = format!("mean of {steps} steps, known to {worst:.2} % or better (95 % confidence)");
        table.rows.push(vec![Cell::words(how), Cell::number(means.len().to_string())]);
    }
    table
}

/// Rows that do not fit or failed, with the reason.
pub(super) fn without_figures(rows: &[&Row], space: &Space<'_>) -> Table {
    let mut table = Table::new("", ["row", "strategy", "point", "reason"], "Every row fits.");
    for row in rows {
        let point = space.points.iter().find(|point| point.idx == row.point_idx);
        let point = point.map(|point| space.point_name(&point.at)).unwrap_or_default();
        table.rows.push(vec![
            Cell::number(row.row_idx.to_string()),
            Cell::text(label(row)),
            Cell::text(point),
            Cell::words(row.failure().map_or("", |failure| &failure.error)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::notes;
    use crate::fixture::hand_made;

    #[test]
    fn means_of_different_lengths_share_a_line() {
        let mut rows = [hand_made(0, "12:4", 1.0), hand_made(0, "10:6", 1.0), hand_made(0, "8:8", 1.0)];
        for (row, (n_steps, half_width)) in rows.iter_mut().zip([(10, 0.0013), (73, 0.005)]) {
            let figures = row.outcome.as_mut().unwrap();
            (figures.n_steps, figures.steady) = (n_steps, Steady::Settled { half_width });
        }
        let notes = notes(&rows);
        let table = steady(&notes);
        let lines: Vec<_> =
            table.rows.iter().map(|row| (row[0].text.as_str(), row[1].text.as_str())).collect();
        assert_eq!(lines[1], ("mean of 10 to 73 steps, known to 0.50 % or better (95 % confidence)", "2"));
    }
}
