//! Changes to a scenario in memory: `key.path = value`.
//!
//! A path goes on inside the file that a reference names: the reference is replaced by a copy of that
//! file's mapping, and the copy is changed.

use std::borrow::Cow;

use super::file::ScenarioFile;
use super::load::scenario_file_of;
use super::model_file::ModelFile;
use crate::inputs::text::{
    Entry, InputError, Library, Problem, RefKind, SourceText, Tree, TreeValue, did_you_mean,
};
use crate::inputs::topology::ClusterFile;

/// Changes scenarios, taking the files that they name from a library.
#[derive(Clone, Copy)]
pub struct Patcher<'a> {
    library: &'a dyn Library,
    /// Path of the file that references are relative to.
    from: &'a str,
}

impl<'a> Patcher<'a> {
    /// Changes scenarios whose references are relative to the file `from`.
    pub fn new(library: &'a dyn Library, from: &'a str) -> Self {
        Self { library, from }
    }

    /// Reads the scenario of `source` with every default filled in, so that every key that it can have is there.
    ///
    /// References by path are replaced by what they name, so that the scenario can move elsewhere.
    ///
    /// # Errors
    ///
    /// The one syntax error, or the first malformed key, or a path that leads to no file.
    pub fn filled(self, tree: &Tree, source: &SourceText) -> Result<Tree, InputError> {
        let file: ScenarioFile = scenario_file_of(tree, source)?;
        let mut tree = Tree::of(&file);
        self.take_in(&mut tree, &mut Vec::new()).map_err(|problem| InputError::new(source, vec![problem]))?;
        Ok(tree)
    }

    /// Sets the value at `path` to `value`; `x1.1` multiplies the number or quantity that stands there.
    ///
    /// # Errors
    ///
    /// A path that does not exist, with the keys that do; a factor for what is no number.
    pub fn apply(self, scenario: &mut Tree, path: &str, value: &Tree) -> Result<(), Problem> {
        let keys = keys_of(path);
        let (last, parents) = keys.split_last().ok_or_else(|| Problem::new(path, "the path is empty"))?;
        let mut here = &mut *scenario;
        for (depth, key) in parents.iter().enumerate() {
            here = child(here, &keys[..depth], key).map_err(|problem| of_path(problem, path))?;
            self.open(here, &keys[..=depth])?;
        }
        if may_be_absent(&keys) && add_key(here, last) {
            set(child(here, parents, last)?, path, value)?;
            return check_new_key(scenario, path);
        }
        set(child(here, parents, last).map_err(|problem| of_path(problem, path))?, path, value)?;
        self.take_in(child(here, parents, last)?, &mut keys.clone())
    }

    /// The value at `path`.
    ///
    /// # Errors
    ///
    /// A path that does not exist.
    pub fn value(self, scenario: &Tree, path: &str) -> Result<Tree, Problem> {
        let keys = keys_of(path);
        let mut here = Cow::Borrowed(scenario);
        for (depth, key) in keys.iter().enumerate() {
            if reference_at(&keys[..depth]).is_some() && here.as_text().is_some() {
                self.open(here.to_mut(), &keys[..depth])?;
            }
            here = match here {
                Cow::Borrowed(tree) => Cow::Borrowed(child_of(tree, &keys[..depth], key)?),
                Cow::Owned(tree) => Cow::Owned(child_of(&tree, &keys[..depth], key)?.clone()),
            };
        }
        Ok(here.into_owned())
    }

    /// Replaces a reference by the mapping of the file that it names, where `here` is one.
    fn open(self, here: &mut Tree, keys: &[&str]) -> Result<(), Problem> {
        let (Some(kind), Some(name)) = (reference_at(keys), here.as_text()) else { return Ok(()) };
        let key = keys.join(".");
        if kind == RefKind::Trace {
            // Its rows stay where they are; from the current folder it is found by any file.
            let text =
                self.library.load(kind, name, self.from).map_err(|message| Problem::new(&key, message))?;
            here.value = TreeValue::Text(text.path);
            return Ok(());
        }
        let text = self.library.load(kind, name, self.from).map_err(|message| Problem::new(&key, message))?;
        let mut tree = Tree::parse(&text).map_err(|error| Problem::new(&key, error))?;
        tree.forget_positions();
        if kind == RefKind::Model {
            // Defaults filled in, so that every key can be set.
            let file: ModelFile = tree.read_as().map_err(|problem| Problem {
                message: format!("in `{}`: {}", text.path, problem.message),
                key: format!("{key}.{}", problem.key),
                ..problem
            })?;
            tree = Tree::of(&file);
        }
        *here = tree;
        let inner = Patcher { library: self.library, from: &text.path };
        inner.take_in(here, &mut keys.to_vec())
    }

