//! Scenarios made in memory.

use masim_core::inputs::text::{SourceText, Tree};
use masim_core::scenario::{Loader, Patcher, Scenario, load_scenario, scenario_file_of};

use crate::Shipped;

/// `scenarios/decode.yaml` with the value at each path replaced.
///
/// # Panics
///
/// With the problem, when a path or a value is wrong.
pub fn decode(changes: &[(&str, &str)]) -> Scenario {
    try_decode(changes).unwrap_or_else(|problem| panic!("{changes:?}: {problem}"))
}

/// `scenarios/decode.yaml` with the value at each path replaced, for changes that may contradict each other.
///
/// # Errors
///
/// The problem, when a path or a value is wrong.
///
/// # Panics
///
/// When the shipped scenario itself cannot be read.
pub fn try_decode(changes: &[(&str, &str)]) -> Result<Scenario, String> {
    let shipped = Shipped::default();
    let source = shipped.text("scenarios/decode.yaml").expect("the scenario is shipped");
    let patcher = Patcher::new(&shipped, &source.path);
    let tree = Tree::parse(&source).expect("the shipped scenario parses");
    let mut tree = patcher.filled(&tree, &source).expect("the shipped scenario is valid");
    for (path, value) in changes {
        let value = Tree::parse_value(value).map_err(|message| format!("{path}: {message}"))?;
        patcher.apply(&mut tree, path, &value).map_err(|problem| format!("{path}: {problem:?}"))?;
    }
    // No position in the shipped file is to blame for a change.
    let nowhere = SourceText { path: source.path.clone(), text: String::new() };
    let file = scenario_file_of(&tree, &nowhere).map_err(|error| format!("{error:?}"))?;
    Loader::new(&shipped).scenario(&file, &nowhere).map_err(|error| format!("{error:?}"))
}

/// The scenario that `text` describes, as if it stood in `scenarios/`.
///
/// # Panics
///
/// With its problems, when it has any.
pub fn scenario(text: &str) -> Scenario {
    let source = SourceText { path: "scenarios/made-up.yaml".to_owned(), text: text.to_owned() };
    load_scenario(&source, &Shipped::default()).unwrap_or_else(|error| panic!("{error:?}"))
}
