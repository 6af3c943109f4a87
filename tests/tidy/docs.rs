//! Documents lead somewhere.

use std::path::Path;

use crate::{Text, assert_none, files, root};

#[test]
fn links_in_documents_resolve() {
    let mut findings = Vec::new();
    for file in files("", ".md") {
        let folder = root().join(Path::new(&file.path).parent().expect("a file lies in a folder"));
        for (number, target) in links(&file) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let target_file = if path.is_empty() { root().join(&file.path) } else { folder.join(path) };
            let has_anchor = || {
                let text = std::fs::read_to_string(&target_file).unwrap_or_default();
                anchor.is_empty() || text.lines().any(|line| slug(line).as_deref() == Some(anchor))
            };
            if !target_file.exists() || !has_anchor() {
                findings.push(format!("{}:{number}: {target}", file.path));
            }
        }
    }
    assert_none(&findings, "links in documents lead to files and headings of the project");
}

/// Line and target of each link to the project itself; code is left out.
fn links(file: &Text) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (number, line) in file.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let own = targets.map(|(target, _)| target).filter(|target| !target.contains("://"));
        found.extend(own.map(|target| (number, target.to_owned())));
    }
    found
}

/// The anchor of a heading, as forges make it.
fn slug(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
}

#[test]
fn every_page_of_the_documents_is_listed() {
    let index = std::fs::read_to_string(root().join("docs/index.md")).expect("docs/index.md exists");
    let pages = files("docs", ".md").into_iter().filter(|page| page.path != "docs/index.md");
    let missing = pages.filter(|page| !index.contains(&page.path["docs/".len()..]));
    let findings: Vec<_> = missing.map(|page| page.path).collect();
    assert_none(&findings, "docs/index.md lists every page and every decision");
}

#[test]
fn decisions_are_one_screen_with_four_parts() {
    let mut findings = Vec::new();
    for file in files("docs/adr", ".md") {
        for part in ["## Context", "## Decision", "## Alternatives", "## Consequences"] {
            if !file.text.lines().any(|line| line == part) {
                findings.push(format!("{}: no `{part}`", file.path));
            }
        }
        if file.text.lines().count() > 60 {
            findings.push(format!("{}: longer than a screen", file.path));
        }
    }
    assert_none(&findings, "a decision record has four parts on one screen");
}
