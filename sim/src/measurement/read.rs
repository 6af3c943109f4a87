//! From the files of a set to its meaning.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::MeasurementSet;
use super::file::SetFile;
use super::machine::Machine;
use super::table::{CollectiveWork, Family, Operation, PairsWork, Row, Scope, Table, Work};
use crate::input::{InputError, Problem, SourceText, did_you_mean, parse_yaml};

/// Errors beyond this many in one table are not shown.
const N_PROBLEMS_MAX: usize = 20;

/// The files of a set.
#[derive(Clone, Debug)]
pub struct RawSet {
    /// Name of the folder.
    pub name: String,
    /// `set.yaml`.
    pub description: SourceText,
    /// The table of each family that is there.
    pub tables: Vec<(Family, SourceText)>,
}

/// Reads a set.
///
/// # Errors
///
/// What is wrong with `set.yaml`, or all mistakes (up to twenty) of the first broken table, with their lines.
pub fn read_set(raw: &RawSet) -> Result<MeasurementSet, InputError> {
    let file: SetFile = parse_yaml(&raw.description)?;
    let mut warnings = Vec::new();
    let machine = if let Some(cluster) = &file.cluster {
        if let Some((key, message)) = cluster.mistake() {
            let problem = Problem::new(&format!("cluster.{key}"), message);
            return Err(InputError::new(&raw.description, vec![problem]));
        }
        cluster.machine()
    } else {
        warnings.push(format!(
            "set `{}` does not describe its cluster: 8 GPUs a node, NVSwitch and one 25 GB/s NIC for each GPU are assumed",
            raw.name
        ));
        Machine::assumed(&file.gpu)
    };
    let mut tables = Vec::new();
    for (family, source) in &raw.tables {
        tables.push(read_table(*family, source, &machine, &mut warnings)?);
    }
    tables.sort_by_key(|table| table.family);
    let SetFile { gpu, stack, source, licence, .. } = file;
    Ok(MeasurementSet { name: raw.name.clone(), gpu, stack, source, licence, machine, tables, warnings })
}

/// Reads one table; columns that the family does not have are named in one warning.
fn read_table(
    family: Family,
    source: &SourceText,
    machine: &Machine,
    warnings: &mut Vec<String>,
) -> Result<Table, InputError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source.text.as_bytes());
    let header = reader.headers().map_err(|error| malformed(source, &error))?.clone();
    let columns = Columns::of(family, &header, source)?;
    let foreign = columns.foreign(&header);
    if !foreign.is_empty() {
        warnings.push(format!("`{}`: columns that are not used: {}", source.path, foreign.join(", ")));
    }
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|error| malformed(source, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = Cells { columns: &columns, record: &record };
        match cells.row(line, machine) {
            Ok(row) => rows.push(row),
            Err((column, message)) if problems.len() < N_PROBLEMS_MAX => {
                problems.push(problem_at(line, column, message));
            }
            Err(_) => {}
        }
    }
    if rows.is_empty() && problems.is_empty() {
        problems.push(Problem::new("", "holds no rows; expected at least one measurement"));
    }
    if problems.is_empty() {
        return Ok(Table { family, sha256: hex(&Sha256::digest(&source.text)), rows });
    }
    Err(InputError { source: source.clone(), problems })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text grows without error");
        text
    })
}

/// A table that is no CSV.
fn malformed(source: &SourceText, error: &csv::Error) -> InputError {
    let line = error.position().map_or(1, csv::Position::line);
    InputError { source: source.clone(), problems: vec![problem_at(line, "", format!("is no CSV: {error}"))] }
}

fn problem_at(line: u64, column: &str, message: String) -> Problem {
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    Problem { position: Some((line, 1)), key: column.to_owned(), message, hint: None }
}

/// Where the columns of a family stand.
struct Columns {
    family: Family,
    places: Vec<(&'static str, usize)>,
}

impl Columns {
    fn of(family: Family, header: &csv::StringRecord, source: &SourceText) -> Result<Self, InputError> {
        let (mut places, mut problems) = (Vec::new(), Vec::new());
        for &name in family.columns().iter().chain(family.optional_columns()) {
            match header.iter().position(|found| found == name) {
                Some(at) => places.push((name, at)),
                None if family.optional_columns().contains(&name) => {}
                None => {
                    let mut problem = problem_at(1, name, "this column is required, but missing".to_owned());
                    problem.hint = did_you_mean(name, header.iter());
                    problems.push(problem);
                }
            }
        }
        if problems.is_empty() {
            return Ok(Self { family, places });
        }
        Err(InputError { source: source.clone(), problems })
    }

