//! Tables of results.

use super::{Cell, Table};
use crate::charts::contenders;
use crate::digest::{
    Contrast, ContrastRow, Flip, accounts, best_split, contrasts, gap, longest_work, margin_against, theory,
    waits,
};
use crate::number::{NONE, label, ms, or_dash, pct, sig, signed_pct};
use crate::space::Space;
use crate::verdict::{Duel, Outcome, Verdict};
use masim_core::judging::sweep::Row;

/// Values of all dimensions at a point.
fn coordinates(space: &Space<'_>, at: &[usize]) -> Vec<Cell> {
    space.dims.iter().zip(at).map(|(dim, &at)| Cell::number(dim.values[at].clone())).collect()
}

fn dim_titles(space: &Space<'_>) -> impl Iterator<Item = String> {
    space.dims.iter().map(|dim| dim.title.clone())
}

fn tpot(row: Option<&Row>) -> Option<f64> {
    row.and_then(Row::answer_us)
}

fn name(row: Option<&Row>) -> String {
    row.map_or_else(|| NONE.to_owned(), label)
}

/// One table for each panel.
pub(super) fn bests(space: &Space<'_>, verdict: &Verdict<'_>) -> Vec<Table> {
    let head = [
        "best split",
        "attention: heads \u{d7} sequences \u{d7} replicas",
        "experts: ep \u{d7} tp",
        space.answer.title(),
        "tokens/s per GPU",
        "best fair baseline",
        "its TPOT, ms",
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
    let shape = |it: &Row| {
        Some(format!("{} \u{d7} {} \u{d7} {}", it.chosen.heads?, it.chosen.sequences?, it.chosen.replicas?))
    };
    let experts = |row: &Row| Some(format!("{} \u{d7} {}", row.chosen.ep?, row.chosen.expert_tp?));
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
        Cell::number(or_dash(duel.split.and_then(|row| row.figure(|it| it.tokens_per_sec_per_gpu)), sig)),
        Cell::number(name(duel.baseline)),
        Cell::number(or_dash(tpot(duel.baseline), ms)),
        Cell::number(or_dash(duel.margin, signed_pct)),
        Cell { text: winner, class },
    ]);
    cells
}

pub(super) fn tallies(space: &Space<'_>, verdict: &Verdict<'_>) -> Table {
    let head = ["axis", "value", "split wins", "ties", "baseline wins", "compared"];
    let mut table = Table::new("Wins of splits, by axis", head, "There is one point only.");
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
        for row in contenders(space, point) {
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

pub(super) fn theory_table(rows: &[Row]) -> Table {
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

/// The best split and those that the paper names, against every baseline.
pub(super) fn contrast_table(space: &Space<'_>) -> Table {
    let rows = contrasts(space);
    let against = space.baselines.iter().map(|baseline| format!("against {}", baseline.name));
    let head = ["split".to_owned()].into_iter().chain(against);
    let mut table = Table::new("", head, "No split and no baseline both run at any point.");
    for ContrastRow { split, ratio, against } in rows {
        let split = match ratio {
            Some((a, e)) => format!("{split}\n({a}:{e} of the paper)"),
            None => split,
        };
        let mut cells = vec![Cell::text(split)];
        cells.extend(against.iter().map(contrast_cell));
        table.rows.push(cells);
    }
    table
}

/// Such as `faster at 30 of 30` above `median -18.7 %, -47.4 % to -4.7 %`.
fn contrast_cell(contrast: &Contrast) -> Cell {
    let n = contrast.margins.len();
    let (Some(median), Some((least, most))) = (contrast.median(), contrast.extremes()) else {
        return Cell::text(NONE);
    };
    let ties = match contrast.n_tied {
        0 => String::new(),
        ties => format!(", ties at {ties}"),
    };
    let spread = format!("median {}, {} to {}", signed_pct(median), signed_pct(least), signed_pct(most));
    let text = format!("faster at {} of {n}{ties}\n{spread}", contrast.n_faster);
    let class = match (contrast.n_faster, contrast.n_slower()) {
        (faster, slower) if faster > slower => "text win",
        (faster, slower) if faster < slower => "text lose",
        _ => "text",
    };
    Cell { text, class }
}

/// Times of every baseline and of the named splits at each point, then the margins of the splits.
pub(super) fn point_table(space: &Space<'_>) -> Table {
    let rows = contrasts(space);
    let baselines: Vec<_> = space.baselines.iter().map(|baseline| baseline.name).collect();
    let splits = rows.iter().map(|row| row.split.as_str());
    let times = baselines.iter().copied().chain(splits).map(|name| format!("{name}, ms"));
    let margins =
        rows.iter().flat_map(|row| baselines.iter().map(move |name| format!("{} against {name}", row.split)));
    let head = dim_titles(space).chain(times).chain(margins);
    let mut table = Table::new("", head, "No split and no baseline both run at any point.");
    for point in space.points.iter().filter(|_| !rows.is_empty()) {
        let mut cells = coordinates(space, &point.at);
        cells.extend(baselines.iter().map(|name| Cell::number(or_dash(tpot(point.best_of(name)), ms))));
        cells.extend(rows.iter().map(|row| Cell::number(or_dash(tpot(best_split(point, row.ratio)), ms))));
        for row in &rows {
            let margins = baselines.iter().map(|name| margin_against(point, row.ratio, name));
            cells.extend(margins.map(|margin| Cell::number(or_dash(margin, signed_pct))));
        }
        table.rows.push(cells);
    }
    table
}

/// Why the best split takes longer than the best fair baseline, at every point.
pub(super) fn cause_table(space: &Space<'_>, verdict: &Verdict<'_>) -> Table {
    let head = [
        "best split",
        "against best fair baseline",
        "of which kernels",
        "of which waits",
        "GPUs of the split wait",
        "mostly for",
        "longest work on its critical path",
        "best fair baseline",
        "its GPUs wait",
        "mostly for",
    ];
    let head = dim_titles(space).chain(head.map(str::to_owned));
    let mut table = Table::new("", head, "No row carries accounts of its GPUs.");
    for duel in &verdict.duels {
        let Some(split) = duel.split else { continue };
        let (Some(own), other) = (waits(split), duel.baseline.and_then(waits)) else { continue };
        let parts = duel.baseline.and_then(|baseline| gap(split, baseline));
        let work: Vec<_> = longest_work(split, 3)
            .into_iter()
            .map(|(work, share)| format!("{} {:.0} %", work.replace('_', " "), share * 100.0))
            .collect();
        let mut cells = coordinates(space, &duel.at);
        cells.extend([
            Cell::number(label(split)),
            Cell::number(or_dash(duel.margin, signed_pct)),
            Cell::number(or_dash(parts.map(|gap| gap.busy), signed_pct)),
            Cell::number(or_dash(parts.map(|gap| gap.idle), signed_pct)),
            Cell::number(pct(own.idle)),
            Cell::text(format!("{} {}", own.cause.name(), pct(own.share))),
            Cell::text(work.join(", ")),
            Cell::number(name(duel.baseline)),
            Cell::number(or_dash(other.map(|waits| waits.idle), pct)),
            Cell::text(other.map_or_else(
                || NONE.to_owned(),
                |waits| format!("{} {}", waits.cause.name(), pct(waits.share)),
            )),
        ]);
        table.rows.push(cells);
    }
    table
}
