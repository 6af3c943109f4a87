//! From a sweep to its rows, in the order in which the results hold them.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Axis, Sweep, names_strategy};
use super::row::Side;
use crate::inputs::text::{InputError, Library, Problem, SourceText, Tree, TreeValue};
use crate::scenario::strategy::MaSeparation;
use crate::scenario::{Loader, Patcher, Scenario, scenario_file_of};

/// More rows than anybody waits for.
const N_ROWS_MAX: usize = 1_000_000;

/// Axes whose values a column of `results.csv` already holds.
const OWN_COLUMN: [&str; 35] = [
    "cluster",
    "model",
    "profile",
    "workload.phase",
    "workload.batch",
    "workload.context_len",
    "workload.prompt_len",
    "workload.output_len",
    "workload.chunk_len",
    "load",
    "launch",
    "overlap",
    "seed",
    "n_steps",
    "strategy",
    "strategy.kind",
    "strategy.n_attention_gpus",
    "strategy.n_expert_gpus",
    "strategy.attention.heads",
    "strategy.attention.sequences",
    "strategy.attention.replicas",
    "strategy.attention.replica_mode",
    "strategy.experts.ep",
    "strategy.experts.tp",
    "strategy.experts.copies",
    "strategy.experts.reduce",
    "strategy.tp",
    "strategy.pp",
    "strategy.dp",
    "strategy.ep",
    "strategy.dispatch",
    "strategy.forward",
    "strategy.placement",
    "strategy.schedule",
    "strategy.n_micro_batches",
];

/// All rows of a sweep.
#[derive(Debug)]
pub struct Expanded {
    /// In the order of `row_idx`.
    pub rows: Vec<SweepRow>,
    /// Points that are not left out.
    pub n_points: u32,
    /// Paths of the axes that have no column of their own, in file order.
    pub axis_columns: Vec<String>,
}

/// One row of results to come.
#[derive(Clone, Debug)]
pub struct SweepRow {
    /// Counts rows from 0.
    pub row_idx: u32,
    /// Counts points from 0.
    pub point_idx: u32,
    /// The baseline's name, or the kind of the strategy.
    pub name: String,
    /// The side of the verdict on which it stands.
    pub side: Side,
    /// True if it is tuned as the splits are.
    pub tuned: bool,
    /// Scenarios to run, one or, for the best of several, more; or why there is none.
    pub alternatives: Result<Vec<Scenario>, String>,
    /// The column by which the best alternative is chosen.
    pub best_of: Option<String>,
    /// Values of the axes that have no column of their own, by path.
    pub axes: BTreeMap<String, String>,
    /// The scenario of each alternative, every default filled in.
    pub documents: Vec<Tree>,
}

impl SweepRow {
    /// A scenario that stands in no sweep, as the only row of one.
    pub fn alone(scenario: Scenario) -> Self {
        let (name, side) = of_base(scenario.strategy.kind().to_owned());
        Self {
            row_idx: 0,
            point_idx: 0,
            name,
            side,
            tuned: true,
            alternatives: Ok(vec![scenario]),
            best_of: None,
            axes: BTreeMap::new(),
            documents: Vec::new(),
        }
    }
}

impl Sweep {
    /// The rows: for each point the base strategy at each combination of the axes that name it, then
    /// the baselines.
    ///
    /// A row whose scenario makes no sense carries that as its error.
    ///
    /// # Errors
    ///
    /// A path of an axis or a condition that exists in no row; more than a million rows.
    pub fn expand(&self, library: &dyn Library) -> Result<Expanded, InputError> {
        let (strategy_axes, point_axes): (Vec<&Axis>, Vec<&Axis>) =
            self.axes.iter().partition(|axis| axis.is_of_strategy());
        self.check_size(&strategy_axes, &point_axes)?;
        let mut expansion = Expansion::new(self, library);
        for point in combinations(&point_axes) {
            expansion.point(&point_axes, &point, &strategy_axes);
        }
        expansion.finish()
    }

    fn check_size(&self, strategy_axes: &[&Axis], point_axes: &[&Axis]) -> Result<(), InputError> {
        let product = |axes: &[&Axis]| axes.iter().try_fold(1, |n: usize, axis| n.checked_mul(axis.n_values));
        let n_rows = product(strategy_axes)
            .and_then(|n| n.checked_add(self.baselines.len()))
            .and_then(|per_point| per_point.checked_mul(product(point_axes)?));
        match n_rows {
            Some(n_rows) if n_rows <= N_ROWS_MAX => Ok(()),
            _ => {
                let message = format!("the axes make more rows than {N_ROWS_MAX}");
                Err(InputError::new(&self.source, vec![Problem::new("axes", message)]))
            }
        }
    }
}