    fn foreign<'a>(&self, header: &'a csv::StringRecord) -> Vec<&'a str> {
        header.iter().filter(|name| self.places.iter().all(|(own, _)| own != name)).collect()
    }
}

/// A column and what is wrong with its cell.
type Mistake = (&'static str, String);

/// One record, by names of columns.
struct Cells<'a> {
    columns: &'a Columns,
    record: &'a csv::StringRecord,
}

impl<'a> Cells<'a> {
    fn row(&self, line: u64, machine: &Machine) -> Result<Row, Mistake> {
        let work = match self.columns.family {
            Family::Collective => Work::Collective(self.collective(machine)?),
            Family::P2p => Work::Pairs(self.pairs(machine)?),
        };
        let time_us = self.time()?;
        let group = self.columns.family.group_columns().iter().map(|name| self.text(name).to_owned());
        Ok(Row { line, work, time_us, group: group.collect() })
    }

    fn collective(&self, machine: &Machine) -> Result<CollectiveWork, Mistake> {
        let operation = self.one_of("kind", &Operation::ALL, Operation::name)?;
        let bytes = self.count("bytes", 1 << 50)?;
        let n_gpus = self.small("n_gpus")?;
        let nodes_by_size = n_gpus.div_ceil(machine.n_gpus_per_node);
        let n_nodes = if self.text("n_nodes").is_empty() { nodes_by_size } else { self.small("n_nodes")? };
        if n_gpus < 2 {
            return Err(("n_gpus", "found 1; a collective needs two GPUs or more".to_owned()));
        }
        if n_nodes < nodes_by_size || n_gpus < n_nodes {
            let per_node = machine.n_gpus_per_node;
            let message = format!("{n_gpus} GPUs do not fill {n_nodes} nodes of {per_node}");
            return Err(("n_nodes", message));
        }
        Ok(CollectiveWork { operation, bytes, n_gpus, n_nodes })
    }

    fn pairs(&self, machine: &Machine) -> Result<PairsWork, Mistake> {
        let scope = self.one_of("scope", &Scope::ALL, Scope::name)?;
        let n_pairs = self.small("n_pairs")?;
        if n_pairs > machine.n_gpus_per_node {
            let per_node = machine.n_gpus_per_node;
            return Err(("n_pairs", format!("{n_pairs} pairs, but a node has {per_node} GPUs")));
        }
        Ok(PairsWork { scope, bytes_per_pair: self.count("bytes_per_pair", 1 << 50)?, n_pairs })
    }

    /// The cell of a column; empty where the table does not have it.
    fn text(&self, column: &str) -> &'a str {
        let place = self.columns.places.iter().find(|(name, _)| *name == column);
        place.and_then(|&(_, at)| self.record.get(at)).unwrap_or("")
    }

    fn one_of<T: Copy>(
        &self,
        column: &'static str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, Mistake> {
        let found = self.text(column);
        all.iter().copied().find(|&it| name(it) == found).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|&it| name(it)).collect();
            (column, format!("found `{found}`; expected one of {}", names.join(", ")))
        })
    }

    fn count(&self, column: &'static str, max: u64) -> Result<u64, Mistake> {
        let found = self.text(column);
        let count = found.parse::<u64>().ok().filter(|count| (1..=max).contains(count));
        count.ok_or_else(|| (column, format!("found `{found}`; expected a whole number from 1 to {max}")))
    }

    fn small(&self, column: &'static str) -> Result<u32, Mistake> {
        let count = self.count(column, 1 << 20)?;
        Ok(u32::try_from(count).expect("at most 2^20"))
    }

    fn time(&self) -> Result<f64, Mistake> {
        let found = self.text("time_us");
        let time = found.parse::<f64>().ok().filter(|time| time.is_finite() && *time > 0.0);
        time.ok_or_else(|| ("time_us", format!("found `{found}`; expected microseconds above 0")))
    }
}
