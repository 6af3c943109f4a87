//! `masim sweep`: many runs, and the report on them.

mod subject;

use std::collections::BTreeMap;
use std::env;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use clap::{Args, value_parser};

use super::exit::CliError;
use super::folder::{Folder, MetaJson};
use super::library::Folders;
use super::set::{self, Setting};
use super::{clock, files, progress, run, terminal, version};
use masim_core::judging::sweep::{Expanded, Row, Sweep, load_sweep, run_sweep, simulate_row};
use masim_core::work::routing::RoutingPool;
use masim_report::network::NetworkShown;

pub(super) const AFTER_HELP: &str = "\
The report goes to reports/<name of the sweep>, or to --out: report.html, PNG charts, results.csv, results.json,
sweep.yaml and meta.json. A report that is there is replaced when the sweep is done; a folder with other files in it
never is.

Examples:
  masim sweep scenarios/ratios.yaml
  masim sweep scenarios/ratios.yaml --out /tmp/narrow --set cluster.scale_out.bandwidth=x0.5
  masim sweep scenarios/ratios.yaml --json --quiet | jq '.rows[] | [.name, .tpot_us]'";

/// Arguments of `masim sweep`.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// The sweep
    #[arg(value_name = "SWEEP.yaml")]
    file: PathBuf,
    /// Folder of the report [default: reports/NAME, after the sweep]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads to run on; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Change the base scenario; x0.5 is a factor
    #[arg(long, value_name = "PATH=VALUE", value_parser = set::parse)]
    set: Vec<Setting>,
    /// No progress bar and no talk, only warnings and errors
    #[arg(long)]
    quiet: bool,
}

impl SweepArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let began = Instant::now();
        let source = files::read_text(&self.file)?;
        let mut sweep = load_sweep(&source, &Folders)?;
        set::apply_to_sweep(&mut sweep, &source, &self.set)?;
        let expanded = sweep.expand(&Folders)?;
        let title = title(&self.file);
        let path = self.out.clone().unwrap_or_else(|| Path::new("reports").join(&title));
        let folder = Folder::prepare(&path)?;
        let rows = self.simulate(&expanded);
        let contents = contents(&title, &sweep, &expanded, &rows)?;
        folder.replace(contents, meta(&rows, began))?;
        let text = if self.json {
            masim_report::json::json(&rows)
        } else {
            format!("{}\n", masim_report::summary::sweep(&rows, terminal::dress()))
        };
        terminal::print(&text)?;
        if !self.quiet {
            terminal::talk(&format!("report: {}", path.join("report.html").display()));
        }
        let n_failed = rows.iter().filter(|row| row.failure().is_some_and(|failure| failure.fits)).count();
        if n_failed == 0 { Ok(()) } else { Err(CliError::RowsFailed { n_failed, n_rows: rows.len() }) }
    }

    fn simulate(&self, expanded: &Expanded) -> Vec<Row> {
        let all = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let n_threads = self.threads.map_or_else(all, usize::from);
        if !self.quiet {
            let (n_points, n_rows) = (expanded.n_points, expanded.rows.len());
            terminal::talk(&format!("{n_points} points, {n_rows} rows, {n_threads} threads"));
        }
        let listener = progress::listener("simulating", self.quiet);
        run_sweep(&expanded.rows, n_threads, listener.as_ref())
    }
}

/// The name of the sweep: that of its file without the ending.
fn title(file: &Path) -> String {
    file.file_stem().map_or_else(|| "sweep".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Every file of the report but `meta.json`.
fn contents(
    title: &str,
    sweep: &Sweep,
    expanded: &Expanded,
    rows: &[Row],
) -> Result<BTreeMap<String, Vec<u8>>, CliError> {
    let memory_gib = subject::memory_gib(&expanded.rows);
    let assumptions = subject::assumptions(&expanded.rows);
    // Without --out and --threads, on which nothing depends, so that the page is the same wherever it is made.
    let command = format!("masim sweep {title}.yaml");
    let network = shown_network(expanded, rows);
    let subject = masim_report::Subject {
        title,
        command: &command,
        rows,
        memory_gib: &memory_gib,
        assumptions: &assumptions,
        network: network.as_ref(),
    };
    let artifacts = masim_report::folder(&subject)
        .map_err(|error| CliError::usage(format!("failed to draw the report: {error}"), None))?;
    let mut contents: BTreeMap<_, _> =
        artifacts.into_iter().map(|artifact| (artifact.name, artifact.bytes)).collect();
    contents.insert("sweep.yaml".to_owned(), sweep.resolved_yaml().into_bytes());
    Ok(contents)
}

/// The network of the row that shows most; it is run once more for that.
fn shown_network<'a>(expanded: &'a Expanded, rows: &[Row]) -> Option<NetworkShown<'a>> {
    let row = masim_report::network_row(rows)?;
    let place = expanded.rows.iter().find(|place| place.row_idx == row.row_idx)?;
    let pool = RoutingPool::default();
    let (_, found) = simulate_row(place, &pool);
    let (scenario, found) = found?;
    Some(run::shown_network(row, scenario, &found, &pool))
}

fn meta(rows: &[Row], began: Instant) -> MetaJson {
    MetaJson {
        tool: "masim".to_owned(),
        version: version::line(),
        command: env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        date: clock::now(),
        wall_s: began.elapsed().as_secs_f64(),
        n_rows: rows.len(),
        files: Vec::new(),
    }
}
