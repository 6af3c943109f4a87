//! Holds profiles against measurements.

#[cfg(test)]
mod tests;

use crate::accuracy::{BAND_ALL, accuracy, band, bands};
use crate::calibrate::Split;
use crate::fitted::{FittedModel, UnknownModel};
use crate::measurement::{Family, MeasurementSet, Row, Table};
use crate::profile::{AccuracyFile, ProfileFile};

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
    /// The family.
    pub family: Family,
    /// The band, or [`BAND_ALL`].
    pub band: &'static str,
    /// Rows for which the profile has no model.
    pub n_missing: u64,
    /// Figures of the others, if there are any.
    pub accuracy: Option<AccuracyFile>,
}

/// How far `profile` is from `sets`, by set, family and band; bands without rows are left out.
///
/// # Errors
///
/// A family of the profile that this version cannot read.
pub fn validate(
    sets: &[MeasurementSet],
    profile: &ProfileFile,
    rows: Rows,
) -> Result<Vec<BandAccuracy>, UnknownModel> {
    let mut found = Vec::new();
    for set in sets {
        for table in &set.tables {
            let file = profile.families.get(table.family.name());
            let model = file.map(|file| FittedModel::of_file(table.family, file)).transpose()?;
            let compared = match rows {
                Rows::All => table.rows.iter().collect(),
                Rows::Unfitted => unfitted(set, table, profile),
            };
            let names = std::iter::once(&BAND_ALL).chain(bands(table.family));
            found
                .extend(names.filter_map(|name| of_band(set, table.family, name, model.as_ref(), &compared)));
        }
    }
    Ok(found)
}

/// The rows that `profile` was not fitted to.
fn unfitted<'a>(set: &MeasurementSet, table: &'a Table, profile: &ProfileFile) -> Vec<&'a Row> {
    let family = profile.families.get(table.family.name());
    let Some(family) = family.filter(|family| family.sets.iter().any(|fitted| fitted.name == set.name))
    else {
        return table.rows.iter().collect();
    };
    let split = Split::new(family.split.seed, &set.name, table);
    table.rows.iter().filter(|row| split.is_held_out(row)).collect()
}

fn of_band(
    set: &MeasurementSet,
    family: Family,
    name: &'static str,
    model: Option<&FittedModel>,
    rows: &[&Row],
) -> Option<BandAccuracy> {
    let in_band = rows.iter().filter(|row| name == BAND_ALL || band(&row.work) == name);
    let error = |row: &&Row| Some(model?.predict_us(&row.work, &set.site)? / row.time_us - 1.0);
    let all: Vec<_> = in_band.map(error).collect();
    if all.is_empty() && name != BAND_ALL {
        return None;
    }
    let errors: Vec<_> = all.iter().copied().flatten().collect();
    let n_missing = (all.len() - errors.len()) as u64;
    Some(BandAccuracy { set: set.name.clone(), family, band: name, n_missing, accuracy: accuracy(&errors) })
}
