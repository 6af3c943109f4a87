//! Tables, pictures and pages of what happened: rows in, bytes out, no files.
//!
//! Everything here is a pure function of its arguments, so a report is reproducible byte for byte;
//! version, date and wall time belong into `meta.json`, which the command line writes.
#![forbid(unsafe_code)]

pub mod number;
mod space;
mod verdict;
mod digest;
pub mod topology_picture;
pub mod csv;
pub mod json;
pub mod perfetto;
pub mod dag;
pub mod observed;
pub mod summary;
mod scene;
pub mod charts;
pub mod network;
pub mod html;
#[cfg(test)]
mod fixture;

use std::collections::BTreeMap;

use masim_core::judging::sweep::Row;

/// A file that is not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Path inside the report folder.
    pub name: String,
    /// The whole content.
    pub bytes: Vec<u8>,
}

/// Subject of a report.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The sweep's name, such as `ratios`.
    pub title: &'a str,
    /// The command that makes the report again.
    pub command: &'a str,
    /// One for each point and strategy.
    pub rows: &'a [Row],
    /// Memory of the smallest GPU of each cluster that the rows name.
    pub memory_gib: &'a BTreeMap<String, f64>,
    /// Inputs that no source states, to be shown beside the results.
    pub assumptions: &'a [Assumption],
    /// The run whose network is shown.
    pub network: Option<&'a network::NetworkShown<'a>>,
}

/// An input that no source states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// Its key, such as `model.vocab`.
    pub what: String,
    /// Its value, with a unit.
    pub value: String,
    /// Why this value.
    pub why: String,
}

/// The row whose network is shown: the best split at the point where it does best against the best fair baseline, or
/// else the fastest row.
pub fn network_row(rows: &[Row]) -> Option<&Row> {
    let space = space::Space::new(rows);
    let verdict = verdict::Verdict::new(&space);
    let best = verdict.duels.iter().filter_map(|duel| Some((duel.margin?, duel.split?)));
    let best = best.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, split)| split);
    best.or_else(|| verdict.duels.iter().find_map(verdict::Duel::winner))
}

/// Everything that a report folder holds, except `sweep.yaml` and `meta.json`.
///
/// # Errors
///
/// When a picture cannot be drawn.
pub fn folder(subject: &Subject<'_>) -> Result<Vec<Artifact>, charts::DrawError> {
    let file = |name: &str, bytes| Artifact { name: name.to_owned(), bytes };
    let mut artifacts = vec![
        file("report.html", html::html(subject)?.into_bytes()),
        file("results.json", json::json(subject.rows).into_bytes()),
        file("results.csv", csv::csv(subject.rows).into_bytes()),
    ];
    artifacts.extend(subject.network.map(|shown| file("network.json", shown.json().into_bytes())));
    artifacts.extend(charts::pngs(subject)?);
    Ok(artifacts)
}
