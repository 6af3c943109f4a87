//! Rules of the house that no compiler checks.
#![forbid(unsafe_code)]

mod data;
mod docs;
mod layers;
mod licenses;
mod rust;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the project and its path from the root, with `/`.
struct Text {
    path: String,
    text: String,
}

impl Text {
    /// Numbered from 1, as editors do.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// The top of the project.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("this package lies in the root of the project").to_owned()
}

/// All files below `folder` whose name ends in `ending`, in order; what is built is left out.
fn files(folder: &str, ending: &str) -> Vec<Text> {
    let mut found = Vec::new();
    collect(&root().join(folder), ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<Text>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder that was just opened").path();
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        let is_built = name == "target" || (name.starts_with('.') && name != ".ci");
        let is_report = relative.starts_with("reports/") && path.is_dir();
        if path.is_dir() && !is_built && !is_report {
            collect(&path, ending, found);
        } else if path.is_file() && name.ends_with(ending) {
            let text = fs::read_to_string(&path).expect("a readable text");
            found.push(Text { path: relative, text });
        }
    }
}

/// Fails with one line for each finding.
#[track_caller]
fn assert_none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
