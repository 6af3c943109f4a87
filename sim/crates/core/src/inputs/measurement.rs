//! Measurement sets: what other laboratories, or we, measured on real machines.

mod columns;
mod communication;
mod effort;
mod file;
mod kernel;
mod machine;
mod read;
mod table;
mod whole;
mod work;
#[cfg(test)]
mod tests;

pub use columns::Value;
pub use communication::{CollectiveWork, Operation, PairsWork, Scope};
pub use kernel::{
    DecodeWork, Distribution, ElementwiseKind, ElementwiseWork, GemmWork, MoeWork, PrefillWork,
};
pub use machine::{Machine, ScaleUp, known_nvlink_of};
pub use read::{RawSet, read_set};
pub use table::{Family, Mistake, Row, Table, Work};
pub use whole::{Measured, WholeFamily, WholeRow, WholeSet, WholeTable, read_whole};
pub use work::Fields;

use std::sync::Arc;

use crate::inputs::topology::GpuCard;

/// Conditions that times depend on beside the work itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The card; none for a card that is not known, which only communication can do without.
    pub card: Option<Arc<GpuCard>>,
    /// Links between the cards.
    pub machine: Machine,
}

/// A folder of measurements, made on one machine with one software stack.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasurementSet {
    /// Name of the folder.
    pub name: String,
    /// Name of the GPU card.
    pub gpu: String,
    /// The software that ran.
    pub stack: String,
    /// Author of the measurements.
    pub source: String,
    /// Licence of the measurements.
    pub licence: String,
    /// Card, software and machine of the measurements.
    pub site: Site,
    /// Measurements, one table for each family, in the order of [`Family::ALL`].
    pub tables: Vec<Table>,
    /// Warnings to check before trusting the set.
    pub warnings: Vec<String>,
}

impl MeasurementSet {
    /// The table of `family`, if it was measured.
    pub fn table(&self, family: Family) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family)
    }
}
