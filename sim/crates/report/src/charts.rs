//! The pictures: each is laid out once and painted as vectors for the page and as pixels for a file.

mod multiples;
mod bars;
mod frontier;
mod heat;
mod contrast;
mod ratio;

use super::number::is_split;
use super::scene::{
    BLUE, Color, Dash, GREEN, INK, MUTED, Mark, ORANGE, PURPLE, SKY, Scene, VERMILION, paint_png, paint_svg,
};
use super::space::{Baseline, Point, Space, fastest};
use super::verdict::Verdict;
use super::{Artifact, Subject};
use masim_core::judging::sweep::Row;

pub use super::scene::DrawError;

/// A picture with its name.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Stem of its file.
    pub(crate) name: String,
    /// Description, for readers who cannot see the picture.
    pub(crate) label: String,
    scene: Scene,
}

impl Figure {
    /// The picture as an element of a page.
    pub(crate) fn svg(&self) -> Result<String, DrawError> {
        paint_svg(&self.scene, &self.label)
    }

    fn png(&self) -> Result<Artifact, DrawError> {
        Ok(Artifact { name: format!("{}.png", self.name), bytes: paint_png(&self.scene)? })
    }
}

/// All pictures of a report.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Best split by context and batch.
    pub(crate) heat: Figure,
    /// The best split against each baseline apart.
    pub(crate) contrast: Option<Figure>,
    /// TPOT against the ratio, one for each batch and panel.
    pub(crate) ratios: Vec<Figure>,
    /// Tokens/s per GPU against TPOT, one for each panel.
    pub(crate) frontiers: Vec<Figure>,
    /// Breakdowns of the time, one for each telling point.
    pub(crate) breakdowns: Vec<Figure>,
    /// Content of the memory at the fullest point.
    pub(crate) memory: Option<Figure>,
}

impl Figures {
    /// Lays all pictures out.
    pub(crate) fn new(subject: &Subject<'_>, space: &Space<'_>, verdict: &Verdict<'_>) -> Self {
        Self {
            heat: heat::heat(space, verdict),
            contrast: contrast::contrast(space),
            ratios: ratio::ratios(space),
            frontiers: frontier::frontiers(space),
            breakdowns: bars::breakdowns(space, verdict),
            memory: bars::memory(subject, space),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Figure> {
        let several = self.ratios.iter().chain(&self.frontiers).chain(&self.breakdowns);
        std::iter::once(&self.heat).chain(&self.contrast).chain(several).chain(&self.memory)
    }
}

/// All pictures as PNG files.
///
/// # Errors
///
/// When a picture cannot be drawn.
pub fn pngs(subject: &Subject<'_>) -> Result<Vec<Artifact>, DrawError> {
    let space = Space::new(subject.rows);
    let verdict = Verdict::new(&space);
    Figures::new(subject, &space, &verdict).all().map(Figure::png).collect()
}

/// Look of the rows of a baseline, by its place among those that are tuned; equal in every picture.
fn baseline_look(space: &Space<'_>, name: &str) -> (Color, Dash, Mark) {
    let place = |baseline: &Baseline<'_>| {
        let before = space.baselines.iter().take_while(|other| other.name != baseline.name);
        before.filter(|other| other.tuned).count()
    };
    match space.baselines.iter().find(|baseline| baseline.name == name) {
        Some(Baseline { tuned: false, .. }) => (MUTED, Dash::Dots, Mark::Diamond),
        Some(baseline) if place(baseline) == 0 => (INK, Dash::Long, Mark::Square),
        Some(baseline) if place(baseline) == 1 => (VERMILION, Dash::Mixed, Mark::Triangle),
        _ => (SKY, Dash::Long, Mark::Square),
    }
}

/// Look of the `idx`-th number of micro-batches.
fn micro_batch_look(idx: usize) -> (Color, Dash, Mark) {
    let looks = [
        (BLUE, Mark::Circle),
        (ORANGE, Mark::Triangle),
        (GREEN, Mark::Square),
        (PURPLE, Mark::Diamond),
        (SKY, Mark::Circle),
    ];
    let (color, mark) = looks[idx % looks.len()];
    (color, if idx < looks.len() { Dash::Solid } else { Dash::Long }, mark)
}

/// The best split of a point and the best row of each baseline, as far as they run.
pub(crate) fn contenders<'a>(space: &Space<'a>, point: &Point<'a>) -> Vec<&'a Row> {
    let best = fastest(point.rows.iter().copied().filter(|row| is_split(row)));
    best.into_iter().chain(space.baselines.iter().filter_map(|it| point.best_of(it.name))).collect()
}

/// Lower-case letters, digits and hyphens: a name that every file system takes.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '.' => slug.push(c.to_ascii_lowercase()),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fixture::{CAPACITY_GIB, asked, hand_made, not_fitting, set_batch, sweep_rows};
    use crate::scene::tests::check_texts;
    use masim_core::scenario::ExpertLoad;

    fn check(rows: &[Row]) {
        let memory_gib = BTreeMap::from([("a100-4x4".to_owned(), CAPACITY_GIB)]);
        let subject = Subject {
            title: "t",
            command: "c",
            rows,
            memory_gib: &memory_gib,
            assumptions: &[],
            network: None,
        };
        let space = Space::new(rows);
        let figures = Figures::new(&subject, &space, &Verdict::new(&space));
        let mut names = std::collections::BTreeSet::new();
        for figure in figures.all() {
            check_texts(&figure.name, &figure.scene);
            assert!(names.insert(&figure.name), "two pictures are called {}", figure.name);
            let svg = figure.svg().unwrap();
            let sizes = svg.split("font-size=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            assert!(sizes.map(|size| size.parse::<f64>().unwrap()).all(|size| size >= 11.0));
        }
    }

    #[test]
    fn labels_of_a_whole_sweep_neither_intersect_nor_clip() {
        check(&sweep_rows());
    }

    #[test]
    fn labels_of_odd_sweeps_neither_intersect_nor_clip() {
        check(&[hand_made(0, "12:4", 900.0)]);
        check(&[not_fitting(0, "12:4"), not_fitting(0, "tp_pp")]);
        check(&[hand_made(0, "tp_pp", 900.0), not_fitting(0, "12:4")]);
        check(&[]);
        let mut wide = sweep_rows();
        for row in &mut wide {
            let batch = row.batch() * 1_000_000;
            set_batch(row, batch);
            if let Ok(figures) = &mut row.outcome {
                figures.tpot_us = figures.tpot_us.map(|tpot| tpot * 1e5);
            }
            // A name of as many letters as a long description has.
            let first = u64::from(asked(row).load != ExpertLoad::Balanced);
            asked(row).load = ExpertLoad::Histogram { tokens: (first..12).map(|n| 100 + n).collect() };
        }
        check(&wide);
    }

    #[test]
    fn slugs_are_names_of_files() {
        assert_eq!(slug("batch 64, expert load zipf(0.8)"), "batch-64-expert-load-zipf-0.8");
    }
}
