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
    let shipped = Shipped::default();
    let source = shipped.text("scenarios/decode.yaml").expect("the scenario is shipped");
    let patcher = Patcher::new(&shipped, &source.path);
    let tree = Tree::parse(&source).expect("the shipped scenario parses");
    let mut tree = patcher.filled(&tree, &source).expect("the shipped scenario is valid");
    for (path, value) in changes {
        let value = Tree::parse_value(value).unwrap_or_else(|message| panic!("{path}: {message}"));
        patcher.apply(&mut tree, path, &value).unwrap_or_else(|problem| panic!("{path}: {problem:?}"));
    }
    // No position in the shipped file is to blame for a change.
    let nowhere = SourceText { path: source.path.clone(), text: String::new() };
    let file = scenario_file_of(&tree, &nowhere).unwrap_or_else(|error| panic!("{changes:?}: {error:?}"));
    Loader::new(&shipped).scenario(&file, &nowhere).unwrap_or_else(|error| panic!("{changes:?}: {error:?}"))
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
