//! Holds profiles against measurements.

#[cfg(test)]
mod tests;
pub mod whole;

use crate::inputs::measurement::{Family, MeasurementSet, Row, Table};
use crate::inputs::profile::AccuracyFile;
use crate::judging::calibrate::Split;
use crate::timing::accuracy::{BAND_ALL, accuracy, band, bands};
use crate::timing::fitted::CardModels;

/// Which rows are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those that the profile was not fitted to.
    Unfitted,
    /// All.
    All,
}

/// How far a profile is from the rows of a band.
#[derive(Clone, Debug, PartialEq)]
pub struct BandAccuracy {
    /// Name of the set.
    pub set: String,
    /// Name of the family.
    pub family: &'static str,
    /// The band, or [`BAND_ALL`].
    pub band: &'static str,
    /// Rows for which the profile has no model.
    pub n_missing: u64,
    /// Figures of the others, if there are any.
    pub accuracy: Option<AccuracyFile>,
    /// Mean absolute error of the card's roofline on those same others, where a roofline can say something of each of them.
    pub roofline_mape: Option<f64>,
}

/// How far `models` are from `sets`, by set, family and band; bands without rows are left out.
pub fn validate(sets: &[MeasurementSet], models: &CardModels, rows: Rows) -> Vec<BandAccuracy> {
    let mut found = Vec::new();
    for set in sets {
        for table in &set.tables {
            let compared = match rows {
                Rows::All => table.rows.iter().collect(),
                Rows::Unfitted => unfitted(set, table, models),
            };
            let names = std::iter::once(&BAND_ALL).chain(bands(table.family));
            found.extend(names.filter_map(|name| of_band(set, table.family, name, models, &compared)));
        }
    }
    found
}

/// The rows that `models` were not fitted to.
fn unfitted<'a>(set: &MeasurementSet, table: &'a Table, models: &CardModels) -> Vec<&'a Row> {
    let Some(seed) = models.split_of(table.family, &set.name) else {
        return table.rows.iter().collect();
    };
    let split = Split::new(seed, &set.name, table);
    table.rows.iter().filter(|row| split.is_held_out(row)).collect()
}

fn of_band(
    set: &MeasurementSet,
    family: Family,
    name: &'static str,
    models: &CardModels,
    rows: &[&Row],
) -> Option<BandAccuracy> {
    let in_band: Vec<&Row> =
        rows.iter().copied().filter(|row| name == BAND_ALL || band(&row.work) == name).collect();
    if in_band.is_empty() && name != BAND_ALL {
        return None;
    }
    let roofline_models = CardModels::default();
    let error = |models: &CardModels, row: &Row| {
        Some(models.predict(&row.work, &set.site)?.time_us / row.time_us - 1.0)
    };
    let (ours, roofline): (Vec<f64>, Vec<Option<f64>>) =
        in_band.iter().filter_map(|row| Some((error(models, row)?, error(&roofline_models, row)))).unzip();
    // Both columns are of the same rows, or the roofline's is empty.
    let roofline: Option<Vec<f64>> = roofline.into_iter().collect();
    Some(BandAccuracy {
        set: set.name.clone(),
        family: family.name(),
        band: name,
        n_missing: (in_band.len() - ours.len()) as u64,
        accuracy: accuracy(&ours),
        roofline_mape: roofline.and_then(|errors| accuracy(&errors)).map(|of| of.mape),
    })
}
