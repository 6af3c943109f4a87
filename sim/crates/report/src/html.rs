//! `report.html`: one file that needs no other, no network and no script to be read.

mod data;
mod glossary;
mod tables;
mod trust;

use askama::Template;

use super::Subject;
use super::charts::{DrawError, Figure, Figures};
use super::digest::{Gap, Notes, Span, flips, gap, moves, notes, spans};
use super::network::NetworkShown;
use super::number::{count, signed_pct};
use super::space::{Answer, Space};
use super::verdict::Verdict;
use masim_core::judging::sweep::{Asked, Row};
use masim_core::timing::provenance::Provenance;

const CSS: &str = include_str!("../templates/report.css");
const JS: &str = include_str!("../templates/report.js");

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
            Some(Cell { class: "text" | "words" | "text win" | "text lose", .. }) => "text",
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
    caveat: String,
    contrast_note: String,
    contrast: Table,
    contrast_figure: String,
    points: Table,
    why: String,
    causes: Table,
    spans: Vec<String>,
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
    network: Option<NetworkPart>,
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

/// Use of the network in one run.
struct NetworkPart {
    row_idx: u32,
    what: String,
    links: String,
    volume: String,
    transfers: Table,
    busiest: Table,
    incast: String,
}

fn network_part(shown: &NetworkShown<'_>) -> NetworkPart {
    let table = |caption, head: [&str; 5], rows: Vec<[String; 5]>, text: &[usize]| {
        let mut table = Table::new(caption, head, "Nothing was sent.");
        let cell = |(at, value): (usize, String)| {
            if text.contains(&at) { Cell::text(value) } else { Cell::number(value) }
        };
        table.rows = rows.into_iter().map(|row| row.into_iter().enumerate().map(cell).collect()).collect();
        table
    };
    let transfers = ["transfer", "flows", "bytes", "held back most by", "for this share of their time"];
    let busiest = ["link", "bytes", "mean use", "peak use", "flows that it held back longest"];
    NetworkPart {
        row_idx: shown.row_idx,
        what: shown.what.clone(),
        // Inside a page a picture needs no namespace.
        links: shown.links_svg().replace(" xmlns=\"http://www.w3.org/2000/svg\"", ""),
        volume: shown.volume_svg(),
        transfers: table("Bottleneck links", transfers, shown.transfers(), &[0, 3]),
        busiest: table("The ten busiest links", busiest, shown.busiest(), &[0]),
        incast: shown.incast_text(),
    }
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
    let page = Page {
        css: CSS,
        js: JS,
        title: subject.title,
        verdict: verdict.sentence(),
        caveat: caveat(&notes),
        contrast_note: contrast_note(&space),
        contrast: tables::contrast_table(&space),
        contrast_figure: figures.contrast.as_ref().map(Figure::svg).transpose()?.unwrap_or_default(),
        points: tables::point_table(&space),
        why: why(&verdict),
        causes: tables::cause_table(&space, &verdict),
        spans: span_lines(&spans(&space, &verdict)),
        notes: remarks(subject, &space, &verdict),
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
        network: subject.network.map(network_part),
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

/// Remarks under the verdict: points at which no split wins, and the compared rows.
fn remarks(subject: &Subject<'_>, space: &Space<'_>, verdict: &Verdict<'_>) -> Vec<String> {
    let mut remarks: Vec<String> = verdict.never(space).into_iter().collect();
    let distinct = |of: fn(&Asked) -> &str| {
        let asked = subject.rows.iter().filter_map(|row| row.asked.as_ref());
        let all: std::collections::BTreeSet<_> = asked.map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    remarks.push(format!(
        "{} over {}; model {}, cluster {}, {} GPUs, profile {}. A split and a baseline are compared at equal \
         batch, context, load and number of GPUs, in steady state.",
        count(subject.rows.len(), "row"),
        count(space.points.len(), "point"),
        distinct(|asked| &asked.model),
        distinct(|asked| &asked.cluster),
        n_gpus(subject.rows),
        distinct(|asked| &asked.profile)
    ));
    let of_prompts = match space.answer {
        Answer::PerToken => None,
        Answer::FirstToken => {
            Some("All rows are of prompts, which have no steady state: wherever this page says TPOT, it is")
        }
        Answer::Either => {
            Some("Rows of prompts have no steady state: wherever this page says TPOT of them, it is")
        }
    };
    remarks.extend(of_prompts.map(|begin| {
        format!("{begin} the time to the first tokens (TTFT) of the whole batch, fill and drain included.")
    }));
    remarks
}

fn n_gpus(rows: &[Row]) -> String {
    let asked = rows.iter().filter_map(|row| row.asked.as_ref());
    let all: std::collections::BTreeSet<_> = asked.map(|asked| asked.n_gpus).collect();
    all.into_iter().map(|n| n.to_string()).collect::<Vec<_>>().join(" or ")
}

/// Sentence on the provenance of the times.
fn caveat(notes: &Notes<'_>) -> String {
    let levels: Vec<_> = notes.weakest.keys().copied().collect();
    match levels.as_slice() {
        [] => String::new(),
        [Provenance::Roofline] => "Nothing here was measured. Every time is computed from datasheet peaks, assumed \
                         efficiencies and link rates (provenance Roofline), so that the order of strategies is \
                         more certain than small differences between them."
            .to_owned(),
        _ => {
            let words = notes.weakest.iter().map(|(level, n)| format!("{} in {n}", level.name()));
            let words: Vec<_> = words.collect();
            format!("Weakest provenance that carries at least 5 % of a row's critical path: {} rows.", words.join(", "))
        }
    }
}

/// Which baselines count for the verdict; empty where there is nothing to tell apart.
fn contrast_note(space: &Space<'_>) -> String {
    let untuned: Vec<_> = space.baselines.iter().filter(|it| !it.tuned).map(|it| it.name).collect();
    if untuned.is_empty() {
        return String::new();
    }
    format!(
        "Whom one compares with decides the answer. Not tuned, and so without a part in the verdict: {}. Beating \
         such a baseline says little. The others are tuned as the splits are.",
        untuned.join(", ")
    )
}

/// Sentence on the cause that makes the best split slower (or faster) than the best fair baseline.
fn why(verdict: &Verdict<'_>) -> String {
    let gaps = verdict.duels.iter().filter_map(|duel| gap(duel.split?, duel.baseline?));
    let gaps: Vec<_> = gaps.collect();
    if gaps.is_empty() {
        return String::new();
    }
    // Means, not medians: those of the parts add up to that of the whole.
    let mean = |of: fn(&Gap) -> f64| gaps.iter().map(of).sum::<f64>() / gaps.len() as f64;
    let (busy, idle) = (mean(|gap| gap.busy), mean(|gap| gap.idle));
    format!(
        "On average over {} the best split's TPOT differs by {} from that of the best fair baseline: {} in time \
         in which its GPUs compute, {} in time in which they wait. Kernels take longer where each micro-batch \
         reads the same weights again, or where a smaller pool does what all GPUs shared; waits come from pools \
         whose times differ, and from the wire.",
        count(gaps.len(), "point"),
        signed_pct(busy + idle),
        signed_pct(busy),
        signed_pct(idle)
    )
}

/// One line for each axis: how many attention GPUs the best split has at each value.
fn span_lines(spans: &[Span]) -> Vec<String> {
    let lines = spans.chunk_by(|a, b| a.dim == b.dim).map(|same| {
        let values = same.iter().map(|span| match span.attention {
            (fewest, most) if fewest == most => format!("{} at {}", fewest, span.value),
            (fewest, most) => format!("{fewest} to {most} at {}", span.value),
        });
        format!("{}: {}", same[0].dim, values.collect::<Vec<_>>().join(", "))
    });
    lines.collect()
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
        let n = notes.warnings.len();
        alarms.push(format!("{} below: check them before you trust the result.", count(n, "warning")));
    }
    alarms
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fixture::{hand_made, not_fitting, sweep_rows};

    fn page(rows: &[Row]) -> String {
        let memory_gib = BTreeMap::from([("a100-4x4".to_owned(), 80.0)]);
        let subject = Subject {
            title: "a <b>",
            command: "masim <x>",
            rows,
            memory_gib: &memory_gib,
            assumptions: &[],
            network: None,
        };
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
