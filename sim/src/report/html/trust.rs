//! Tables of what limits the results: provenance, assumptions, warnings, rows without figures.

use super::{Cell, Table};
use crate::report::Assumption;
use crate::report::digest::Notes;
use crate::report::number::{NONE, label, pct};
use crate::report::space::Space;
use crate::sweep::RowJson;

/// Strong to weak.
const LEVELS: [&str; 5] = ["Measured", "Fitted", "Extrapolated", "Roofline", "Assumed"];

pub(super) fn provenance(notes: &Notes<'_>) -> Table {
    let head = ["level", "mean share of the critical path", "rows with this word"];
    let mut table = Table::new("", head, "No row states where its times come from.");
    let known = |level: &&str| LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
    let others = notes.provenance.keys().chain(notes.words.keys()).copied().filter(|level| !known(level));
    let levels: Vec<&str> = LEVELS.into_iter().chain(others).collect();
    for (_, level) in levels.iter().enumerate().filter(|(idx, level)| !levels[..*idx].contains(level)) {
        let find = |key: &&&str| key.eq_ignore_ascii_case(level);
        let share = notes.provenance.iter().find(|(key, _)| find(key)).map(|(_, share)| *share);
        let n = notes.words.iter().find(|(key, _)| find(key)).map(|(_, n)| *n);
        if share.is_some() || n.is_some() {
            table.rows.push(vec![
                Cell::text(*level),
                Cell::number(share.map_or_else(|| NONE.to_owned(), pct)),
                Cell::number(n.unwrap_or(0).to_string()),
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
            Cell::text(&assumption.value),
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

pub(super) fn steady(notes: &Notes<'_>) -> Table {
    let mut table = Table::new("", ["how TPOT was settled", "rows"], "No row says how TPOT was settled.");
    for (how, n) in &notes.steady {
        table.rows.push(vec![Cell::words(*how), Cell::number(n.to_string())]);
    }
    table
}

/// Rows that do not fit or failed, with the reason.
pub(super) fn without_figures(rows: &[&RowJson], space: &Space<'_>) -> Table {
    let mut table = Table::new("", ["row", "strategy", "point", "reason"], "Every row fits.");
    for row in rows {
        let point = space.points.iter().find(|point| point.idx == row.point_idx);
        let point = point.map(|point| space.point_name(&point.at)).unwrap_or_default();
        table.rows.push(vec![
            Cell::number(row.row_idx.to_string()),
            Cell::text(label(row)),
            Cell::text(point),
            Cell::words(row.error.clone().unwrap_or_default()),
        ]);
    }
    table
}
