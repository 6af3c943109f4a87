//! Tables of results.

use super::{Cell, Table};
use crate::report::charts::contenders;
use crate::report::digest::{Flip, PaperPoint, accounts, paper, theory};
use crate::report::number::{NONE, count, label, median, ms, or_dash, sig, signed_pct};
use crate::report::space::Space;
use crate::report::verdict::{Duel, Outcome, Verdict};
use crate::sweep::RowJson;

/// Values of all dimensions at a point.
fn coordinates(space: &Space<'_>, at: &[usize]) -> Vec<Cell> {
    space.dims.iter().zip(at).map(|(dim, &at)| Cell::number(dim.values[at].clone())).collect()
}

fn dim_titles(space: &Space<'_>) -> impl Iterator<Item = String> {
    space.dims.iter().map(|dim| dim.title.clone())
}

fn tpot(row: Option<&RowJson>) -> Option<f64> {
    row.and_then(|row| row.tpot_us)
}

fn name(row: Option<&RowJson>) -> String {
    row.map_or_else(|| NONE.to_owned(), label)
}

/// One table for each panel.
pub(super) fn bests(space: &Space<'_>, verdict: &Verdict<'_>) -> Vec<Table> {
    let head = [
        "best split",
        "heads \u{d7} sequences \u{d7} replicas",
        "ep \u{d7} tp",
        "TPOT, ms",
        "tokens/s per GPU",
        "best fair baseline",
        "TPOT, ms",
        "split against baseline",
        "winner",
    ];
    let panels = space.panels();
    let table = |panel: &Vec<usize>| {
        let dims = space.dims[..2].iter().map(|dim| dim.title.clone());
        let head = dims.chain(head.map(str::to_owned));
        let mut table = Table::new(&space.panel_name(panel), head, "No rows.");
        let mut duels: Vec<_> = verdict.duels.iter().filter(|duel| duel.at[2..] == panel[..]).collect();
        duels.sort_by_key(|duel| duel.at.clone());
        table.rows = duels.into_iter().map(|duel| best_row(space, duel)).collect();
        table
    };
    panels.iter().map(table).collect()
}

fn best_row(space: &Space<'_>, duel: &Duel<'_>) -> Vec<Cell> {
    let shape =
        |row: &RowJson| Some(format!("{} \u{d7} {} \u{d7} {}", row.heads?, row.sequences?, row.replicas?));
    let experts = |row: &RowJson| Some(format!("{} \u{d7} {}", row.ep?, row.expert_tp?));
    let or_none = |text: Option<String>| Cell::number(text.unwrap_or_else(|| NONE.to_owned()));
    let (winner, class) = match duel.outcome {
        Outcome::Split => ("split".to_owned(), "win"),
        Outcome::Tie => ("tie".to_owned(), ""),
        Outcome::Baseline => (name(duel.baseline), "lose"),
        Outcome::NoBaseline => ("no baseline runs".to_owned(), ""),
        Outcome::NoSplit => ("no split runs".to_owned(), ""),
        Outcome::Neither => ("nothing runs".to_owned(), ""),
    };
    let mut cells: Vec<_> = coordinates(space, &duel.at).into_iter().take(2).collect();
    cells.extend([
        Cell::number(name(duel.split)),
        or_none(duel.split.and_then(shape)),
        or_none(duel.split.and_then(experts)),
        Cell::number(or_dash(tpot(duel.split), ms)),
        Cell::number(or_dash(duel.split.and_then(|row| row.tokens_per_sec_per_gpu), sig)),
        Cell::number(name(duel.baseline)),
        Cell::number(or_dash(tpot(duel.baseline), ms)),
        Cell::number(or_dash(duel.margin, signed_pct)),
        Cell { text: winner, class },
    ]);
    cells
}

pub(super) fn tallies(space: &Space<'_>, verdict: &Verdict<'_>) -> Table {
    let head = ["axis", "value", "split wins", "ties", "baseline wins", "compared"];
    let mut table = Table::new("How often a split wins, by axis", head, "There is one point only.");
    for tally in verdict.tallies(space) {
        let n_lost = tally.n_compared - tally.n_won - tally.n_tied;
        let counts = [tally.n_won, tally.n_tied, n_lost, tally.n_compared];
        let mut row = vec![Cell::text(tally.dim), Cell::number(tally.value)];
        row.extend(counts.map(|n| Cell::number(n.to_string())));
        table.rows.push(row);
    }
    table
}

pub(super) fn flip_table(flips: &[Flip], empty: &'static str) -> Table {
    let mut table = Table::new("", ["axis", "between", "and", "from", "to", "at"], empty);
    for flip in flips {
        table.rows.push(vec![
            Cell::text(&flip.dim),
            Cell::number(&flip.between.0),
            Cell::number(&flip.between.1),
            Cell::text(&flip.from),
            Cell::text(&flip.to),
            Cell::text(&flip.elsewhere),
        ]);
    }
    table
}

