//! Rules for Rust files.

use crate::{Text, assert_none, files};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

#[test]
fn files_are_short() {
    let long = files("", ".rs").into_iter().filter(|file| file.text.lines().count() > MAX_FILE_LINES);
    let findings: Vec<_> =
        long.map(|file| format!("{}: {} lines", file.path, file.text.lines().count())).collect();
    assert_none(&findings, "a file has at most 600 lines; give it a second idea's file");
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for file in files("", ".rs") {
        for (line, n_lines) in functions(&file) {
            if n_lines > MAX_FUNCTION_LINES {
                findings.push(format!("{}:{line}: {n_lines} lines", file.path));
            }
        }
    }
    assert_none(&findings, "a function has at most 70 lines; put decisions high and loops low");
}

/// First line and number of lines of each function: rustfmt puts its last brace below its first letter.
fn functions(file: &Text) -> Vec<(usize, usize)> {
    let lines: Vec<_> = file.text.lines().collect();
    let mut found = Vec::new();
    for (idx, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        if !is_function(body) || body.ends_with(['}', ';']) {
            continue;
        }
        let end = lines[idx..].iter().position(|line| {
            let rest = line.strip_prefix(indent).unwrap_or_default();
            rest == "}" || (rest.starts_with(')') && rest.ends_with(';'))
        });
        found.push((idx + 1, end.map_or(lines.len() - idx, |end| end + 1)));
    }
    found
}

/// True if a line without its indent starts a function.
fn is_function(line: &str) -> bool {
    let mut words = line.split(' ').skip_while(|word| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern", "default"].contains(word)
    });
    words.next() == Some("fn")
}

#[test]
fn lengths_are_counted_as_a_reader_would() {
    let text = "fn a() {\n    x\n}\n    pub(crate) fn b(\n        x: u8,\n    ) -> u8;\nfn c() {}\n    const fn d()\n    where\n        T: X,\n    {\n    }\n";
    let file = Text { path: String::new(), text: text.to_owned() };
    assert_eq!(functions(&file), [(1, 3), (4, 3), (8, 5)]);
}

#[test]
fn nothing_is_silenced_or_left_for_later() {
    // Spelled in halves, so that this file does not find itself.
    let banned = [
        concat!("#[al", "low"),
        concat!("#![al", "low"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("unimple", "mented!"),
    ];
    let mut findings = Vec::new();
    for file in files("", ".rs").into_iter().chain(files("", ".yaml")).chain(files("", ".sh")) {
        for (number, line) in file.lines() {
            if let Some(word) = banned.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: `{word}`", file.path));
            }
        }
    }
    assert_none(&findings, "use `#[expect(lint, reason = \"...\")]`, and finish what you start");
}

#[test]
fn modules_are_named_after_their_files() {
    let named = files("", "mod.rs").into_iter().filter(|file| file.path.ends_with("/mod.rs"));
    let findings: Vec<_> = named.map(|file| file.path).collect();
    assert_none(&findings, "write `name.rs` beside the folder `name/`");
}

#[test]
fn unsafe_code_is_forbidden_at_every_root() {
    let is_root = |path: &str| path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    let roots = files("", ".rs").into_iter().filter(|file| is_root(&file.path));
    let findings: Vec<_> =
        roots.filter(|file| !file.text.contains("#![forbid(unsafe_code)]")).map(|file| file.path).collect();
    assert_none(&findings, "each crate starts with `#![forbid(unsafe_code)]`");
}
