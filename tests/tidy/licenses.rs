//! Licences of dependencies allow use by everyone who uses this project.

use std::process::Command;

use serde_json::Value;

use crate::{assert_none, root};

/// Licences that ask for no more than their own text beside the binary.
const ALLOWED: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

#[test]
fn every_dependency_has_an_allowed_license() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    assert!(packages.len() > 5, "cargo lists dependencies too");
    let refused = packages.iter().filter(|package| !is_allowed(package["license"].as_str().unwrap_or("")));
    let findings: Vec<_> =
        refused.map(|package| format!("{}: {}", package["name"], package["license"])).collect();
    assert_none(&findings, "choose a crate with another licence, or argue for this one in a decision record");
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// True if an SPDX expression leaves a choice that we allow; `AND` binds tighter than `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let is_allowed = any(&mut rest);
    is_allowed && rest.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut is_allowed = all(words);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        is_allowed |= all(words);
    }
    is_allowed
}

fn all(words: &mut &[&str]) -> bool {
    let mut is_allowed = one(words);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        is_allowed &= one(words);
    }
    is_allowed
}

fn one(words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let is_allowed = any(words);
            let [")", rest @ ..] = *words else { return false };
            *words = rest;
            is_allowed
        }
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(&format!("{name} WITH {exception}").as_str())
        }
        [name, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(name)
        }
        [] => false,
    }
}

#[test]
fn expressions_are_read_as_lawyers_do() {
    assert!(is_allowed("MIT OR GPL-3.0"));
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(is_allowed("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
    assert!(!is_allowed("AGPL-3.0"));
    assert!(!is_allowed("(MIT"));
    assert!(!is_allowed(""));
}