/// Steady and cold accounts of the contenders of every point.
pub(super) fn account_table(space: &Space<'_>) -> Table {
    let parts = ["busy, ms", "imbalance, ms", "dependency, ms", "wire, ms"];
    let cold = ["cold: busy, ms", "imbalance, ms", "dependency, ms", "wire, ms", "fill and drain, ms"];
    let head = dim_titles(space)
        .chain(["strategy", "role", "GPUs"].map(str::to_owned))
        .chain(parts.map(str::to_owned))
        .chain(cold.map(str::to_owned));
    let mut table = Table::new("", head, "No row carries accounts of its GPUs.");
    for point in &space.points {
        for row in contenders(point) {
            for account in accounts(row) {
                let mut cells = coordinates(space, &point.at);
                cells.extend([Cell::text(label(row)), Cell::text(&account.role)]);
                cells.push(Cell::number(account.n_gpus.to_string()));
                cells.extend(account.steady.parts().iter().take(4).map(|us| Cell::number(ms(*us))));
                cells.extend(account.cold.parts().iter().map(|us| Cell::number(ms(*us))));
                table.rows.push(cells);
            }
        }
    }
    table
}

pub(super) fn theory_table(rows: &[RowJson]) -> Table {
    let head = [
        "strategy",
        "rows",
        "above closed form: least",
        "median",
        "most",
        "above work bound: least",
        "median",
        "most",
    ];
    let mut table = Table::new("Simulated TPOT against theory", head, "No row runs.");
    for entry in theory(rows) {
        let spread = |spread: Option<[f64; 3]>| match spread {
            Some(values) => values.map(|value| Cell::number(signed_pct(value))),
            None => [(); 3].map(|()| Cell::number(NONE)),
        };
        let mut row = vec![Cell::text(entry.name), Cell::number(entry.n.to_string())];
        row.extend(spread(entry.closed_form));
        row.extend(spread(entry.work_bound));
        table.rows.push(row);
    }
    table
}

/// A time over another, minus 1.
fn over(row: Option<&RowJson>, base: Option<&RowJson>) -> Option<f64> {
    Some(tpot(row)? / tpot(base)? - 1.0)
}

/// The table and one sentence about it.
pub(super) fn paper_table(space: &Space<'_>) -> (Table, String) {
    let points = paper(space);
    let head = [
        "tp_pp_literal, ms",
        "tp_pp, ms",
        "3:1, ms",
        "1:1, ms",
        "best split, ms",
        "3:1 against literal",
        "against tp_pp",
        "1:1 against literal",
        "against tp_pp",
        "best against literal",
        "against tp_pp",
    ];
    let head = dim_titles(space).chain(head.map(str::to_owned));
    let mut table = Table::new("", head, "No baseline is called tp_pp_literal.");
    for point in &points {
        let splits = [point.three_to_one, point.one_to_one, point.best];
        let times = [point.literal, point.tuned].into_iter().chain(splits);
        let mut cells = coordinates(space, &point.at);
        cells.extend(times.map(|row| Cell::number(or_dash(tpot(row), ms))));
        for split in splits {
            for base in [point.literal, point.tuned] {
                cells.push(Cell::number(or_dash(over(split, base), signed_pct)));
            }
        }
        table.rows.push(cells);
    }
    (table, paper_note(&points))
}

type Pick<'a> = fn(&PaperPoint<'a>) -> Option<&'a RowJson>;

fn paper_note<'a>(points: &[PaperPoint<'a>]) -> String {
    let typical = |split: Pick<'a>, base: Pick<'a>| {
        let margins: Vec<_> = points.iter().filter_map(|point| over(split(point), base(point))).collect();
        let n = count(margins.len(), "point");
        median(&margins).map(|margin| format!("{} at {n}", signed_pct(margin)))
    };
    let splits: [(&str, Pick<'a>); 3] = [
        ("three attention GPUs to one expert GPU", |point| point.three_to_one),
        ("one to one", |point| point.one_to_one),
        ("the best split", |point| point.best),
    ];
    let clause = |(words, split): (&str, Pick<'a>)| {
        let literal = typical(split, |point| point.literal)?;
        let tuned = typical(split, |point| point.tuned).unwrap_or_else(|| NONE.to_owned());
        Some(format!("{words}: {literal} against the literal baseline, {tuned} against the tuned one"))
    };
    let clauses: Vec<_> = splits.into_iter().filter_map(clause).collect();
    if clauses.is_empty() {
        return "Nothing to compare.".to_owned();
    }
    format!(
        "Median change of TPOT (negative is faster); {}. The literal baseline keeps one batch in flight, so \
         that its stages wait for each other; only the tuned one is a fair opponent.",
        clauses.join("; ")
    )
}
