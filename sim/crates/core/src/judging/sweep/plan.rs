//! What a sweep means: a filled base, axes, conditions and baselines.

use std::collections::BTreeSet;

use super::condition::Condition;
use super::file::{BaselineFile, ByPathFile, StrategiesFile, SweepFile};
use crate::inputs::text::{InputError, Library, Problem, RefKind, SourceText, Tree, TreeValue, did_you_mean};
use crate::inputs::topology::ReferenceFile;
use crate::scenario::Patcher;

/// The columns that `best_of` may name.
pub const BEST_OF: [&str; 7] = [
    "tpot_us",
    "step_time_us",
    "tokens_per_sec",
    "tokens_per_sec_per_gpu",
    "ttft_us",
    "makespan_us",
    "energy_per_token_j",
];

/// A sweep, ready to be expanded into rows.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The text of the sweep.
    pub(super) source: SourceText,
    /// The base scenario, every default filled in.
    pub(super) base: Tree,
    pub(super) axes: Vec<Axis>,
    pub(super) exclude: Vec<Vec<(String, Condition)>>,
    pub(super) baselines: Vec<Baseline>,
    /// What the file says, its base replaced by `base` when it is written.
    file: SweepFile,
}

/// Values that are set together.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) n_values: usize,
    /// A path and its values, for each key.
    pub(super) keys: Vec<(String, Vec<Tree>)>,
}

/// Strategies that compete for one row of each point.
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    pub(super) name: String,
    pub(super) tuned: bool,
    pub(super) best_of: Option<String>,
    pub(super) strategies: Vec<Tree>,
}

impl Axis {
    /// True if all its keys name the strategy, so that it makes rows of one point and not points.
    pub(super) fn is_of_strategy(&self) -> bool {
        self.keys.iter().all(|(path, _)| names_strategy(path))
    }
}

/// True if `path` leads into the strategy.
pub(super) fn names_strategy(path: &str) -> bool {
    path == "strategy" || path.starts_with("strategy.")
}

/// Reads a sweep and its base.
///
/// # Errors
///
/// The one syntax error, or the first malformed key, of either; or all semantic problems of the sweep.
pub fn load_sweep(source: &SourceText, library: &dyn Library) -> Result<Sweep, InputError> {
    let tree = Tree::parse(source)?;
    if tree.get("base").is_none() && tree.get("workload").is_some() {
        let message = "a scenario was found where a sweep was expected; a sweep has a `base`";
        return Err(InputError::new(source, vec![Problem::new("", message)]));
    }
    let file: SweepFile = tree.read_as().map_err(|problem| InputError::new(source, vec![problem]))?;
    let base = base_of(&file, source, library)?;
    let mut problems = Vec::new();
    if let Some(found) = file.schema.filter(|found| *found != 1) {
        problems.push(Problem::new("schema", format!("this version reads schema 1, found {found}")));
    }
    let axes = axes_of(&file.axes, &mut problems);
    let exclude = conditions_of(&file.exclude, &mut problems);
    let kind = base.get("strategy").and_then(|strategy| strategy.get("kind")).and_then(Tree::as_text);
    let baselines = baselines_of(&file.baselines, kind.unwrap_or_default(), &mut problems);
    if problems.is_empty() {
        Ok(Sweep { source: source.clone(), base, axes, exclude, baselines, file })
    } else {
        Err(InputError::new(source, problems))
    }
}

/// The base with every default filled in.
fn base_of(file: &SweepFile, source: &SourceText, library: &dyn Library) -> Result<Tree, InputError> {
    match &file.base {
        ReferenceFile::Inline(base) => Patcher::new(library, &source.path).filled(&Tree::of(base), source),
        ReferenceFile::Name(path) => {
            let base = library
                .load(RefKind::Scenario, path, &source.path)
                .map_err(|message| InputError::new(source, vec![Problem::new("base", message)]))?;
            let tree = Tree::parse(&base)?;
            if tree.get("base").is_some() {
                let message =
                    format!("`{}` is a sweep, because it has a `base`; expected a scenario", base.path);
                return Err(InputError::new(source, vec![Problem::new("base", message)]));
            }
            Patcher::new(library, &base.path).filled(&tree, &base)
        }
    }
}