    /// Replaces all references by path below `tree`, which stands at `keys`.
    fn take_in(self, tree: &mut Tree, keys: &mut Vec<&str>) -> Result<(), Problem> {
        let kind = reference_at(keys);
        let is_path = |name: &str| name.contains('/') || kind == Some(RefKind::Trace);
        if kind.is_some() && tree.as_text().is_some_and(is_path) {
            return self.open(tree, keys);
        }
        match &mut tree.value {
            TreeValue::Map(entries) if may_hold_references(keys) => {
                for entry in entries {
                    let mut inner = keys.clone();
                    inner.push(&entry.key);
                    self.take_in(&mut entry.tree, &mut inner)?;
                }
            }
            TreeValue::List(items) if may_hold_references(keys) => {
                for (idx, item) in items.iter_mut().enumerate() {
                    let idx = idx.to_string();
                    let mut inner = keys.clone();
                    inner.push(&idx);
                    self.take_in(item, &mut inner)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Splits `a.b[3].c` and `a.b.3.c` into their keys.
fn keys_of(path: &str) -> Vec<&str> {
    path.split(['.', '[', ']']).filter(|key| !key.is_empty()).collect()
}

/// Kind of file that the value at `keys` of a scenario refers to, if it is a name.
fn reference_at(keys: &[&str]) -> Option<RefKind> {
    let is_idx = |key: &str| key.parse::<usize>().is_ok();
    match keys {
        ["cluster"] => Some(RefKind::Cluster),
        ["model"] => Some(RefKind::Model),
        ["workload", "context_len", "path"] => Some(RefKind::Trace),
        ["cluster", "gpu"] => Some(RefKind::Gpu),
        ["cluster", "gpu", idx] | ["cluster", "nodes", idx, "gpu"] if is_idx(idx) => Some(RefKind::Gpu),
        _ => None,
    }
}

fn may_hold_references(keys: &[&str]) -> bool {
    matches!(keys, [] | ["cluster", ..] | ["workload"] | ["workload", "context_len"])
}

/// Keys of clusters and cards, and the host's, may be left out of their files, and can be set all the same.
fn may_be_absent(keys: &[&str]) -> bool {
    matches!(keys, ["cluster", _, ..] | ["host_overhead"])
}

/// The value under `key` of `here`, which stands at `keys`.
fn child<'t>(here: &'t mut Tree, keys: &[&str], key: &str) -> Result<&'t mut Tree, Problem> {
    let at = position(here, keys, key)?;
    match &mut here.value {
        TreeValue::Map(entries) => Ok(&mut entries[at].tree),
        TreeValue::List(items) => Ok(&mut items[at]),
        _ => unreachable!("only mappings and lists have positions"),
    }
}

/// Same as [`child`], without a right to change it.
fn child_of<'t>(here: &'t Tree, keys: &[&str], key: &str) -> Result<&'t Tree, Problem> {
    let at = position(here, keys, key)?;
    match &here.value {
        TreeValue::Map(entries) => Ok(&entries[at].tree),
        TreeValue::List(items) => Ok(&items[at]),
        _ => unreachable!("only mappings and lists have positions"),
    }
}

/// Position of `key` in `here`, a mapping or a list; the error says what is there instead.
fn position(here: &Tree, keys: &[&str], key: &str) -> Result<usize, Problem> {
    let place = || if keys.is_empty() { "the scenario".to_owned() } else { format!("`{}`", keys.join(".")) };
    match &here.value {
        TreeValue::Map(entries) => entries.iter().position(|entry| entry.key == key).ok_or_else(|| {
            let names = || entries.iter().map(|entry| entry.key.as_str());
            let quoted: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            let message = format!("{} has no key `{key}`; it has {}", place(), quoted.join(", "));
            Problem { hint: did_you_mean(key, names()), ..Problem::new("", message) }
        }),
        TreeValue::List(items) => key.parse().ok().filter(|idx| *idx < items.len()).ok_or_else(|| {
            let n_items = items.len();
            Problem::new("", format!("{} is a list of {n_items} and has no item `{key}`", place()))
        }),
        _ => Err(Problem::new("", format!("{} is `{}` and has no key `{key}`", place(), here.to_cell()))),
    }
}

fn of_path(problem: Problem, path: &str) -> Problem {
    Problem { key: path.to_owned(), ..problem }
}

/// Adds `key` to the mapping `here`, if it is one that lacks it.
fn add_key(here: &mut Tree, key: &str) -> bool {
    match &mut here.value {
        TreeValue::Map(entries) if entries.iter().all(|entry| entry.key != key) => {
            entries.push(Entry { key: key.to_owned(), at: None, tree: TreeValue::Null.into() });
            true
        }
        _ => false,
    }
}

/// A key that was not there must be one that the reader of the file knows.
fn check_new_key(scenario: &Tree, path: &str) -> Result<(), Problem> {
    let cluster = scenario.get("cluster").expect("the path led through it");
    match cluster.read_as::<ClusterFile>() {
        Err(problem) if path.strip_prefix("cluster.") == Some(&problem.key) => {
            Err(Problem { position: None, ..of_path(problem, path) })
        }
        _ => Ok(()),
    }
}

fn set(target: &mut Tree, path: &str, value: &Tree) -> Result<(), Problem> {
    match value.as_text().and_then(factor_of) {
        None => target.value = value.value.clone(),
        Some(factor) => {
            target.value = multiplied(&target.value, factor).ok_or_else(|| {
                let found = target.to_cell();
                Problem::new(path, format!("`x{factor}` multiplies a number or a quantity; found `{found}`"))
            })?;
        }
    }
    target.at = None;
    Ok(())
}

/// The factor of `x1.1`.
fn factor_of(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('x')?;
    let plain = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    digits.parse().ok().filter(|factor: &f64| plain && factor.is_finite())
}

/// A number or a quantity, `factor` times.
fn multiplied(value: &TreeValue, factor: f64) -> Option<TreeValue> {
    match value {
        TreeValue::Whole(n) => Some(number(*n as f64 * factor)),
        TreeValue::Real(x) => Some(number(x * factor)),
        TreeValue::Text(text) => {
            let (number, unit) = text.trim().split_once(' ')?;
            let product = number.parse::<f64>().ok().filter(|x| x.is_finite())? * factor;
            Some(TreeValue::Text(format!("{} {unit}", rounded(product))))
        }
        _ => None,
    }
}

/// Whole where it is whole, so that counts stay counts.
fn number(x: f64) -> TreeValue {
    let x = rounded(x);
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    if x.fract() == 0.0 && x.abs() < 9e15 { TreeValue::Whole(x as i128) } else { TreeValue::Real(x) }
}

/// Twelve digits: 25 x 1.1 is 27.5 and not 27.500000000000004.
fn rounded(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}
