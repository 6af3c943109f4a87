//! The command line: the only module that touches files, the clock, the environment or the terminal.

mod exit;
mod version;
mod stop;
mod terminal;
mod table;
mod diagnostics;
mod files;
mod folder;
mod clock;
mod library;
mod set;
mod progress;
mod completions;
mod check;
mod network;
mod topology;
mod collective;
mod run;
mod sweep;
mod measurements;
mod import;
mod calibrate;
mod validate;
mod predict;
mod explain;
mod program;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::CliError;

const AFTER_HELP: &str = "\
Examples:
  masim sweep scenarios/ratios.yaml              the best attention:expert ratio, as a report
  masim run scenarios/decode.yaml                one scenario in a table
  masim check scenarios/*.yaml                   mistakes in files, without running them
  masim topology show a100-4x4 --route n0.g0 n1.g2

Exit codes: 0 done, 1 input or machine at fault, 2 our mistake, 3 a stated bound exceeded, 130 interrupted.
Files are read and written only where you name them; the network is never used.";

/// Simulates Mixture-of-Experts models on GPU clusters and says how many GPUs should do attention
#[derive(Debug, Parser)]
#[command(name = "masim", version = version::long(), after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every point of a sweep and write a report
    #[command(after_help = sweep::AFTER_HELP)]
    Sweep(sweep::SweepArgs),
    /// Run one scenario, or one row of results again
    #[command(after_help = run::AFTER_HELP)]
    Run(run::RunArgs),
    /// Check files, and print scenarios with every default filled in
    #[command(after_help = check::AFTER_HELP)]
    Check(check::CheckArgs),
    /// Run a set of flows over links, and compare with another simulator
    #[command(after_help = network::AFTER_HELP)]
    Network(network::NetworkArgs),
    /// Convert measurements of other tools into a measurement set
    #[command(after_help = import::AFTER_HELP)]
    Import(import::ImportArgs),
    /// Time one collective alone, with every algorithm and protocol
    #[command(after_help = collective::AFTER_HELP)]
    Collective(collective::CollectiveArgs),
    /// Fit models to measurements and write them as a profile
    #[command(after_help = calibrate::AFTER_HELP)]
    Calibrate(calibrate::CalibrateArgs),
    /// Compare a profile with measurements that it was not fitted to
    #[command(after_help = validate::AFTER_HELP)]
    Validate(validate::ValidateArgs),
    /// Predict the times of a list of work, with intervals and provenance
    #[command(after_help = predict::AFTER_HELP)]
    Predict(predict::PredictArgs),
    /// Explain the times of a scenario, operation by operation, down to the parameters and their sources
    #[command(after_help = explain::AFTER_HELP)]
    Explain(explain::ExplainArgs),
    /// Writes the instructions of every rank in one step, for another executor
    #[command(after_help = program::AFTER_HELP)]
    Program(program::ProgramArgs),
    /// Show a cluster: its GPUs, its links, and the routes between them
    Topology(topology::TopologyArgs),
    /// Print the script that lets a shell complete masim's arguments
    #[command(
        after_help = "Examples:\n  masim completions bash > ~/.local/share/bash-completion/completions/masim"
    )]
    Completions(completions::Completions),
}

impl Command {
    fn run(&self) -> Result<(), CliError> {
        match self {
            Self::Sweep(sweep) => sweep.run(),
            Self::Run(run) => run.run(),
            Self::Check(check) => check.run(),
            Self::Network(network) => network.run(),
            Self::Import(import) => import.run(),
            Self::Collective(collective) => collective.run(),
            Self::Calibrate(calibrate) => calibrate.run(),
            Self::Validate(validate) => validate.run(),
            Self::Predict(predict) => predict.run(),
            Self::Explain(explain) => explain.run(),
            Self::Program(program) => program.run(),
            Self::Topology(topology) => topology.run(),
            Self::Completions(completions) => completions.run(),
        }
    }
}

/// Reads the command line, does what it says, and returns the exit code.
pub(crate) fn main() -> ExitCode {
    stop::install();
    match panic::catch_unwind(AssertUnwindSafe(parse_and_run)) {
        Ok(code) => code,
        // The hook has already said what happened.
        Err(_) => ExitCode::from(exit::OURS),
    }
}

fn parse_and_run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal is no reason for another error.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { exit::INPUT } else { exit::DONE });
        }
    };
    match cli.command.run() {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => {
            diagnostics::report(&error);
            error.code()
        }
    }
}
