//! `report.html`: one file that needs no other, no network and no script to be read.

mod data;
mod glossary;
mod tables;
mod trust;

use askama::Template;

use super::Subject;
use super::charts::{DrawError, Figure, Figures};
use super::digest::{Notes, flips, moves, notes};
use super::number::count;
use super::space::Space;
use super::verdict::Verdict;

const CSS: &str = include_str!("../../templates/report.css");
const JS: &str = include_str!("../../templates/report.js");

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    text: String,
    /// `text` and `words` stand left, `win` and `lose` are colored, numbers have none.
    class: &'static str,
}

/// A table with what to say when it has no rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    caption: String,
    head: Vec<String>,
    rows: Vec<Vec<Cell>>,
    empty: &'static str,
}

impl Cell {
    fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "" }
    }

    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "text" }
    }

    fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "words" }
    }
}

impl Table {
    fn new<S: Into<String>>(caption: &str, head: impl IntoIterator<Item = S>, empty: &'static str) -> Self {
        let head = head.into_iter().map(Into::into).collect();
        Self { caption: caption.to_owned(), head, rows: Vec::new(), empty }
    }

    /// The titles, aligned as the cells below them.
    fn heads(&self) -> Vec<Cell> {
        let class = |column: usize| match self.rows.first().and_then(|row| row.get(column)) {
            Some(Cell { class: "text" | "words", .. }) => "text",
            _ => "",
        };
        let head = self.head.iter().enumerate();
        head.map(|(column, text)| Cell { text: text.clone(), class: class(column) }).collect()
    }
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    css: &'static str,
    js: &'static str,
    title: &'a str,
    verdict: String,
    notes: Vec<String>,
    alarms: Vec<String>,
    heat: String,
    bests: Vec<Table>,
    tallies: Table,
    flips: Table,
    moves: Table,
    ratios: Vec<String>,
    frontiers: Vec<String>,
    breakdowns: Vec<String>,
    accounts: Table,
    memory: String,
    unfit: Table,
    paper: Table,
    paper_note: String,
    theory: Table,
    provenance: Table,
    assumptions: Table,
    warnings: Table,
    steady: Table,
    failed: Table,
    n_rows: usize,
    data: String,
    command: &'a str,
    glossary: &'static [(&'static str, &'static str)],
}

/// The page.
///
/// # Errors
///
/// When a picture cannot be drawn.
pub fn html(subject: &Subject<'_>) -> Result<String, DrawError> {
    let space = Space::new(subject.rows);
    let verdict = Verdict::new(&space);
    let figures = Figures::new(subject, &space, &verdict);
    let notes = notes(subject.rows);
    let svgs = |figures: &[Figure]| figures.iter().map(Figure::svg).collect::<Result<Vec<_>, _>>();
    let (paper, paper_note) = tables::paper_table(&space);
    let page = Page {
        css: CSS,
        js: JS,
        title: subject.title,
        verdict: verdict.sentence(),
        notes: remarks(subject, &space, &verdict, &notes),
        alarms: alarms(&notes),
        heat: figures.heat.svg()?,
        bests: tables::bests(&space, &verdict),
        tallies: tables::tallies(&space, &verdict),
        flips: tables::flip_table(&flips(&space, &verdict), "The winner does not change between neighbors."),
        moves: tables::flip_table(&moves(&space, &verdict), "The best split is the same everywhere."),
        ratios: svgs(&figures.ratios)?,
        frontiers: svgs(&figures.frontiers)?,
        breakdowns: svgs(&figures.breakdowns)?,
        accounts: tables::account_table(&space),
        memory: figures.memory.as_ref().map(Figure::svg).transpose()?.unwrap_or_default(),
        unfit: trust::without_figures(&notes.unfit, &space),
        paper,
        paper_note,
        theory: tables::theory_table(subject.rows),
        provenance: trust::provenance(&notes),
        assumptions: trust::assumptions(subject.assumptions),
        warnings: trust::warnings(&notes),
        steady: trust::steady(&notes),
        failed: trust::without_figures(&notes.failed, &space),
        n_rows: subject.rows.len(),
        data: data::compact(subject.rows, &space),
        command: subject.command,
        glossary: glossary::TERMS,
    };
    Ok(page.render().expect("a string takes every text"))
}

