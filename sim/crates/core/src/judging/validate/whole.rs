//! Holds whole runs against measurements of whole models: prompts, tokens and joules.
//!
//! Nothing here is fitted to such measurements: what the host spends and what work draws are published figures.

mod predict;
mod stack;

use std::collections::BTreeMap;

use predict::Predictor;

use super::BandAccuracy;
use crate::inputs::measurement::{Measured, WholeFamily, WholeRow, WholeSet, WholeTable};
use crate::inputs::text::Library;
use crate::timing::accuracy::{BAND_ALL, accuracy};

/// The band of prompts.
const BAND_PROMPT: &str = "prompt";
/// The band of tokens.
const BAND_TOKEN: &str = "token";

/// How far whole runs are from measurements, and what to check before trusting that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// By set, family and band.
    pub found: Vec<BandAccuracy>,
    /// Models without a card, and rows that could not be run.
    pub warnings: Vec<String>,
}

/// Compares every row of `sets`; `profile` is a reference to one and the card that it is of.
pub fn validate(sets: &[WholeSet], profile: Option<(&str, &str)>, library: &dyn Library) -> Compared {
    let mut compared = Compared::default();
    for set in sets {
        if let Some((name, gpu)) = profile.filter(|(_, gpu)| *gpu != set.set.gpu) {
            let (set, card) = (&set.set.name, &set.set.gpu);
            compared.warnings.push(format!(
                "profile `{name}` is of card `{gpu}`: for set `{set}` its parameters stand beside the figures of `{card}`"
            ));
        }
        let mut predictor = Predictor::new(&set.set, profile.map(|(name, _)| name.to_owned()), library);
        for table in &set.tables {
            compared.add(set, table, &mut predictor);
        }
    }
    compared
}

impl Compared {
    fn add(&mut self, set: &WholeSet, table: &WholeTable, predictor: &mut Predictor) {
        let mut errors: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        let mut missing: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut refused: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in &table.rows {
            let bands = bands_of(row);
            match predictor.ratios(row) {
                Ok(ratios) => {
                    for (band, ratio) in bands.iter().zip(ratios) {
                        for name in [BAND_ALL, band] {
                            errors.entry(name).or_default().push(ratio - 1.0);
                        }
                    }
                }
                Err(reason) => {
                    *refused.entry((row.model.clone(), reason)).or_default() += 1;
                    for band in bands {
                        for name in [BAND_ALL, band] {
                            *missing.entry(name).or_default() += 1;
                        }
                    }
                }
            }
        }
        let names: &[&'static str] = match table.family {
            WholeFamily::Inference => &[BAND_ALL, BAND_PROMPT, BAND_TOKEN],
            WholeFamily::InferenceEnergy => &[BAND_ALL],
        };
        for &band in names {
            let (n_missing, errors) = (missing.get(band).copied().unwrap_or(0), errors.get(band));
            if band != BAND_ALL && n_missing == 0 && errors.is_none() {
                continue;
            }
            let accuracy = errors.and_then(|errors| accuracy(errors));
            let (set, family) = (set.set.name.clone(), table.family.name());
            self.found.push(BandAccuracy { set, family, band, n_missing, accuracy, roofline_mape: None });
        }
        let set = &set.set.name;
        let of_models = refused.into_iter().map(|((model, reason), n)| {
            format!("set `{set}`: {n} rows of model `{model}` are not predicted: {reason}")
        });
        self.warnings.extend(of_models);
    }
}

/// The bands in which a row has a figure, in the order of [`Predictor::ratios`].
fn bands_of(row: &WholeRow) -> Vec<&'static str> {
    match row.measured {
        Measured::Inference { prompt_us, token_us, .. } => {
            let both = [(BAND_PROMPT, prompt_us), (BAND_TOKEN, token_us)];
            both.into_iter().filter_map(|(band, time)| time.map(|_| band)).collect()
        }
        // Its only band is that of every row, which is counted beside each other one.
        Measured::Energy { .. } => vec!["energy"],
    }
}
