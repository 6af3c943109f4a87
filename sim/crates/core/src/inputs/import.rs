//! From what other tools write to measurement sets.
//!
//! Each importer is a function from one text to rows; it guesses nothing that the text does not say, and counts what it
//! leaves out.

pub mod aiconfigurator;
pub mod nccl_tests;
mod table;
pub mod vidur;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::inputs::measurement::{Family, Fields, Machine, Mistake, ScaleUp, Work};
use crate::inputs::text::{InputError, Problem, SourceText};

/// Content of an imported file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Measured work and its microseconds.
    pub rows: Vec<(Work, f64)>,
    /// The software that ran, where the file says so.
    pub stack: Option<String>,
    /// Rows that are left out, by reason.
    pub left_out: BTreeMap<String, u64>,
}

/// Description of a set, beside its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name of the GPU card.
    pub gpu: String,
    /// The software that ran.
    pub stack: String,
    /// Author of the measurements.
    pub source: String,
    /// Licence of the measurements.
    pub licence: String,
    /// GPUs of a node; none leaves the machine to the reader's assumptions.
    pub n_gpus_per_node: Option<u32>,
}

impl Imported {
    /// Takes the rows of another file in.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.stack = self.stack.take().or(other.stack);
        for (reason, n) in other.left_out {
            *self.left_out.entry(reason).or_default() += n;
        }
    }

    fn leave_out(&mut self, reason: &str) {
        *self.left_out.entry(reason.to_owned()).or_default() += 1;
    }
}

/// The files of a set, by name: its description, and a table for each family.
pub fn set_files(description: &Description, rows: &[(Work, f64)]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([("set.yaml".to_owned(), set_yaml(description).into_bytes())]);
    for family in Family::ALL {
        let of_family = rows.iter().filter(|(work, _)| work.family() == family);
        let of_family: Vec<_> = of_family.collect();
        if !of_family.is_empty() {
            files.insert(format!("{}.csv", family.name()), csv_of(family, &of_family));
        }
    }
    files
}

fn csv_of(family: Family, rows: &[&(Work, f64)]) -> Vec<u8> {
    let header = family.work_columns().iter().chain(family.optional_columns()).chain(&["time_us"]);
    let mut text = header.copied().collect::<Vec<_>>().join(",") + "\n";
    for (work, time_us) in rows {
        let mut cells: Vec<_> = work.columns().iter().map(|(_, value)| value.to_string()).collect();
        cells.push(rounded(*time_us).to_string());
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text.into_bytes()
}

/// Whole picoseconds: what lies below is made by the change of units.
fn rounded(us: f64) -> f64 {
    let rounded = libm::round(us * 1e6) / 1e6;
    if rounded > 0.0 { rounded } else { us }
}

#[derive(Serialize)]
struct SetOut<'a> {
    gpu: &'a str,
    stack: &'a str,
    source: &'a str,
    licence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assumed: Vec<&'static str>,
}

#[derive(Serialize)]
struct ClusterOut<'a> {
    gpu: &'a str,
    n_gpus_per_node: u32,
    scale_up: ScaleUp,
    n_nics_per_node: u32,
    nic: &'static str,
}

fn set_yaml(description: &Description) -> String {
    let Description { gpu, stack, source, licence, n_gpus_per_node } = description;
    let cluster = n_gpus_per_node.map(|n| ClusterOut {
        gpu,
        n_gpus_per_node: n,
        scale_up: ScaleUp::Switch,
        n_nics_per_node: n,
        nic: "25 GB/s",
    });
    let assumed = cluster.as_ref().map_or(vec![], |_| vec!["scale_up", "n_nics_per_node", "nic"]);
    let out = SetOut { gpu, stack, source, licence, cluster, assumed };
    let yaml = serde_saphyr::to_string(&out).expect("strings and numbers become YAML");
    format!("# Written by `masim import`.\n{yaml}")
}

/// Named texts of one row, as the columns of a family want them.
struct Named<'a>(&'a [(&'static str, String)]);

impl Fields for Named<'_> {
    fn text(&self, column: &str) -> &str {
        self.0.iter().find(|(name, _)| *name == column).map_or("", |(_, text)| text)
    }
}

/// The work of `family` that `fields` describe, checked like a row of a set.
fn work_of(family: Family, fields: &[(&'static str, String)], machine: &Machine) -> Result<Work, Mistake> {
    Work::read(family, &Named(fields), machine)
}

/// Something wrong in a line of a file.
fn wrong(source: &SourceText, line: u64, column: &str, message: String) -> InputError {
    let position = Some((u32::try_from(line).unwrap_or(u32::MAX), 1));
    let problem = Problem { position, key: column.to_owned(), message, hint: None };
    InputError { source: source.clone(), problems: vec![problem] }
}
