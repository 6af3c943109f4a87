//! `masim completions`: what a shell needs to complete a command line.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::exit::CliError;
use super::{Cli, terminal};

/// Arguments of `masim completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "masim", &mut script);
        terminal::print(&String::from_utf8_lossy(&script))
    }
}