fn axes_of(items: &[ByPathFile], problems: &mut Vec<Problem>) -> Vec<Axis> {
    let mut seen = BTreeSet::new();
    let mut axes = Vec::new();
    for (idx, item) in items.iter().enumerate() {
        let item_key = format!("axes[{idx}]");
        if item.is_empty() {
            problems.push(Problem::new(&item_key, "the item is empty; expected a path and a list of values"));
            continue;
        }
        let mut keys = Vec::new();
        for (path, values) in item {
            let key = format!("{item_key}.{path}");
            if !seen.insert(path.as_str()) {
                problems.push(Problem::new(&key, "another item of `axes` has the same path"));
            }
            match Tree::from(values.clone()).value {
                TreeValue::List(values) if values.is_empty() => {
                    problems.push(Problem::new(&key, "the list is empty; expected at least one value"));
                }
                TreeValue::List(values) => keys.push((path.clone(), values)),
                _ => problems.push(Problem::new(&key, "expected a list of values")),
            }
        }
        let n_values = keys.first().map_or(0, |(_, values)| values.len());
        for (path, values) in keys.iter().filter(|(_, values)| values.len() != n_values) {
            let (first, found) = (&keys[0].0, values.len());
            let message =
                format!("{found} values beside {n_values} of `{first}`; expected lists of equal length");
            problems.push(Problem::new(&format!("{item_key}.{path}"), message));
        }
        axes.push(Axis { n_values, keys });
    }
    axes
}

fn conditions_of(items: &[ByPathFile], problems: &mut Vec<Problem>) -> Vec<Vec<(String, Condition)>> {
    let mut exclude = Vec::new();
    for (idx, item) in items.iter().enumerate() {
        if item.is_empty() {
            let message =
                "the item is empty and would leave out every point; expected a path and a condition";
            problems.push(Problem::new(&format!("exclude[{idx}]"), message));
        }
        let mut conditions = Vec::new();
        for (path, condition) in item {
            match Condition::parse(&Tree::from(condition.clone())) {
                Ok(condition) => conditions.push((path.clone(), condition)),
                Err(message) => problems.push(Problem::new(&format!("exclude[{idx}].{path}"), message)),
            }
        }
        exclude.push(conditions);
    }
    exclude
}

fn baselines_of(files: &[BaselineFile], base_name: &str, problems: &mut Vec<Problem>) -> Vec<Baseline> {
    let mut names = BTreeSet::from([base_name]);
    let mut baselines = Vec::new();
    for (idx, file) in files.iter().enumerate() {
        let key = |key: &str| format!("baselines[{idx}].{key}");
        if !names.insert(&file.name) {
            let message = format!("another strategy of this sweep is already called `{}`", file.name);
            problems.push(Problem::new(&key("name"), message));
        }
        let strategies = file.strategy.all();
        if strategies.is_empty() {
            problems
                .push(Problem::new(&key("strategy"), "the list is empty; expected at least one strategy"));
        }
        match &file.best_of {
            Some(column) if !BEST_OF.contains(&column.as_str()) => {
                let names = BEST_OF.map(|name| format!("`{name}`")).join(", ");
                let message = format!("found `{column}`; expected one of {names}");
                let hint = did_you_mean(column, BEST_OF.into_iter());
                problems.push(Problem { hint, ..Problem::new(&key("best_of"), message) });
            }
            None if matches!(file.strategy, StrategiesFile::Several(_)) => {
                let message = "a list of strategies needs `best_of`, the column by which the best is chosen";
                problems.push(Problem::new(&key("strategy"), message));
            }
            _ => {}
        }
        baselines.push(Baseline {
            name: file.name.clone(),
            tuned: file.tuned,
            best_of: file.best_of.clone(),
            strategies: strategies.iter().map(Tree::of).collect(),
        });
    }
    baselines
}

impl Sweep {
    /// Changes the base, as `--set path=value` does.
    ///
    /// # Errors
    ///
    /// A path that does not exist, a value that does not fit there, or one that an axis would replace.
    pub fn set(&mut self, path: &str, value: &Tree, library: &dyn Library) -> Result<(), Problem> {
        let is_replaced_by =
            |axis: &str| path.strip_prefix(axis).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let mut paths = self.axes.iter().flat_map(|axis| &axis.keys).map(|(path, _)| path);
        if let Some(axis) = paths.find(|axis| is_replaced_by(axis)) {
            return Err(Problem::new(path, format!("every row has a value of the axis `{axis}` there")));
        }
        Patcher::new(library, &self.source.path).apply(&mut self.base, path, value)
    }

    /// The sweep with its base and all defaults filled in, as YAML; expanding it gives the same rows.
    pub fn resolved_yaml(&self) -> String {
        let mut file = Tree::of(&self.file);
        if let TreeValue::Map(entries) = &mut file.value {
            for entry in entries.iter_mut().filter(|entry| entry.key == "base") {
                entry.tree = self.base.clone();
            }
        }
        file.to_yaml()
    }
}
