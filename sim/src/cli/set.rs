//! `--set path=value`: one change of a scenario.

use std::path::Path;

use masim_core::inputs::text::{InputError, Problem, SourceText, Tree};
use masim_core::judging::sweep::Sweep;
use masim_core::scenario::{Loader, Patcher, Scenario, scenario_file_of};

use super::exit::CliError;
use super::library::Folders;
use super::{files, terminal};

/// A path of keys and the value to stand there, in YAML; `x1.1` is a factor.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    path: String,
    value: Tree,
    typed: String,
}

/// Reads `path=value`, for clap.
pub(crate) fn parse(typed: &str) -> Result<Setting, String> {
    let (path, value) = typed.split_once('=').ok_or("expected path=value, such as workload.batch=256")?;
    let value = Tree::parse_value(value)?;
    Ok(Setting { path: path.trim().to_owned(), value, typed: typed.to_owned() })
}

/// The scenario of `source` with `settings` applied in order; messages about them name the flag.
pub(crate) fn apply(source: &SourceText, settings: &[Setting]) -> Result<Tree, InputError> {
    let patcher = Patcher::new(&Folders, &source.path);
    let mut tree = Tree::parse(source)?;
    if settings.is_empty() {
        return Ok(tree);
    }
    tree = patcher.filled(&tree, source)?;
    each(source, settings, |setting| patcher.apply(&mut tree, &setting.path, &setting.value))?;
    Ok(tree)
}

/// The scenario of the file at `path` with `settings` applied, after its warnings were printed.
pub(crate) fn scenario(path: &Path, settings: &[Setting]) -> Result<Scenario, CliError> {
    let source = files::read_text(path)?;
    let tree = apply(&source, settings)?;
    let scenario = scenario_file_of(&tree, &source)
        .and_then(|file| Loader::new(&Folders).scenario(&file, &source))
        .map_err(|error| blame(error, settings))?;
    scenario.warnings().iter().for_each(|warning| terminal::warn(warning));
    Ok(scenario)
}

/// Applies `settings` to the base of `sweep`, which was read from `source`.
pub(crate) fn apply_to_sweep(
    sweep: &mut Sweep,
    source: &SourceText,
    settings: &[Setting],
) -> Result<(), InputError> {
    each(source, settings, |setting| sweep.set(&setting.path, &setting.value, &Folders))
}

/// `error`, with what `settings` put into the scenario blamed on them and not on the text of the file.
pub(crate) fn blame(mut error: InputError, settings: &[Setting]) -> InputError {
    for problem in &mut error.problems {
        let is_from = |setting: &&Setting| {
            problem
                .key
                .strip_prefix(&setting.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if let Some(setting) = settings.iter().rev().find(is_from) {
            problem.position = None;
            problem.message = format!("{}, from `--set {}`", problem.message, setting.typed);
        }
    }
    error
}

/// Applies each setting and collects what is wrong with them.
fn each(
    source: &SourceText,
    settings: &[Setting],
    mut apply: impl FnMut(&Setting) -> Result<(), Problem>,
) -> Result<(), InputError> {
    let mut problems = Vec::new();
    for setting in settings {
        if let Err(problem) = apply(setting) {
            let message = format!("`--set {}`: {}", setting.typed, problem.message);
            problems.push(Problem { position: None, key: String::new(), message, hint: problem.hint });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(InputError::new(source, problems)) }
}
