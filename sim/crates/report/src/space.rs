//! The points of a sweep as a space with dimensions, so that neighbours and tables can be found.

use std::collections::BTreeMap;

use super::number::{is_split, sig};
use masim_core::judging::sweep::{Asked, Row};
use masim_core::scenario::Workload;

/// Something that differs between points.
#[derive(Clone, Debug)]
pub(crate) struct Dim {
    /// Column or path.
    pub(crate) key: String,
    /// What people read.
    pub(crate) title: String,
    /// Its values in order: numbers by size, others as they first appear.
    pub(crate) values: Vec<String>,
}

/// One combination of the axes that do not name the strategy.
#[derive(Clone, Debug)]
pub(crate) struct Point<'a> {
    /// `point_idx` of its rows.
    pub(crate) idx: u32,
    /// Position of its value in each dimension.
    pub(crate) at: Vec<usize>,
    /// Its rows in file order.
    pub(crate) rows: Vec<&'a Row>,
}

/// All points. Dimension 0 is the context length and 1 the batch, even where they have one value.
#[derive(Clone, Debug)]
pub(crate) struct Space<'a> {
    /// What differs between points.
    pub(crate) dims: Vec<Dim>,
    /// In order of `point_idx`.
    pub(crate) points: Vec<Point<'a>>,
    /// What its rows are compared by.
    pub(crate) answer: Answer,
    /// The baselines, in order of appearance.
    pub(crate) baselines: Vec<Baseline<'a>>,
}

/// A baseline of the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Baseline<'a> {
    /// Its name, which no other baseline has.
    pub(crate) name: &'a str,
    /// True if it is tuned as the splits are.
    pub(crate) tuned: bool,
}

impl<'a> Point<'a> {
    /// The fastest row of the baseline called `name`.
    pub(crate) fn best_of(&self, name: &str) -> Option<&'a Row> {
        fastest(self.rows.iter().copied().filter(|row| !is_split(row) && row.name == name))
    }
}

/// The time by which rows are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Between two tokens.
    PerToken,
    /// Until the first tokens: all rows are of prompts.
    FirstToken,
    /// Between two tokens, or at points of prompts until the first; those of a point are alike.
    Either,
}

impl Answer {
    /// The title of a column.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::PerToken => "TPOT, ms",
            Self::FirstToken => "TTFT, ms",
            Self::Either => "TPOT or TTFT, ms",
        }
    }

    /// In a sentence.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::PerToken => "time per token",
            Self::FirstToken => "time to the first tokens",
            Self::Either => "time per token, or of prompts to the first tokens",
        }
    }
}

/// A value that knows how it is ordered.
struct Coordinate {
    key: String,
    text: String,
    number: Option<f64>,
}

fn coordinates(row: &Row) -> Vec<Coordinate> {
    let number = |key: &str, value: f64| Coordinate {
        key: key.to_owned(),
        text: if value.fract() == 0.0 { format!("{value}") } else { sig(value) },
        number: Some(value),
    };
    let text = |key: &str, of: fn(&Asked) -> String| Coordinate {
        key: key.to_owned(),
        text: row.asked.as_ref().map(of).unwrap_or_default(),
        number: None,
    };
    let mut all = vec![
        number("context_len", row.context_len()),
        number("batch", f64::from(row.batch())),
        text("expert_load", |asked| asked.load.to_string()),
        text("model", |asked| asked.model.clone()),
        text("cluster", |asked| asked.cluster.clone()),
        text("profile", |asked| asked.profile.clone()),
        text("phase", |asked| asked.workload.phase().to_owned()),
        text("context_len_kind", |asked| asked.context_len_kind().to_owned()),
        text("launch", |asked| asked.launch.name().to_owned()),
        text("overlap", |asked| asked.overlap.to_string()),
        text("seed", |asked| asked.seed.to_string()),
    ];
    let axes = row.axes.iter().filter(|(path, _)| !path.starts_with("strategy"));
    all.extend(axes.map(|(path, value)| Coordinate {
        key: path.clone(),
        text: value.clone(),
        number: value.parse().ok(),
    }));
    all
}

fn title(key: &str) -> String {
    match key {
        "context_len" => "context, tokens".to_owned(),
        "batch" => "batch, sequences".to_owned(),
        "expert_load" => "expert load".to_owned(),
        other => other.to_owned(),
    }
}

