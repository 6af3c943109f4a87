//! `masim network`: flow sets through the engine, beside what another simulator says.

use std::path::PathBuf;

use clap::Args;
use masim_units::SimTime;

use super::exit::CliError;
use super::library::Folders;
use super::table::Plain;
use super::{files, terminal};
use crate::network::{Case, Comparison, compare, read_cases, simulate};

pub(super) const AFTER_HELP: &str = "\
Each line of FILE is a JSON object with `case`, `topology` (`name`, `nodes`, `hosts` and directed `links` with
`bw` in bytes/s and `lat` in s, or the name of a cluster), `flows` (`src`, `dst`, `bytes`, `start_ns`, `route`) and
possibly `expect.finish_s`. Files packed by gzip are read too.

Examples:
  masim network flows.jsonl --json                        one line for each case, with the end of each flow
  masim network flows.jsonl --compare --tolerance 1e-6    exit code 3 if a flow is further away than that";

/// Arguments of `masim network`.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// The flow set, JSON lines
    file: PathBuf,
    /// Print JSON, one line for each case
    #[arg(long)]
    json: bool,
    /// Print how far each case is from what it expects
    #[arg(long)]
    compare: bool,
    /// End with code 3 if a flow ends further away than this share of its time (whole picoseconds aside)
    #[arg(
        long,
        value_name = "X",
        requires = "compare",
        default_value_t = 1e-6,
        allow_negative_numbers = true
    )]
    tolerance: f64,
}

impl NetworkArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        if !(0.0..1.0).contains(&self.tolerance) {
            let message = format!("`--tolerance` is {}; expected a share from 0 to 1", self.tolerance);
            return Err(CliError::usage(message, None));
        }
        let source = files::read_text_or_gzip(&self.file)?;
        let cases = read_cases(&source, &Folders)?;
        let mut ends = Vec::new();
        for case in &cases {
            let of_case = simulate(case).map_err(|error| {
                CliError::usage(format!("{}:{}: case `{}`: {error}", source.path, case.line, case.name), None)
            })?;
            ends.push(of_case);
        }
        let cases: Vec<_> = cases.iter().zip(ends.iter().map(Vec::as_slice)).collect();
        if self.compare { self.print_comparison(&cases) } else { self.print_ends(&cases) }
    }

    fn print_ends(&self, cases: &[(&Case, &[SimTime])]) -> Result<(), CliError> {
        if self.json {
            return terminal::print(
                &cases.iter().map(|(case, ends)| ends_json(case, ends)).collect::<String>(),
            );
        }
        let mut table = Plain::new(["case", "flows", "last end (s)"]);
        for (case, ends) in cases {
            let last = ends.iter().max().map_or(0.0, |end| end.as_secs());
            table.add([case.name.clone(), ends.len().to_string(), format!("{last:.9}")]);
        }
        terminal::print(&table.into_text())
    }

    fn print_comparison(&self, cases: &[(&Case, &[SimTime])]) -> Result<(), CliError> {
        let mut table = Plain::new(["case", "flows", "worst relative", "worst absolute (s)", "outside"]);
        let mut lines = String::new();
        let (mut n_outside, mut n_flows) = (0, 0);
        for (case, ends) in cases {
            let Some(found) = compare(case, ends, self.tolerance) else {
                terminal::warn(&format!("case `{}` expects nothing: it is not compared", case.name));
                continue;
            };
            n_outside += found.n_outside;
            n_flows += ends.len();
            lines.push_str(&comparison_json(case, ends.len(), found));
            table.add([
                case.name.clone(),
                ends.len().to_string(),
                format!("{:.2e}", found.worst_relative),
                format!("{:.2e}", found.worst_absolute_s),
                found.n_outside.to_string(),
            ]);
        }
        terminal::print(&if self.json { lines } else { table.into_text() })?;
        if n_outside == 0 {
            return Ok(());
        }
        let tolerance = self.tolerance;
        Err(CliError::Bound(format!(
            "{n_outside} of {n_flows} flows end further away than {tolerance:e} of their time"
        )))
    }
}

/// One line: the ends of the flows in seconds, with 17 significant digits.
fn ends_json(case: &Case, ends: &[SimTime]) -> String {
    let ends: Vec<_> = ends.iter().map(|end| format!("{:.16e}", end.as_secs())).collect();
    format!("{{\"case\":{},\"finish_s\":[{}]}}\n", quoted(&case.name), ends.join(","))
}

/// One line: how far a case is from what it expects.
fn comparison_json(case: &Case, n_flows: usize, found: Comparison) -> String {
    let Comparison { worst_relative, worst_absolute_s, n_outside } = found;
    let name = quoted(&case.name);
    // JSON has no infinity: an end that was expected at zero has no relative distance.
    let relative = if worst_relative.is_finite() { format!("{worst_relative:e}") } else { "null".to_owned() };
    format!(
        "{{\"case\":{name},\"n_flows\":{n_flows},\"worst_relative\":{relative},\"worst_absolute_s\":{worst_absolute_s:e},\"n_outside\":{n_outside}}}\n"
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
