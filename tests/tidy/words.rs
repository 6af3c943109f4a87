//! Doc comments begin with their subject.

use crate::{assert_none, files};

/// Words of a question or of a rest, which make a reader look for the subject.
const NO_SUBJECT: [&str; 9] = ["What", "How", "Who", "Whom", "Where", "Whether", "Of", "That", "As"];

/// Folders and files that are not rewritten yet; a line goes when its comments do.
const NOT_YET: [&str; 9] = [
    "sim/crates/core/src/work",
    "sim/crates/core/src/running",
    "sim/crates/core/src/search",
    "sim/crates/core/src/judging",
    "sim/crates/engine/src",
    "sim/crates/report/src/csv.rs",
    "sim/crates/report/src/json.rs",
    "sim/crates/report/src/space.rs",
    "sim/crates/report/src/verdict.rs",
];

#[test]
fn doc_comments_begin_with_their_subject() {
    let mut findings = Vec::new();
    for file in files("", ".rs") {
        if NOT_YET.iter().any(|path| file.path.starts_with(path)) {
            continue;
        }
        let mut in_comment = false;
        for (number, line) in file.lines() {
            let text = line.trim_start();
            let comment = text.strip_prefix("///").or_else(|| text.strip_prefix("//!"));
            let first = comment.and_then(|text| text.split_whitespace().next());
            if !in_comment && first.is_some_and(|word| NO_SUBJECT.contains(&word)) {
                findings.push(format!("{}:{number}: {text}", file.path));
            }
            in_comment = first.is_some();
        }
    }
    assert_none(&findings, "a doc comment begins with its subject, in the words of the glossary");
}