/// All keys with the values that they take, in order.
fn dims(rows: &[&Row]) -> Vec<Dim> {
    // The first two exist even without rows.
    let mut seen: Vec<(String, Vec<Coordinate>)> =
        vec![("context_len".to_owned(), Vec::new()), ("batch".to_owned(), Vec::new())];
    for coordinate in rows.iter().flat_map(|row| coordinates(row)) {
        let at = seen.iter().position(|(key, _)| *key == coordinate.key).unwrap_or_else(|| {
            seen.push((coordinate.key.clone(), Vec::new()));
            seen.len() - 1
        });
        let values = &mut seen[at].1;
        if values.iter().all(|value| value.text != coordinate.text) {
            values.push(coordinate);
        }
    }
    seen.into_iter()
        .enumerate()
        .filter(|(idx, (_, values))| *idx < 2 || values.len() > 1)
        .map(|(_, (key, mut values))| {
            if values.iter().all(|value| value.number.is_some()) {
                values.sort_by(|a, b| a.number.unwrap_or(0.0).total_cmp(&b.number.unwrap_or(0.0)));
            }
            let values = values.into_iter().map(|value| value.text).collect();
            Dim { title: title(&key), key, values }
        })
        .collect()
}

impl<'a> Space<'a> {
    /// The points that `rows` belong to.
    pub(crate) fn new(rows: &'a [Row]) -> Self {
        let mut by_point = BTreeMap::<u32, Vec<&'a Row>>::new();
        for row in rows {
            by_point.entry(row.point_idx).or_default().push(row);
        }
        let firsts: Vec<&Row> = by_point.values().map(|rows| first(rows)).collect();
        let dims = dims(&firsts);
        let points = by_point
            .into_iter()
            .map(|(idx, rows)| Point { idx, at: position(&dims, first(&rows)), rows })
            .collect();
        let n_of_prompts = firsts.iter().filter(|row| is_of_prompts(row)).count();
        let answer = match n_of_prompts {
            0 => Answer::PerToken,
            n if n == firsts.len() => Answer::FirstToken,
            _ => Answer::Either,
        };
        Self { dims, points, answer, baselines: baselines(rows) }
    }

    /// What tells one table of contexts and batches from another: positions in dimensions 2 and up.
    pub(crate) fn panels(&self) -> Vec<Vec<usize>> {
        let mut panels: Vec<Vec<usize>> = Vec::new();
        for point in &self.points {
            if !panels.iter().any(|panel| panel[..] == point.at[2..]) {
                panels.push(point.at[2..].to_vec());
            }
        }
        panels
    }

    /// Such as `expert load zipf(0.8)`; empty where there is one panel only.
    pub(crate) fn panel_name(&self, panel: &[usize]) -> String {
        let named =
            self.dims[2..].iter().zip(panel).map(|(dim, &at)| format!("{} {}", dim.title, dim.values[at]));
        named.collect::<Vec<_>>().join(", ")
    }

    /// The point of `panel` at a context and a batch.
    pub(crate) fn point(&self, panel: &[usize], context: usize, batch: usize) -> Option<&Point<'a>> {
        self.points
            .iter()
            .find(|point| point.at[0] == context && point.at[1] == batch && &point.at[2..] == panel)
    }

    /// Such as `context 2048, batch 256, expert load balanced`.
    pub(crate) fn point_name(&self, at: &[usize]) -> String {
        let panel = self.panel_name(&at[2..]);
        let comma = if panel.is_empty() { "" } else { ", " };
        let (context, batch) = (&self.dims[0].values[at[0]], &self.dims[1].values[at[1]]);
        format!("context {context}, batch {batch}{comma}{panel}")
    }
}

/// The row that says where the point of `rows` lies: the first whose scenario makes sense.
fn first<'a>(rows: &[&'a Row]) -> &'a Row {
    rows.iter().find(|row| row.asked.is_some()).unwrap_or(&rows[0])
}

fn is_of_prompts(row: &Row) -> bool {
    row.asked.as_ref().is_some_and(|asked| matches!(asked.workload, Workload::Prefill { .. }))
}

fn position(dims: &[Dim], row: &Row) -> Vec<usize> {
    let all = coordinates(row);
    let find = |dim: &Dim| {
        let own = all.iter().find(|coordinate| coordinate.key == dim.key);
        own.and_then(|own| dim.values.iter().position(|value| *value == own.text)).unwrap_or(0)
    };
    dims.iter().map(find).collect()
}

fn baselines(rows: &[Row]) -> Vec<Baseline<'_>> {
    let mut all: Vec<Baseline<'_>> = Vec::new();
    for row in rows.iter().filter(|row| !is_split(row)) {
        if all.iter().all(|known| known.name != row.name) {
            all.push(Baseline { name: &row.name, tuned: row.tuned });
        }
    }
    all
}

/// The row with the smallest TPOT, or of prompts TTFT; among equals the first.
pub(crate) fn fastest<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Option<&'a Row> {
    rows.into_iter()
        .filter_map(|row| Some((row.answer_us()?, row)))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, row)| row)
}
