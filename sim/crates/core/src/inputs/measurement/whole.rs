//! Measurements of whole models: requests and their energy.

use super::MeasurementSet;
use super::read::{Cells, Columns, malformed, problem_at};
use super::table::Mistake;
use super::work::Fields as _;
use crate::inputs::text::{InputError, SourceText};

/// Errors beyond this many in one table are not shown.
const N_PROBLEMS_MAX: usize = 20;
/// No batch, prompt or answer is larger.
const COUNT_MAX: u32 = 1 << 20;

/// A kind of measurement of a whole model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WholeFamily {
    /// Times of prompts and of tokens.
    Inference,
    /// Joules of requests.
    InferenceEnergy,
}

impl WholeFamily {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Inference, Self::InferenceEnergy];

    /// The name in files, which is that of its table too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::InferenceEnergy => "inference_energy",
        }
    }

    /// The columns that every table of the family has.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Inference => {
                &["model", "tp", "batch", "prompt_len", "output_len", "time_us_prompt", "time_us_per_token"]
            }
            Self::InferenceEnergy => {
                &["model", "tp", "mean_batch", "mean_output_len", "tokens_per_sec", "energy_per_request_j"]
            }
        }
    }

    /// The columns that may be missing, and those that belong to the format though nothing is compared with them.
    const fn optional_columns(self) -> &'static [&'static str] {
        match self {
            Self::Inference => &["pp", "average_power", "peak_power"],
            Self::InferenceEnergy => &["pp", "max_batch", "time_us_tpot"],
        }
    }
}

/// A set's table of whole models.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeTable {
    /// Kind of the measured work.
    pub family: WholeFamily,
    /// At least one.
    pub rows: Vec<WholeRow>,
}

/// One measurement of a whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeRow {
    /// The model, as the set calls it.
    pub model: String,
    /// Tensor-parallel GPUs.
    pub tp: u32,
    /// Pipeline stages.
    pub pp: u32,
    /// Kind of the measured work.
    pub measured: Measured,
}

/// Measured figures of a whole model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// Sequences that begin and end together.
    Inference {
        /// Their number.
        batch: u32,
        /// Tokens of each prompt.
        prompt_len: u32,
        /// Tokens that each gets.
        output_len: u32,
        /// Time of the prompts in microseconds; none where it was not recorded.
        prompt_us: Option<f64>,
        /// Time per token in microseconds; none where it was not recorded.
        token_us: Option<f64>,
    },
    /// Sequences that come and go.
    Energy {
        /// Sequences at once, mean.
        mean_batch: f64,
        /// Tokens that each gets, mean.
        mean_output_len: f64,
        /// Output tokens of all.
        tokens_per_sec: f64,
        /// Joules of all GPUs for one sequence.
        energy_per_request_j: f64,
    },
}

/// A set with its tables of whole models.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeSet {
    /// The set.
    pub set: MeasurementSet,
    /// The tables.
    pub tables: Vec<WholeTable>,
    /// Warnings to check before trusting the set, beside those of `set`.
    pub warnings: Vec<String>,
}

/// Reads the tables of whole models of `set`.
///
/// # Errors
///
/// All mistakes (up to twenty) of the first broken table, with their lines.
pub fn read_whole(set: MeasurementSet, tables: &[(WholeFamily, SourceText)]) -> Result<WholeSet, InputError> {
    let mut whole = WholeSet { set, tables: Vec::new(), warnings: Vec::new() };
    for (family, source) in tables {
        let table = read_table(*family, source, &mut whole.warnings)?;
        whole.tables.push(table);
    }
    Ok(whole)
}

fn read_table(
    family: WholeFamily,
    source: &SourceText,
    warnings: &mut Vec<String>,
) -> Result<WholeTable, InputError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source.text.as_bytes());
    let header = reader.headers().map_err(|error| malformed(source, &error))?.clone();
    let columns = Columns::of((family.columns(), family.optional_columns()), &header, source)?;
    warnings.extend(columns.foreign(&header, source));
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|error| malformed(source, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        match (Cells { columns: &columns, record: &record }).whole(family) {
            Ok(row) => rows.push(row),
            Err((column, message)) if problems.len() < N_PROBLEMS_MAX => {
                problems.push(problem_at(line, column, message));
            }
            Err(_) => {}
        }
    }
    if rows.is_empty() && problems.is_empty() {
        problems.push(problem_at(1, "", "holds no rows; expected at least one measurement".to_owned()));
    }
    if problems.is_empty() {
        Ok(WholeTable { family, rows })
    } else {
        Err(InputError { source: source.clone(), problems })
    }
}

impl Cells<'_> {
    fn whole(&self, family: WholeFamily) -> Result<WholeRow, Mistake> {
        let model = self.text("model").to_owned();
        if model.is_empty() {
            return Err(("model", "is empty; expected the name of a model".to_owned()));
        }
        let pp = if self.text("pp").is_empty() { 1 } else { self.count("pp")? };
        let measured = match family {
            WholeFamily::Inference => Measured::Inference {
                batch: self.count("batch")?,
                prompt_len: self.count("prompt_len")?,
                output_len: self.count("output_len")?,
                prompt_us: self.recorded("time_us_prompt")?,
                token_us: self.recorded("time_us_per_token")?,
            },
            WholeFamily::InferenceEnergy => Measured::Energy {
                mean_batch: self.amount("mean_batch")?,
                mean_output_len: self.amount("mean_output_len")?,
                tokens_per_sec: self.amount("tokens_per_sec")?,
                energy_per_request_j: self.amount("energy_per_request_j")?,
            },
        };
        Ok(WholeRow { model, tp: self.count("tp")?, pp, measured })
    }

    fn count(&self, column: &'static str) -> Result<u32, Mistake> {
        let found = self.text(column);
        let count = found.parse::<u32>().ok().filter(|count| (1..=COUNT_MAX).contains(count));
        count.ok_or_else(|| {
            (column, format!("found `{found}`; expected a whole number from 1 to {COUNT_MAX}"))
        })
    }

    fn amount(&self, column: &'static str) -> Result<f64, Mistake> {
        let found = self.text(column);
        let amount = found.parse::<f64>().ok().filter(|amount| amount.is_finite() && *amount > 0.0);
        amount.ok_or_else(|| (column, format!("found `{found}`; expected a number above 0")))
    }

    /// A time that may be missing: an empty cell, or 0.
    fn recorded(&self, column: &'static str) -> Result<Option<f64>, Mistake> {
        match self.text(column) {
            "" | "0" | "0.0" => Ok(None),
            _ => self.amount(column).map(Some),
        }
    }
}
