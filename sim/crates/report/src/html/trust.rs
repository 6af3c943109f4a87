//! Tables of what limits the results: provenance, assumptions, warnings, rows without figures.

use super::{Cell, Table};
use crate::Assumption;
use crate::digest::Notes;
use crate::number::{NONE, label, pct};
use crate::space::Space;
use masim_core::judging::sweep::RowJson;

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
    let mut means: Vec<(u32, f64, usize)> = Vec::new();
    for (how, n) in &notes.steady {
        match mean_of(how) {
            Some((n_steps, known)) => means.push((n_steps, known, *n)),
            None => table.rows.push(vec![Cell::words(*how), Cell::number(n.to_string())]),
        }
    }
    let (fewest, most) = (means.iter().map(|mean| mean.0).min(), means.iter().map(|mean| mean.0).max());
    if let (Some(fewest), Some(most)) = (fewest, most) {
        let worst = means.iter().map(|mean| mean.1).fold(0.0, f64::max);
        let steps = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
        let how = format!("mean of {steps} steps, known to {worst:.2} % or better (95 % confidence)");
        let n: usize = means.iter().map(|mean| mean.2).sum();
        table.rows.push(vec![Cell::words(how), Cell::number(n.to_string())]);
    }
    table
}

/// Steps and percent of `mean of 10 steps, known to 0.13 % (95 % confidence)`.
fn mean_of(how: &str) -> Option<(u32, f64)> {
    let (n_steps, rest) = how.strip_prefix("mean of ")?.split_once(" steps, known to ")?;
    let known = rest.strip_suffix(" % (95 % confidence)")?;
    Some((n_steps.parse().ok()?, known.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::notes;
    use crate::fixture::hand_made;

    #[test]
    fn means_of_different_lengths_share_a_line() {
        let mut rows = [hand_made(0, "12:4", 1.0), hand_made(0, "10:6", 1.0), hand_made(0, "8:8", 1.0)];
        rows[0].steady = Some("mean of 10 steps, known to 0.13 % (95 % confidence)".to_owned());
        rows[1].steady = Some("mean of 73 steps, known to 0.50 % (95 % confidence)".to_owned());
        let notes = notes(&rows);
        let table = steady(&notes);
        let lines: Vec<_> =
            table.rows.iter().map(|row| (row[0].text.as_str(), row[1].text.as_str())).collect();
        assert_eq!(lines[1], ("mean of 10 to 73 steps, known to 0.50 % or better (95 % confidence)", "2"));
    }
}
