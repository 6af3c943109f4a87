//! Measurement sets: what other laboratories, or we, measured on real machines.

mod file;
mod machine;
mod read;
mod table;
#[cfg(test)]
mod tests;

pub use file::SetFile;
pub use machine::{Machine, ScaleUp};
pub use read::{RawSet, read_set};
pub use table::{CollectiveWork, Family, Operation, PairsWork, Row, Scope, Table, Work};

/// A folder of measurements, made on one machine with one software stack.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasurementSet {
    /// Name of the folder.
    pub name: String,
    /// Name of the GPU card.
    pub gpu: String,
    /// The software that ran.
    pub stack: String,
    /// Who measured.
    pub source: String,
    /// What their licence is.
    pub licence: String,
    /// Where it ran.
    pub machine: Machine,
    /// Measurements, one table for each family, in the order of [`Family::ALL`].
    pub tables: Vec<Table>,
    /// What to check before trusting the set.
    pub warnings: Vec<String>,
}

impl MeasurementSet {
    /// The table of `family`, if it was measured.
    pub fn table(&self, family: Family) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family)
    }
}
