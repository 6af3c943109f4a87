//! Who may know whom, and who may touch the world.

use crate::{Text, assert_none, files};

/// The modules of `masim` in the order of their `mod` lines, which is the order of dependence.
fn modules() -> Vec<String> {
    let lib = std::fs::read_to_string(crate::root().join("sim/src/lib.rs")).expect("the library's root");
    let names = lib.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("pub(crate) ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')
    });
    names.map(str::to_owned).collect()
}

/// The module of `masim` that a file belongs to; none for `lib.rs` and `main.rs`.
fn module_of(file: &Text) -> Option<&str> {
    let inside = file.path.strip_prefix("sim/src/")?;
    let module = inside.split('/').next()?;
    let module = module.strip_suffix(".rs").unwrap_or(module);
    (!["lib", "main"].contains(&module)).then_some(module)
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

/// What stands after each `crate::` of a line.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let after = line.split("crate::").skip(1);
    after.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default())
}

#[test]
fn a_module_names_only_modules_above_it() {
    let order = modules();
    let rank = |module: &str| order.iter().position(|name| name == module);
    let mut findings = Vec::new();
    for file in shipped("sim/src") {
        let Some(own) = module_of(&file).and_then(rank) else { continue };
        for (number, line) in code(&file) {
            for name in named(line).filter(|name| rank(name).is_none_or(|other| own < other)) {
                let own = &order[own];
                findings.push(format!("{}:{number}: `{own}` names `{name}`", file.path));
            }
        }
    }
    assert_none(&findings, "the `mod` lines of sim/src/lib.rs are the order of dependence");
}

#[test]
fn every_file_of_the_library_belongs_to_a_module() {
    let order = modules();
    let files = files("sim/src", ".rs");
    assert!(files.len() > order.len(), "the walk finds files");
    let strays = files
        .iter()
        .filter(|file| module_of(file).is_some_and(|module| !order.iter().any(|name| name == module)));
    let findings: Vec<_> = strays.map(|file| file.path.clone()).collect();
    assert_none(&findings, "no `mod` line of sim/src/lib.rs leads to this file");
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
    let libraries = shipped("sim/src").into_iter().chain(shipped("sim/crates"));
    let mut findings = Vec::new();
    for file in libraries.filter(|file| {
        !["sim/src/cli", "sim/src/main.rs"].iter().any(|own| file.path.starts_with(own))
            && file.path.contains("/src/")
    }) {
        for (number, line) in code(&file) {
            if let Some(name) = banned.iter().find(|name| line.contains(**name)) {
                findings.push(format!("{}:{number}: `{name}`", file.path));
            }
        }
    }
    assert_none(&findings, "files, clock, environment and terminal belong to `cli`");
}
