//! `masim run`: one scenario, or one row of results again.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::exit::CliError;
use super::library::Folders;
use super::set::{self, Setting};
use super::{files, progress, terminal};
use masim_core::judging::resimulate::resimulate;
use masim_core::judging::sweep::{Failure, Row, SweepRow, load_sweep, network_of, simulate_row};
use masim_core::scenario::{Loader, Scenario, scenario_file_of};
use masim_core::search::Found;
use masim_core::work::routing::RoutingPool;
use masim_report::network::NetworkShown;

pub(super) const AFTER_HELP: &str = "\
Examples:
  masim run scenarios/decode.yaml
  masim run scenarios/decode.yaml --set workload.batch=256 --set strategy.placement=interleaved
  masim run scenarios/decode.yaml --set profile=a100-sxm4-80gb-vllm --resimulate 200
  masim run scenarios/decode.yaml --trace trace.json        open it at https://ui.perfetto.dev
  masim run scenarios/decode.yaml --dag step.dot            then: dot -Tsvg step.dot > step.svg
  masim run scenarios/decode.yaml --network links.svg       links coloured by use; links.json has all figures
  masim run --from reports/ratios/results.csv --row 17      a row of a report again";

/// Arguments of `masim run`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["scenario", "from"])))]
pub(crate) struct RunArgs {
    /// The scenario
    scenario: Option<PathBuf>,
    /// Results whose row --row is run again, with the sweep.yaml beside them
    #[arg(long, value_name = "results.csv", requires = "row")]
    from: Option<PathBuf>,
    /// `row_idx` of the row
    #[arg(long, value_name = "N", requires = "from", conflicts_with = "scenario")]
    row: Option<usize>,
    /// Change the scenario; x0.5 is a factor
    #[arg(long, value_name = "PATH=VALUE", value_parser = set::parse)]
    set: Vec<Setting>,
    /// Write a trace that Perfetto opens
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the task graph of a step, as Graphviz (.dot) or JSON (.json)
    #[arg(long, value_name = "FILE")]
    dag: Option<PathBuf>,
    /// Check the interval of TPOT: simulate N draws of the models' errors
    #[arg(long, value_name = "N", conflicts_with = "json", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    resimulate: Option<u64>,
    /// Write the use of the network, as JSON (.json) or as a picture of busy links (.svg)
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
    /// Print the row of results as JSON
    #[arg(long)]
    json: bool,
    /// Write to FILE instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Formats of a task graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DagFormat {
    Dot,
    Json,
}

/// Formats of the use of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NetworkFormat {
    Json,
    Svg,
}

impl RunArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let dag =
            self.dag.as_deref().map(|path| dag_format(path).map(|format| (path, format))).transpose()?;
        let network = self.network.as_deref();
        let network = network.map(|path| network_format(path).map(|format| (path, format))).transpose()?;
        for path in [&self.trace, &self.dag, &self.network, &self.out].into_iter().flatten() {
            files::check_writable(path)?;
        }
        let row = self.row()?;
        let pool = RoutingPool::default();
        let (row, best) = simulate_row(&row, &pool);
        if let Some((scenario, found)) = &best {
            if let Some(path) = &self.trace {
                let trace = masim_report::observed::trace_input(scenario, found);
                files::write(path, masim_report::perfetto::perfetto(&trace).as_bytes())?;
            }
            if let Some((path, format)) = dag {
                files::write(path, dag_text(scenario, found, format).as_bytes())?;
            }
            if let Some((path, format)) = network {
                let shown = shown_network(&row, scenario, found, &pool);
                let text = match format {
                    NetworkFormat::Json => shown.json(),
                    NetworkFormat::Svg => shown.links_svg(),
                };
                files::write(path, text.as_bytes())?;
            }
        }
        let mut text = self.text(&row);
        if let (Some(n), Some((scenario, found))) = (self.resimulate, &best) {
            text += &resimulated(n, scenario, found, &row)?;
        }
        match &self.out {
            Some(path) => files::write(path, text.as_bytes())?,
            None => terminal::print(&text)?,
        }
        match row.outcome {
            Err(Failure { fits: true, error }) => {
                Err(CliError::usage(format!("failed to run the scenario: {error}"), None))
            }
            _ => Ok(()),
        }
    }

    /// The scenario to run, as a row of a sweep.
    fn row(&self) -> Result<SweepRow, CliError> {
        match (&self.scenario, &self.from, self.row) {
            (Some(path), _, _) => {
                let source = files::read_text(path)?;
                let tree = set::apply(&source, &self.set)?;
                let scenario = scenario_file_of(&tree, &source)
                    .and_then(|file| Loader::new(&Folders).scenario(&file, &source))
                    .map_err(|error| set::blame(error, &self.set))?;
                Ok(SweepRow::alone(scenario))
            }
            (None, Some(results), Some(row)) => self.row_of(results, row),
            (None, ..) => unreachable!("clap asks for a scenario or for results and a row"),
        }
    }

    /// Row `row` of the report that `results` belongs to.
    fn row_of(&self, results: &Path, row: usize) -> Result<SweepRow, CliError> {
        files::read_text(results)?;
        let source = files::read_text(&results.with_file_name("sweep.yaml"))?;
        let mut sweep = load_sweep(&source, &Folders)?;
        set::apply_to_sweep(&mut sweep, &source, &self.set)?;
        let rows = sweep.expand(&Folders)?.rows;
        let n_rows = rows.len();
        rows.into_iter().nth(row).ok_or_else(|| {
            CliError::usage(
                format!("there is no row {row}; `{}` has rows 0 to {}", source.path, n_rows - 1),
                None,
            )
        })
    }

    fn text(&self, row: &Row) -> String {
        if self.json {
            masim_report::json::json(std::slice::from_ref(row))
        } else {
            format!("{}\n", masim_report::summary::run(row, terminal::dress()))
        }
    }
}

