//! From the files of a set to its meaning.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::file::SetFile;
use super::machine::Machine;
use super::table::{Family, Mistake, Row, Table, Work};
use super::work::{Fields, time_us};
use super::{MeasurementSet, Site};
use crate::inputs::text::{InputError, Library, Problem, RefKind, SourceText, did_you_mean, parse_yaml};
use crate::inputs::topology::{ClusterFile, GpuCard, Place, ReferenceFile, load_gpu, read_cluster};

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

/// Reads a set; its card, and a cluster that it names, come from `library`.
///
/// # Errors
///
/// The mistakes of `set.yaml`, or those (up to twenty) of the first broken table, with their lines.
pub fn read_set(raw: &RawSet, library: &dyn Library) -> Result<MeasurementSet, InputError> {
    let file: SetFile = parse_yaml(&raw.description)?;
    let mut warnings = Vec::new();
    let machine = machine_of(&file, raw, library, &mut warnings)?;
    let card = card_of(&file, raw, library)?;
    let mut tables = Vec::new();
    for (family, source) in &raw.tables {
        tables.push(read_table(*family, source, &machine, &mut warnings)?);
    }
    tables.sort_by_key(|table| table.family);
    warnings.extend(card.iter().flat_map(|card| foreign_formats(&tables, card)));
    let (name, SetFile { gpu, stack, source, licence, .. }) = (raw.name.clone(), file);
    Ok(MeasurementSet { name, gpu, stack, source, licence, site: Site { card, machine }, tables, warnings })
}

/// One warning for each table with rows in number formats that the card does not have, which no model can use.
fn foreign_formats(tables: &[Table], card: &GpuCard) -> Vec<String> {
    let warning = |table: &Table| {
        let lacks = |row: &&Row| row.work.dtype().is_some_and(|dtype| !card.peak.contains_key(&dtype));
        let n = table.rows.iter().filter(lacks).count();
        let (family, card) = (table.family.name(), &card.name);
        (n > 0).then(|| {
            format!("{n} rows of `{family}` are in number formats that card `{card}` does not have: not used")
        })
    };
    tables.iter().filter_map(warning).collect()
}

fn machine_of(
    file: &SetFile,
    raw: &RawSet,
    library: &dyn Library,
    warnings: &mut Vec<String>,
) -> Result<Machine, InputError> {
    match &file.cluster {
        Some(ReferenceFile::Inline(cluster)) => match cluster.mistake() {
            Some((key, message)) => {
                let problem = Problem::new(&format!("cluster.{key}"), message);
                Err(InputError::new(&raw.description, vec![problem]))
            }
            None => Ok(cluster.machine()),
        },
        Some(ReferenceFile::Name(name)) => {
            let wrong =
                |message: String| InputError::new(&raw.description, vec![Problem::new("cluster", message)]);
            let text = library.load(RefKind::Cluster, name, &raw.description.path).map_err(&wrong)?;
            read_cluster(&text, library)?;
            let cluster: ClusterFile = parse_yaml(&text)?;
            Machine::of_cluster(&cluster)
                .ok_or_else(|| wrong(format!("`{name}` is not of the regular form; expected equal nodes")))
        }
        None => {
            warnings.push(format!(
                "set `{}` does not describe its cluster: 8 GPUs a node, NVSwitch and one 25 GB/s NIC for each GPU are assumed",
                raw.name
            ));
            Ok(Machine::assumed(&file.gpu))
        }
    }
}

/// Times of kernels say nothing without the figures of the card; communication does without.
fn card_of(file: &SetFile, raw: &RawSet, library: &dyn Library) -> Result<Option<Arc<GpuCard>>, InputError> {
    let needs_card = raw.tables.iter().any(|(family, _)| !matches!(family, Family::Collective | Family::P2p));
    if !needs_card && !library.has(RefKind::Gpu, &file.gpu, &raw.description.path) {
        return Ok(None);
    }
    let place = Place { source: &raw.description, key: "gpu" };
    load_gpu(&ReferenceFile::Name(file.gpu.clone()), place, library).map(Some)
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
    let required: Vec<_> = family.work_columns().iter().copied().chain(["time_us"]).collect();
    let columns = Columns::of((&required, family.optional_columns()), &header, source)?;
    warnings.extend(columns.foreign(&header, source));
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|error| malformed(source, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = Cells { columns: &columns, record: &record };
        match cells.row(line, family, machine) {
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
pub(super) fn malformed(source: &SourceText, error: &csv::Error) -> InputError {
    let line = error.position().map_or(1, csv::Position::line);
    InputError { source: source.clone(), problems: vec![problem_at(line, "", format!("is no CSV: {error}"))] }
}

pub(super) fn problem_at(line: u64, column: &str, message: String) -> Problem {
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    Problem { position: Some((line, 1)), key: column.to_owned(), message, hint: None }
}

/// Positions of the columns of a table.
pub(super) struct Columns {
    places: Vec<(&'static str, usize)>,
}

impl Columns {
    pub(super) fn of(
        (required, optional): (&[&'static str], &[&'static str]),
        header: &csv::StringRecord,
        source: &SourceText,
    ) -> Result<Self, InputError> {
        let (mut places, mut problems) = (Vec::new(), Vec::new());
        for &name in required.iter().chain(optional) {
            match header.iter().position(|found| found == name) {
                Some(at) => places.push((name, at)),
                None if optional.contains(&name) => {}
                None => {
                    let mut problem = problem_at(1, name, "this column is required, but missing".to_owned());
                    problem.hint = did_you_mean(name, header.iter());
                    problems.push(problem);
                }
            }
        }
        if problems.is_empty() {
            return Ok(Self { places });
        }
        Err(InputError { source: source.clone(), problems })
    }

    /// A warning of the columns that are not used.
    pub(super) fn foreign(&self, header: &csv::StringRecord, source: &SourceText) -> Option<String> {
        let foreign = header.iter().filter(|name| self.places.iter().all(|(own, _)| own != name));
        let foreign: Vec<_> = foreign.collect();
        let names = foreign.join(", ");
        (!foreign.is_empty()).then(|| format!("`{}`: columns that are not used: {names}", source.path))
    }
}

/// One record, by names of columns.
pub(super) struct Cells<'a> {
    pub(super) columns: &'a Columns,
    pub(super) record: &'a csv::StringRecord,
}

impl Fields for Cells<'_> {
    fn text(&self, column: &str) -> &str {
        let place = self.columns.places.iter().find(|(name, _)| *name == column);
        place.and_then(|&(_, at)| self.record.get(at)).unwrap_or("")
    }
}

impl Cells<'_> {
    fn row(&self, line: u64, family: Family, machine: &Machine) -> Result<Row, Mistake> {
        let work = Work::read(family, self, machine)?;
        let time_us = time_us(self)?;
        let group = family.group_columns().iter().map(|name| self.text(name).to_owned());
        Ok(Row { line, work, time_us, group: group.collect() })
    }
}
