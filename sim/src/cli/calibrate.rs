//! `masim calibrate`: from measurements to a profile.

use std::path::PathBuf;

use clap::Args;

use super::exit::CliError;
use super::library::Folders;
use super::measurements::{card_of, read_profile, read_sets};
use super::table::Plain;
use super::{clock, files, terminal};
use masim_core::inputs::measurement::MeasurementSet;
use masim_core::inputs::profile::{AccuracyFile, ProfileFile, generic_of};
use masim_core::judging::calibrate::{calibrate, calibrate_predictor, simulated_set};
use masim_core::scenario::load_scenario;

pub(super) const AFTER_HELP: &str = "\
A set is a folder with `set.yaml` and a CSV for each family. Families that no set has stay as they are in PROFILE.
A fifth of the groups of shapes of every set is kept aside: the error on them is recorded, and `masim validate` repeats it.

With --predictor no family is fitted; instead the paper's time predictor is trained, a neural network of 64, 32 and 16 neurons for
attention and one for experts, on the families attention_prefill, attention_decode and moe. `masim predict --predictor` asks it.

Examples:
  masim calibrate sets/lab-a sets/lab-b -o topologies/profiles/a100-sxm4-80gb-generic.yaml
  masim calibrate --derive a100-sxm4-80gb-vllm --gpu a100-sxm4-40gb -o topologies/profiles/a100-sxm4-40gb-vllm.yaml
  masim calibrate sets/lab-a --predictor -o predictor.yaml
  masim calibrate --predictor --simulate scenarios/decode.yaml -o predictor.yaml   from the cost model instead of measurements";

/// Arguments of `masim calibrate`.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// Measurement sets
    #[arg(required_unless_present_any = ["derive", "simulate"], value_name = "SET")]
    sets: Vec<PathBuf>,
    /// Train the paper's time predictor, and leave the families of PROFILE as they are
    #[arg(long, conflicts_with = "derive")]
    predictor: bool,
    /// Train it on a grid of shapes of this scenario's model, with times from the scenario's cost model
    #[arg(long, value_name = "SCENARIO", requires = "predictor")]
    simulate: Option<PathBuf>,
    /// The predictor's first weights and the order in which it sees rows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take the parameters of this profile of another card instead
    #[arg(long, value_name = "P", requires = "gpu", conflicts_with = "sets")]
    derive: Option<String>,
    /// The card that they are for
    #[arg(long, value_name = "CARD", requires = "derive")]
    gpu: Option<String>,
    /// The profile to write, or to replace families of
    #[arg(short, long, value_name = "PROFILE")]
    output: PathBuf,
}

impl CalibrateArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let name = self.output.file_stem().and_then(|stem| stem.to_str());
        let Some(name) = name.filter(|_| self.output.extension().is_some_and(|ending| ending == "yaml"))
        else {
            let message = format!("`{}` is no name of a profile; expected NAME.yaml", self.output.display());
            return Err(CliError::usage(message, None));
        };
        files::check_writable(&self.output)?;
        let profile = match (&self.derive, &self.gpu) {
            (Some(from), Some(gpu)) => derived(from, name, gpu)?,
            _ => self.fitted(name)?,
        };
        let date = clock::now().split('T').next().map(str::to_owned);
        let profile = ProfileFile { date, ..profile };
        files::write(&self.output, profile.to_yaml().as_bytes())?;
        terminal::talk(&format!("wrote {}", self.output.display()));
        terminal::print(&table(&profile))
    }

    fn fitted(&self, name: &str) -> Result<ProfileFile, CliError> {
        let existing = if self.output.is_file() {
            Some(ProfileFile::read(&files::read_text(&self.output)?)?)
        } else {
            None
        };
        let sets = self.sets()?;
        let profile = if self.predictor {
            calibrate_predictor(name, &sets, existing, self.seed)
        } else {
            calibrate(name, &sets, existing)
        };
        profile.map_err(|error| CliError::usage(error.to_string(), None))
    }

    /// The sets of the command line, and that of the scenario.
    fn sets(&self) -> Result<Vec<MeasurementSet>, CliError> {
        let mut sets = read_sets(&self.sets)?;
        if let Some(path) = &self.simulate {
            let scenario = load_scenario(&files::read_text(path)?, &Folders)?;
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("scenario");
            let set = simulated_set(&format!("simulated-{stem}"), &scenario);
            sets.push(set.map_err(|error| CliError::usage(error.to_string(), None))?);
        }
        Ok(sets)
    }
}

/// The profile `from`, completed by that of all stacks of its card, for the card `gpu`.
fn derived(from: &str, name: &str, gpu: &str) -> Result<ProfileFile, CliError> {
    let profile = read_profile(from)?;
    let generic = generic_of(&profile.gpu, &Folders, "")?;
    card_of(gpu)?;
    Ok(profile.derived(generic.as_ref(), name, gpu))
}

/// The errors of every family.
fn table(profile: &ProfileFile) -> String {
    let mut table = Plain::new(["family", "rows", "n", "MAPE", "median", "p95", "bias"]);
    let families = profile.families.iter().map(|(family, fitted)| (family.clone(), fitted.error));
    let networks = profile.predictor.iter().flat_map(|predictor| &predictor.networks);
    let networks = networks.map(|(head, network)| (format!("predictor: {head}"), network.error));
    for (family, error) in families.chain(networks) {
        let parts = [("fitted", Some(error.fit)), ("held out", error.held_out)];
        for (rows, found) in parts.into_iter().filter_map(|(rows, found)| Some((rows, found?))) {
            let AccuracyFile { n, mape, median_ape, p95_ape, bias } = found;
            let cells = [mape, median_ape, p95_ape, bias].map(percent);
            let [mape, median, p95, bias] = cells;
            table.add([family.clone(), rows.to_owned(), n.to_string(), mape, median, p95, bias]);
        }
    }
    table.into_text()
}

/// A share as a person reads it.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