/// What stands under the verdict: where no split wins, what was compared, how times were computed.
fn remarks(
    subject: &Subject<'_>,
    space: &Space<'_>,
    verdict: &Verdict<'_>,
    notes: &Notes<'_>,
) -> Vec<String> {
    let mut remarks: Vec<String> = verdict.never(space).into_iter().collect();
    let distinct = |of: fn(&crate::sweep::RowJson) -> &str| {
        let all: std::collections::BTreeSet<_> = subject.rows.iter().map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    remarks.push(format!(
        "{} over {}; model {}, cluster {}, profile {}. A split and a baseline are compared at equal batch, \
         context, load and number of GPUs, in steady state.",
        count(subject.rows.len(), "row"),
        count(space.points.len(), "point"),
        distinct(|row| &row.model),
        distinct(|row| &row.cluster),
        distinct(|row| &row.profile)
    ));
    let words: Vec<_> = notes.words.iter().map(|(word, n)| format!("{word} in {n}")).collect();
    if !words.is_empty() {
        remarks.push(format!("Weakest provenance that matters: {} rows.", words.join(", ")));
    }
    remarks
}

fn alarms(notes: &Notes<'_>) -> Vec<String> {
    let mut alarms = Vec::new();
    if let Some(row) = notes.impossible.first() {
        alarms.push(format!(
            "{} faster than the work bound, first row {}: this is a fault of the simulator, please report it.",
            count(notes.impossible.len(), "row"),
            row.row_idx
        ));
    }
    if !notes.failed.is_empty() {
        alarms.push(format!("{} failed and carry no figures.", count(notes.failed.len(), "row")));
    }
    if !notes.warnings.is_empty() {
        let n = notes.warnings.values().map(|(n, _)| n).sum();
        alarms.push(format!("{} below: check them before you trust the result.", count(n, "warning")));
    }
    alarms
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::fixture::{hand_made, not_fitting, sweep_rows};
    use crate::sweep::RowJson;

    fn page(rows: &[RowJson]) -> String {
        let memory_gib = BTreeMap::from([("a100-4x4".to_owned(), 80.0)]);
        let subject =
            Subject { title: "a <b>", command: "masim <x>", rows, memory_gib: &memory_gib, assumptions: &[] };
        html(&subject).unwrap()
    }

    #[test]
    fn the_page_of_a_whole_sweep_is_small_reproducible_and_asks_for_nothing() {
        let rows = sweep_rows();
        let page = page(&rows);
        assert!(page.len() < 3_000_000, "{} bytes", page.len());
        assert!(!page.contains("http"), "no address, not even a namespace");
        for tag in ["src=", "<link", "@import", "url("] {
            assert!(!page.contains(tag), "{tag}");
        }
        assert_eq!(page, super::tests::page(&rows));
    }

    #[test]
    fn names_cannot_break_the_page() {
        let mut row = hand_made(0, "dp_ep", 1000.0);
        row.name = "</script><b>\u{2028}".to_owned();
        row.warnings = vec!["a < b & c".to_owned()];
        let page = page(&[row, not_fitting(1, "12:4")]);
        assert_eq!(page.matches("</script>").count(), 2, "its own two");
        assert!(!page.contains("<b>"));
        assert!(page.contains("a &#60; b &#38; c") || page.contains("a &lt; b &amp; c"));
        assert!(page.contains("masim &#60;x&#62;") || page.contains("masim &lt;x&gt;"));
    }

    #[test]
    fn a_page_without_rows_says_so() {
        assert!(page(&[]).contains("No verdict"));
    }
}
