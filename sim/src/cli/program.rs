//! `masim program`: the instructions of every rank, for another executor.

use std::path::PathBuf;

use clap::Args;

use super::exit::CliError;
use super::set::{self, Setting};
use super::{files, terminal};
use masim_core::judging::record::record;
use masim_core::judging::sweep::simulate;
use masim_core::work::routing::RoutingPool;

pub(super) const AFTER_HELP: &str = "\
The file holds the instructions of every rank in their order, with shapes, peers and named values, the slices of the weights that
each rank holds, and the experts that every token chooses in the first steps. It has no times: `masim run` prices the same program.
Where the scenario says `auto`, the program is that of the plan that `masim run` chooses.

Examples:
  masim program scenarios/decode.yaml -o program.json
  masim program scenarios/decode.yaml -o program.json.gz --steps 4
  masim program scenarios/decode.yaml --set workload.batch=64 | jq '.order[0]'";

/// Arguments of `masim program`.
#[derive(Debug, Args)]
pub(crate) struct ProgramArgs {
    /// The scenario
    scenario: PathBuf,
    /// Change the scenario; x0.5 is a factor
    #[arg(long, value_name = "PATH=VALUE", value_parser = set::parse)]
    set: Vec<Setting>,
    /// Steps whose sizes and choices of experts are recorded
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// Write to this file, packed if its name ends in `.gz`; standard output if left out
    #[arg(long, short)]
    out: Option<PathBuf>,
}

impl ProgramArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let scenario = set::scenario(&self.scenario, &self.set)?;
        let pool = RoutingPool::default();
        let (found, _) =
            simulate(&scenario, &pool).map_err(|error| CliError::usage(error.to_string(), None))?;
        let text = record(&scenario, &found.plan, &pool, self.steps).to_json() + "\n";
        match &self.out {
            None => terminal::print(&text),
            Some(path) if path.extension().is_some_and(|ending| ending == "gz") => {
                files::write(path, &files::gzipped(text.as_bytes()))
            }
            Some(path) => files::write(path, text.as_bytes()),
        }
    }
}