/// All combinations of the positions of `axes`; the last axis varies fastest.
fn combinations(axes: &[&Axis]) -> Vec<Vec<usize>> {
    axes.iter().fold(vec![Vec::new()], |heads, axis| {
        let longer = |head: &Vec<usize>, idx| head.iter().copied().chain([idx]).collect();
        heads.iter().flat_map(|head| (0..axis.n_values).map(move |idx| longer(head, idx))).collect()
    })
}

/// Name, side and place of a row, beside its scenario.
struct Competitor {
    name: String,
    side: Side,
    tuned: bool,
    best_of: Option<String>,
}

/// Name and side of a row of the base, whose strategy is of this kind.
fn of_base(kind: String) -> (String, Side) {
    let side = if kind == MaSeparation::KIND { Side::Split } else { Side::Baseline };
    (kind, side)
}

/// The state of an expansion.
struct Expansion<'a> {
    sweep: &'a Sweep,
    /// Names no file's text, so that no position in it is blamed for a value of an axis.
    nowhere: SourceText,
    patcher: Patcher<'a>,
    loader: Loader<'a>,
    rows: Vec<SweepRow>,
    n_points: u32,
    /// Paths that were found in some row.
    known: BTreeSet<&'a str>,
    /// What was wrong with a path, by path and place in the file.
    unknown: BTreeMap<&'a str, (String, Problem)>,
}

/// A scenario in the making; `Err` once a change did not apply.
type Draft = Result<Tree, String>;

