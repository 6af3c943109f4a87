//! A CSV whose columns are asked for by name.

use std::str::FromStr;

use super::wrong;
use crate::inputs::text::{InputError, SourceText};

/// A table with a header.
pub(super) struct TextTable<'a> {
    source: &'a SourceText,
    header: csv::StringRecord,
    records: Vec<csv::StringRecord>,
}

/// A line of it.
#[derive(Clone, Copy)]
pub(super) struct TextRow<'a> {
    table: &'a TextTable<'a>,
    record: &'a csv::StringRecord,
}

impl<'a> TextTable<'a> {
    /// Reads `source`.
    ///
    /// # Errors
    ///
    /// A text that is no CSV, or a pointer of Git LFS in place of the table.
    pub(super) fn read(source: &'a SourceText) -> Result<Self, InputError> {
        if source.text.starts_with("version https://git-lfs") {
            let message = "is a pointer of Git LFS and not the table; `git lfs pull` fetches the table";
            return Err(wrong(source, 1, "", message.to_owned()));
        }
        let malformed = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            wrong(source, line, "", format!("is no CSV: {error}"))
        };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source.text.as_bytes());
        let header = reader.headers().map_err(malformed)?.clone();
        let records = reader.records().collect::<Result<_, _>>().map_err(malformed)?;
        Ok(Self { source, header, records })
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name == column)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = TextRow<'_>> {
        self.records.iter().map(|record| TextRow { table: self, record })
    }
}

impl TextRow<'_> {
    /// The cell under `column`; empty where the table has no such column.
    pub(super) fn text(&self, column: &str) -> &str {
        let at = self.table.header.iter().position(|name| name == column);
        at.and_then(|at| self.record.get(at)).unwrap_or("")
    }

    /// The cell under `column` as a number.
    pub(super) fn number<T: FromStr>(&self, column: &str) -> Result<T, InputError> {
        let found = self.text(column);
        found.parse().map_err(|_| self.wrong(column, format!("found `{found}`; expected a number")))
    }

    /// The cell as a number; `fallback` where it is empty or the table has no such column.
    pub(super) fn number_or<T: FromStr>(&self, column: &str, fallback: T) -> Result<T, InputError> {
        if self.text(column).is_empty() { Ok(fallback) } else { self.number(column) }
    }

    /// A time in milliseconds under `column`, in microseconds; none where the cell is empty.
    pub(super) fn us_of_ms(&self, column: &str) -> Result<Option<f64>, InputError> {
        let found = self.text(column);
        if found.is_empty() || found.eq_ignore_ascii_case("nan") {
            return Ok(None);
        }
        let time = found.parse::<f64>().ok().filter(|time| time.is_finite() && *time > 0.0);
        let expected = || self.wrong(column, format!("found `{found}`; expected milliseconds above 0"));
        time.map(|ms| Some(1e3 * ms)).ok_or_else(expected)
    }

    /// Something wrong in this row.
    pub(super) fn wrong(&self, column: &str, message: String) -> InputError {
        let line = self.record.position().map_or(0, csv::Position::line);
        wrong(self.table.source, line, column, message)
    }
}