/// The interval of TPOT under `n` draws, simulated and by the account of the critical path.
fn resimulated(n: u64, scenario: &Scenario, found: &Found, row: &Row) -> Result<String, CliError> {
    let figures = row.figures().filter(|figures| !figures.regimes.is_empty());
    let Some((tpot_us, figures)) = figures.and_then(|figures| Some((figures.tpot_us?, figures))) else {
        let message = "`--resimulate` needs the errors of models, and this scenario has none";
        return Err(CliError::usage(message, Some("choose a profile: --set profile=NAME")));
    };
    let listener = progress::listener("draws", false);
    let again = resimulate(scenario, &found.plan, (tpot_us, &figures.regimes), n, &*listener)
        .map_err(|error| CliError::usage(error.to_string(), None))?;
    let ms = |(low, high): (f64, f64)| format!("{:.4} to {:.4} ms", low / 1e3, high / 1e3);
    let (simulated, by_account) = (ms(again.simulated_us), ms(again.by_account_us));
    Ok(format!(
        "\nTPOT under {n} draws of the errors of kernels, 5 % to 95 %\n  simulated      {simulated}\n  by account     {by_account}\n"
    ))
}

/// Use of the network while `found` was measured.
pub(super) fn shown_network<'a>(
    row: &Row,
    scenario: &'a Scenario,
    found: &Found,
    pool: &RoutingPool,
) -> NetworkShown<'a> {
    let split = row.pools().map_or(String::new(), |(a, f)| format!(" {a}:{f}"));
    let (name, cluster) = (&row.name, &*scenario.cluster);
    let (batch, context, load) = (row.batch(), row.context_len(), &scenario.load);
    let what = format!("{name}{split}, batch {batch}, context {context}, load {load}");
    NetworkShown { row_idx: row.row_idx, what, cluster, used: network_of(scenario, found, pool) }
}

fn network_format(path: &Path) -> Result<NetworkFormat, CliError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Ok(NetworkFormat::Json),
        Some("svg") => Ok(NetworkFormat::Svg),
        _ => {
            let message = format!("`--network {}` ends in neither .json nor .svg", path.display());
            Err(CliError::usage(message, Some("the ending says which of the two is written")))
        }
    }
}

fn dag_format(path: &Path) -> Result<DagFormat, CliError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("dot" | "gv") => Ok(DagFormat::Dot),
        Some("json") => Ok(DagFormat::Json),
        _ => {
            let message = format!("`--dag {}` ends in neither .dot nor .json", path.display());
            Err(CliError::usage(message, Some("the ending says which of the two is written")))
        }
    }
}

fn dag_text(scenario: &Scenario, found: &Found, format: DagFormat) -> String {
    let tasks = masim_report::observed::dag_tasks(scenario, &found.run);
    match format {
        DagFormat::Dot => masim_report::dag::dot(&tasks),
        DagFormat::Json => masim_report::dag::json(&tasks),
    }
}
