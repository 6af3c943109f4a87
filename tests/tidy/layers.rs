//! Layers: each module names only those above it, and `cli` alone touches the world.

use crate::{Text, assert_none, files};

/// The folder of the library.
const CORE: &str = "sim/crates/core/src";

/// Names of the `mod` lines of a file, in order.
fn declared(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(crate::root().join(path)).expect("a file that declares modules");
    let names = text.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("pub(crate) ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')
    });
    names.map(str::to_owned).collect()
}

/// The modules of `masim-core` as `folder::module`, in the order of dependence: that of the `mod` lines of `lib.rs`, and in
/// each folder that of its own.
fn modules() -> Vec<String> {
    let inside = |folder: String| {
        let modules = declared(&format!("{CORE}/{folder}.rs"));
        // What the folder's own file defines builds on its modules.
        modules
            .into_iter()
            .map(|name| format!("{folder}::{name}"))
            .chain([folder.clone()])
            .collect::<Vec<_>>()
    };
    declared(&format!("{CORE}/lib.rs")).into_iter().flat_map(inside).collect()
}

/// The module of `masim-core` that a file belongs to; none for `lib.rs`.
fn module_of(file: &Text) -> Option<String> {
    let inside = file.path.strip_prefix(CORE)?.strip_prefix('/')?.strip_suffix(".rs")?;
    let module: Vec<&str> = inside.split('/').take(2).collect();
    (module != ["lib"]).then(|| module.join("::"))
}

/// Files of `folder` that are compiled for users, not those of modules behind `#[cfg(test)]`.
fn shipped(folder: &str) -> Vec<Text> {
    let files = files(folder, ".rs");
    let tests: Vec<_> = files.iter().flat_map(test_modules).collect();
    let is_test = |path: &str| tests.iter().any(|module| path.strip_suffix(".rs") == Some(module));
    files.into_iter().filter(|file| !is_test(&file.path)).collect()
}

/// Paths, without ending, of the modules that `file` declares for tests alone.
fn test_modules(file: &Text) -> Vec<String> {
    let folder = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let folder = folder.strip_suffix("/lib").unwrap_or(folder);
    let lines: Vec<_> = file.text.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = pairs
        .filter_map(|pair| pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|name| format!("{folder}/{name}")).collect()
}

/// Lines of code, numbered: comments and the tests at the end of a file are left out.
fn code(file: &Text) -> impl Iterator<Item = (usize, &str)> {
    let lines = file.lines().take_while(|(_, line)| *line != "mod tests {");
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The module that stands after each `crate::` of a line, as far as `order` knows it.
fn named<'a>(line: &'a str, order: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let after = line.split("crate::").skip(1);
    after.map(|rest| {
        let mut names = rest
            .split("::")
            .map(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default());
        let folder = names.next().unwrap_or_default();
        let module = format!("{folder}::{}", names.next().unwrap_or_default());
        if order.contains(&module) { module } else { folder.to_owned() }
    })
}

#[test]
fn a_module_names_only_modules_above_it() {
    let order = modules();
    let rank = |module: &str| order.iter().position(|name| name == module);
    let mut findings = Vec::new();
    for file in shipped(CORE) {
        let Some(own) = module_of(&file).and_then(|module| rank(&module)) else { continue };
        let folder = order[own].split("::").next().expect("a name");
        for (number, line) in code(&file) {
            for name in named(line, &order) {
                // Parts of one folder may use what its own file defines.
                let is_below = rank(&name).is_none_or(|other| own < other) && name != folder;
                if is_below {
                    findings.push(format!("{}:{number}: `{}` names `{name}`", file.path, order[own]));
                }
            }
        }
    }
    assert_none(&findings, "the `mod` lines of lib.rs and of each folder are the order of dependence");
}

#[test]
fn every_file_of_the_library_belongs_to_a_module() {
    let order = modules();
    let files = files(CORE, ".rs");
    assert!(files.len() > order.len(), "the walk finds files");
    let strays = files.iter().filter(|file| module_of(file).is_some_and(|module| !order.contains(&module)));
    let findings: Vec<_> = strays.map(|file| file.path.clone()).collect();
    assert_none(&findings, "no `mod` line leads to this file");
}

#[test]
fn the_engine_has_no_word_for_what_it_runs() {
    let banned = ["gpu", "token", "expert", "layer", "attention", "moe"];
    let mut findings = Vec::new();
    for file in files("sim/crates/engine/src", ".rs") {
        for (number, line) in file.lines() {
            for word in words(line).filter(|word| {
                banned.iter().any(|name| word == name || word.strip_suffix('s') == Some(*name))
            }) {
                findings.push(format!("{}:{number}: `{word}`", file.path));
            }
        }
    }
    assert_none(&findings, "the engine knows tasks, streams, links and flows");
}

/// Words of a line in lower case, identifiers taken apart: `GpuIdx` is `gpu` and `idx`.
fn words(line: &str) -> impl Iterator<Item = String> {
    let mut split = String::new();
    let mut before = ' ';
    for c in line.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            split.push(' ');
        }
        split.push(if c.is_alphabetic() { c.to_ascii_lowercase() } else { ' ' });
        before = c;
    }
    split.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[test]
fn identifiers_are_taken_apart() {
    assert_eq!(words("let n_gpus: GpuIdx = 3;").collect::<Vec<_>>(), ["let", "n", "gpus", "gpu", "idx"]);
}

#[test]
fn only_the_command_line_touches_the_world() {
    let banned = [
        "std::fs",
        "std::env",
        "std::time",
        "std::net",
        "std::process",
        "io::stdin",
        "io::stdout",
        "io::stderr",
        "println!(",
        "print!(",
    ];
    let mut findings = Vec::new();
    for file in shipped("sim/crates").into_iter().filter(|file| file.path.contains("/src/")) {
        for (number, line) in code(&file) {
            if let Some(name) = banned.iter().find(|name| line.contains(**name)) {
                findings.push(format!("{}:{number}: `{name}`", file.path));
            }
        }
    }
    assert_none(&findings, "files, clock, environment and terminal belong to `cli`");
}

/// Whether a line reads a field `bandwidth`.
fn reads_bandwidth(line: &str) -> bool {
    let after = line.split(".bandwidth").skip(1);
    after.into_iter().any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Rates belong to the fabric, so that an algorithm is chosen by what its flows then meet. Topologies are read and drawn as
/// they are written.
#[test]
fn link_rates_are_read_in_the_fabric_alone() {
    let read = |file: &Text| {
        let lines = code(file).filter(|(_, line)| reads_bandwidth(line));
        lines.map(|(number, _)| format!("{}:{number}", file.path)).collect::<Vec<_>>()
    };
    let is_fabric =
        |file: &Text| module_of(file).is_some_and(|module| module.split("::").next() == Some("fabric"));
    let is_input = |file: &Text| file.path.starts_with(&format!("{CORE}/inputs/"));
    let (fabric, others): (Vec<_>, Vec<_>) =
        shipped(CORE).into_iter().filter(|file| !is_input(file)).partition(is_fabric);
    assert!(fabric.iter().any(|file| !read(file).is_empty()), "the fabric reads rates");
    let findings: Vec<_> = others.iter().flat_map(read).collect();
    assert_none(&findings, "`fabric` alone says what a link carries");
}