impl<'a> Expansion<'a> {
    fn new(sweep: &'a Sweep, library: &'a dyn Library) -> Self {
        Self {
            sweep,
            nowhere: SourceText { path: sweep.source.path.clone(), text: String::new() },
            patcher: Patcher::new(library, &sweep.source.path),
            loader: Loader::new(library),
            rows: Vec::new(),
            n_points: 0,
            known: BTreeSet::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Adds the rows of one point.
    fn point(&mut self, point_axes: &[&'a Axis], point: &[usize], strategy_axes: &[&'a Axis]) {
        let n_rows_before = self.rows.len();
        let mut common: Draft = Ok(self.sweep.base.clone());
        self.apply(&mut common, point_axes, point, |path| !names_strategy(path));
        for combination in combinations(strategy_axes) {
            let mut draft = common.clone();
            // A key of the strategy that is zipped with others varies with the point.
            self.apply(&mut draft, point_axes, point, names_strategy);
            self.apply(&mut draft, strategy_axes, &combination, names_strategy);
            let mut axes = cells(point_axes, point, |_| true);
            axes.extend(cells(strategy_axes, &combination, |_| true));
            let base = self.sweep.base.get("strategy").and_then(|strategy| strategy.get("kind"));
            let kind = draft.as_ref().ok().and_then(|tree| tree.get("strategy")?.get("kind")).or(base);
            let (name, side) = of_base(kind.map(Tree::to_cell).unwrap_or_default());
            let competitor = Competitor { name, side, tuned: true, best_of: None };
            self.row(competitor, axes, vec![draft]);
        }
        for baseline in &self.sweep.baselines {
            let (name, best_of) = (baseline.name.clone(), baseline.best_of.clone());
            let drafts =
                baseline.strategies.iter().map(|strategy| with_strategy(&common, strategy)).collect();
            let axes = cells(point_axes, point, |path| !names_strategy(path));
            let competitor = Competitor { name, side: Side::Baseline, tuned: baseline.tuned, best_of };
            self.row(competitor, axes, drafts);
        }
        if self.rows.len() > n_rows_before {
            self.n_points += 1;
        }
    }

    /// Sets the values at the positions `at` of `axes`, of those paths that are `wanted`.
    fn apply(&mut self, draft: &mut Draft, axes: &[&'a Axis], at: &[usize], wanted: impl Fn(&str) -> bool) {
        for (axis, idx) in axes.iter().zip(at) {
            for (path, values) in axis.keys.iter().filter(|(path, _)| wanted(path)) {
                let Ok(tree) = draft else { return };
                match self.patcher.apply(tree, path, &values[*idx]) {
                    Ok(()) => {
                        self.known.insert(path);
                    }
                    Err(problem) => {
                        *draft = Err(line_of(&problem));
                        let place = self.place_of_axis(path);
                        self.unknown.entry(path).or_insert((place, problem));
                    }
                }
            }
        }
    }

    fn place_of_axis(&self, path: &str) -> String {
        let has_path = |axis: &Axis| axis.keys.iter().any(|(key, _)| key == path);
        let idx = self.sweep.axes.iter().position(has_path).expect("a path of an axis");
        format!("axes[{idx}].{path}")
    }

    /// Adds a row, unless conditions leave out all its alternatives.
    fn row(&mut self, competitor: Competitor, axes: BTreeMap<String, String>, mut drafts: Vec<Draft>) {
        drafts.retain(|draft| !draft.as_ref().is_ok_and(|tree| self.is_excluded(tree)));
        if drafts.is_empty() {
            return;
        }
        let Competitor { name, side, tuned, best_of } = competitor;
        let alternatives = drafts.iter().map(|draft| self.scenario(draft)).collect();
        self.rows.push(SweepRow {
            row_idx: u32::try_from(self.rows.len()).expect("at most a million rows"),
            point_idx: self.n_points,
            name,
            side,
            tuned,
            alternatives,
            best_of,
            axes,
            documents: drafts.into_iter().flatten().collect(),
        });
    }

    fn is_excluded(&mut self, tree: &Tree) -> bool {
        let mut excluded = false;
        for (idx, conditions) in self.sweep.exclude.iter().enumerate() {
            let mut all = true;
            for (path, condition) in conditions {
                let holds = match self.patcher.value(tree, path) {
                    Ok(value) => {
                        self.known.insert(path);
                        condition.holds(&value)
                    }
                    Err(problem) => {
                        self.unknown.entry(path).or_insert((format!("exclude[{idx}].{path}"), problem));
                        false
                    }
                };
                all &= holds;
            }
            excluded |= all;
        }
        excluded
    }

    fn scenario(&mut self, draft: &Draft) -> Result<Scenario, String> {
        let tree = draft.as_ref().map_err(Clone::clone)?;
        let scenario =
            scenario_file_of(tree, &self.nowhere).and_then(|file| self.loader.scenario(&file, &self.nowhere));
        scenario.map_err(|error| {
            let here = error.source == self.nowhere;
            let lines: Vec<String> = error.problems.iter().map(line_of).collect();
            let lines = lines.join("; ");
            if here { lines } else { format!("in `{}`: {lines}", error.source.path) }
        })
    }

    fn finish(self) -> Result<Expanded, InputError> {
        let Self { sweep, known, unknown, rows, n_points, .. } = self;
        let nowhere = unknown.into_iter().filter(|(path, _)| !known.contains(path));
        let problems: Vec<Problem> =
            nowhere.map(|(_, (key, problem))| Problem { key, position: None, ..problem }).collect();
        if !problems.is_empty() {
            return Err(InputError::new(&sweep.source, problems));
        }
        let paths = sweep.axes.iter().flat_map(|axis| axis.keys.iter().map(|(path, _)| path));
        let axis_columns = paths.filter(|path| !OWN_COLUMN.contains(&path.as_str())).cloned().collect();
        Ok(Expanded { rows, n_points, axis_columns })
    }
}

/// One line that says what is wrong.
fn line_of(problem: &Problem) -> String {
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    if problem.key.is_empty() {
        format!("{}{hint}", problem.message)
    } else {
        format!("`{}`: {}{hint}", problem.key, problem.message)
    }
}

/// `draft` with another strategy.
fn with_strategy(draft: &Draft, strategy: &Tree) -> Draft {
    let mut tree = draft.clone()?;
    if let TreeValue::Map(entries) = &mut tree.value {
        for entry in entries.iter_mut().filter(|entry| entry.key == "strategy") {
            entry.tree = strategy.clone();
        }
    }
    Ok(tree)
}

/// What a table shows of the axes that have no column of their own.
fn cells(axes: &[&Axis], at: &[usize], wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let keys = axes.iter().zip(at).flat_map(|(axis, idx)| axis.keys.iter().map(move |key| (key, *idx)));
    keys.filter(|((path, _), _)| wanted(path) && !OWN_COLUMN.contains(&path.as_str()))
        .map(|((path, values), idx)| (path.clone(), values[idx].to_cell()))
        .collect()
}
