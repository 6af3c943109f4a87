//! `masim validate`: how far a profile is from measurements.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::calibrate::percent;
use super::exit::CliError;
use super::library::Folders;
use super::measurements::{models_of, predictor_of, read_profile, read_sets, read_whole_sets};
use super::table::Plain;
use super::terminal;
use masim_core::judging::validate::{BandAccuracy, Rows, validate, whole};
use masim_core::timing::accuracy::BAND_ALL;
use masim_core::timing::fitted::CardModels;

pub(super) const AFTER_HELP: &str = "\
Only rows count that the profile was not fitted to, unless `--rows all` is given. Errors are predicted / measured - 1;
the last column is the mean absolute error of the card's roofline on the same rows.
Tables of whole models (`inference`, `inference_energy`) run through the simulator; their models are found by name in
`scenarios/models/`.

Examples:
  masim validate sets/lab-a --profile a100-sxm4-80gb-generic
  masim validate sets/* --profile p.yaml --max-mape 0.1    exit code 3 if a family of a set is further away";

/// Arguments of `masim validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Measurement sets
    #[arg(required = true, value_name = "SET")]
    sets: Vec<PathBuf>,
    /// A profile: a name in `topologies/profiles/`, a path, or `none` for rooflines
    #[arg(long, value_name = "P")]
    profile: String,
    /// Hold the profile's time predictor, a neural network, against attention and experts
    #[arg(long)]
    predictor: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Which rows count
    #[arg(long, value_enum, default_value_t = RowsArg::Unfitted)]
    rows: RowsArg,
    /// End with code 3 if the mean absolute error of a set and family is above this share
    #[arg(long, value_name = "X")]
    max_mape: Option<f64>,
}

/// Which rows count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RowsArg {
    /// Rows that the profile was not fitted to
    Unfitted,
    /// All rows
    All,
}

impl ValidateArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        if self.max_mape.is_some_and(|bound| bound.is_nan() || bound < 0.0) {
            return Err(CliError::usage("`--max-mape` is a share; expected a number from 0 up", None));
        }
        let sets = read_sets(&self.sets)?;
        let whole = read_whole_sets(&self.sets, &sets)?;
        let rows = match self.rows {
            RowsArg::Unfitted => Rows::Unfitted,
            RowsArg::All => Rows::All,
        };
        let (models, profile) = match self.profile.as_str() {
            "none" if !self.predictor => (CardModels::default(), None),
            name => {
                let profile = read_profile(name)?;
                let models = if self.predictor { predictor_of(&profile)? } else { models_of(&profile)? };
                (models, Some(profile))
            }
        };
        let mut found = validate(&sets, &models, rows);
        for it in found.iter().filter(|it| it.band == BAND_ALL) {
            warn_of(it, &self.profile);
        }
        let path = self.path();
        let profile = profile.as_ref().map(|profile| (path.as_str(), profile.gpu.as_str()));
        let of_whole = whole::validate(&whole, profile, &Folders);
        of_whole.warnings.iter().for_each(|warning| terminal::warn(warning));
        found.extend(of_whole.found);
        terminal::print(&if self.json { json_of(&found) } else { table(&found) })?;
        self.check_bound(&found)
    }

    /// The profile as a scenario in the current folder would name it.
    fn path(&self) -> String {
        let is_file_here = !self.profile.contains('/') && Path::new(&self.profile).is_file();
        if is_file_here { format!("./{}", self.profile) } else { self.profile.clone() }
    }

    fn check_bound(&self, found: &[BandAccuracy]) -> Result<(), CliError> {
        let Some(bound) = self.max_mape else { return Ok(()) };
        let of_all = found.iter().filter(|it| it.band == BAND_ALL);
        let exceeded: Vec<_> = of_all
            .filter_map(|it| {
                let mape = it.accuracy?.mape;
                (mape > bound).then(|| format!("{} {} {}", it.set, it.family, percent(mape)))
            })
            .collect();
        if exceeded.is_empty() {
            return Ok(());
        }
        Err(CliError::Bound(format!("above {}: {}", percent(bound), exceeded.join(", "))))
    }
}

fn warn_of(found: &BandAccuracy, profile: &str) {
    let (set, family) = (&found.set, found.family);
    if found.n_missing > 0 {
        let n = found.n_missing;
        terminal::warn(&format!(
            "profile `{profile}` has no `{family}`: {n} rows of set `{set}` are not predicted"
        ));
    } else if found.accuracy.is_none() {
        terminal::warn(&format!(
            "profile `{profile}` was fitted to all `{family}` rows of set `{set}`: nothing is left to judge it by"
        ));
    }
}

fn table(found: &[BandAccuracy]) -> String {
    let mut table = Plain::new(["set", "family", "band", "n", "MAPE", "median", "p95", "bias", "roofline"]);
    for it in found {
        let shares = it.accuracy.map(|is| [is.mape, is.median_ape, is.p95_ape, is.bias]);
        let [mape, median, p95, bias] =
            shares.map_or_else(|| [const { String::new() }; 4], |shares| shares.map(percent));
        let n = it.accuracy.map_or(0, |is| is.n).to_string();
        let [set, family, band] = [it.set.clone(), it.family.to_owned(), it.band.to_owned()];
        let roofline = it.roofline_mape.map(percent).unwrap_or_default();
        table.add([set, family, band, n, mape, median, p95, bias, roofline]);
    }
    table.into_text()
}

/// A list of objects; figures of bands without a predicted row are null.
fn json_of(found: &[BandAccuracy]) -> String {
    let line = |it: &BandAccuracy| {
        let figure = |of: fn(&masim_core::inputs::profile::AccuracyFile) -> f64| it.accuracy.as_ref().map(of);
        json!({
            "set": it.set,
            "family": it.family,
            "band": it.band,
            "n": it.accuracy.map_or(0, |is| is.n),
            "n_missing": it.n_missing,
            "mape": figure(|is| is.mape),
            "median_ape": figure(|is| is.median_ape),
            "p95_ape": figure(|is| is.p95_ape),
            "bias": figure(|is| is.bias),
            "roofline_mape": it.roofline_mape,
        })
    };
    format!("{:#}\n", Value::Array(found.iter().map(line).collect()))
}
