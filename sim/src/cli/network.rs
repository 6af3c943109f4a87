//! `masim network`: flow sets through the engine, beside what another simulator says.

mod links;

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use masim_units::{Bytes, SimDuration, SimTime};

use super::exit::CliError;
use super::library::Folders;
use super::table::Plain;
use super::{files, terminal, topology};
use masim_core::judging::network::{
    Case, Comparison, Pattern, Sizes, compare, read_cases, seen, simulate_noting,
};
use masim_core::running::replay::{FlowBeyondTime, Notes};

pub(super) const AFTER_HELP: &str = "\
Each line of FILE is a JSON object with `case`, `topology` (`name`, `nodes`, `hosts` and directed `links` with
`bw` in bytes/s and `lat` in s, or the name of a cluster), `flows` (`src`, `dst`, `bytes`, `start_ns`, `route`) and
possibly `expect.finish_s`. Files packed by gzip are read too.

Examples:
  masim network flows.jsonl --json                        one line for each case, with the end of each flow
  masim network flows.jsonl --compare --tolerance 1e-6    exit code 3 if a flow is further away than that
  masim network flows.jsonl --links                       load of links, senders at once, bottleneck links
  masim network --pattern incast --cluster a100-4x4 --bytes \"1 MB\" --links
  masim network --pattern all_to_all --cluster fabric-1024 --bytes \"1 MB\" --sizes by-pair --coalesce \"10 us\"";

/// Arguments of `masim network`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["file", "pattern"])))]
pub(crate) struct NetworkArgs {
    /// The flow set, JSON lines
    file: Option<PathBuf>,
    /// Flows between all GPUs of a cluster, all at once, instead of a file
    #[arg(long, value_name = "PATTERN", requires_all = ["cluster", "bytes"])]
    pattern: Option<PatternArg>,
    /// With --pattern: a cluster of the folder `topologies`, or the path of a file
    #[arg(long, value_name = "CLUSTER", requires = "pattern")]
    cluster: Option<String>,
    /// With --pattern: the size of a flow, such as "1 MB"; of a ring, that of the reduced buffer
    #[arg(long, value_name = "SIZE", requires = "pattern")]
    bytes: Option<Bytes>,
    /// With --pattern: whether sizes differ, from half to one and a half of --bytes
    #[arg(long, value_name = "SIZES", requires = "pattern", default_value = "equal")]
    sizes: SizesArg,
    /// Notice ends of flows only at multiples of TIME, such as "1 us": faster where very many flows differ a little
    #[arg(long, value_name = "TIME", conflicts_with_all = ["compare", "links"])]
    coalesce: Option<SimDuration>,
    /// Print the load of each link, the bytes of each pair, the most senders at once, and the bottleneck links
    #[arg(long, conflicts_with = "compare")]
    links: bool,
    /// Print JSON, one line for each case
    #[arg(long)]
    json: bool,
    /// Print the difference of each case from its expected ends
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

/// Pattern of senders and receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PatternArg {
    /// Every GPU to every other
    #[value(name = "all_to_all")]
    AllToAll,
    /// A ring all-reduce over all GPUs
    Ring,
    /// Every other GPU to the first
    Incast,
    /// Every GPU to one other
    Permutation,
}

impl PatternArg {
    fn meaning(self) -> Pattern {
        match self {
            Self::AllToAll => Pattern::AllToAll,
            Self::Ring => Pattern::Ring,
            Self::Incast => Pattern::Incast,
            Self::Permutation => Pattern::Permutation,
        }
    }
}

/// Sizes of the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SizesArg {
    /// All equal
    Equal,
    /// By receiver
    ByDestination,
    /// By sender and receiver
    ByPair,
}

impl SizesArg {
    fn meaning(self) -> Sizes {
        match self {
            Self::Equal => Sizes::Equal,
            Self::ByDestination => Sizes::ByDestination,
            Self::ByPair => Sizes::ByPair,
        }
    }
}

impl NetworkArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        if !(0.0..1.0).contains(&self.tolerance) {
            let message = format!("`--tolerance` is {}; expected a share from 0 to 1", self.tolerance);
            return Err(CliError::usage(message, None));
        }
        if self.coalesce == Some(SimDuration::ZERO) {
            return Err(CliError::usage("`--coalesce` is 0 s; expected a time above 0", None));
        }
        let (cases, place) = self.cases()?;
        let blame = |case: &Case, error: FlowBeyondTime| {
            let line = if case.line == 0 { String::new() } else { format!(":{}", case.line) };
            CliError::usage(format!("{place}{line}: case `{}`: {error}", case.name), None)
        };
        if self.links {
            for case in &cases {
                let found = seen(case).map_err(|error| blame(case, error))?;
                terminal::print(&if self.json {
                    links::json(case, &found)
                } else {
                    links::text(case, &found)
                })?;
            }
            return Ok(());
        }
        let mut ends = Vec::new();
        for case in &cases {
            let replay =
                simulate_noting(case, Notes::Ends(self.coalesce)).map_err(|error| blame(case, error))?;
            ends.push(replay.ends);
        }
        let cases: Vec<_> = cases.iter().zip(ends.iter().map(Vec::as_slice)).collect();
        if self.compare { self.print_comparison(&cases) } else { self.print_ends(&cases) }
    }

    /// The cases of the file, or the one that was asked for; and where they stand.
    fn cases(&self) -> Result<(Vec<Case>, String), CliError> {
        let (pattern, cluster, bytes) = match (&self.file, self.pattern, &self.cluster, self.bytes) {
            (Some(file), ..) => {
                let source = files::read_text_or_gzip(file)?;
                let cases = read_cases(&source, &Folders)?;
                return Ok((cases, source.path));
            }
            (None, Some(pattern), Some(cluster), Some(bytes)) => (pattern, cluster, bytes),
            (None, ..) => unreachable!("clap asks for a file, or for a pattern with cluster and size"),
        };
        let cluster = topology::load(cluster)?;
        let case = pattern.meaning().case(&cluster, bytes, self.sizes.meaning());
        let case = case.map_err(|error| CliError::usage(error.to_string(), None))?;
        Ok((vec![case], "--pattern".to_owned()))
    }

    fn print_ends(&self, cases: &[(&Case, &[SimTime])]) -> Result<(), CliError> {
        if self.json {
            let line = |(case, ends): &(&Case, &[SimTime])| ends_json(case, ends, self.coalesce);
            return terminal::print(&cases.iter().map(line).collect::<String>());
        }
        if let Some(grain) = self.coalesce {
            terminal::talk(&format!(
                "ends of flows are noticed at multiples of {grain}: each is late by less than that, and what shares links with it is\n\
                 delayed (all-to-all among 64 GPUs, all sizes different: at most 3 times as much)"
            ));
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
fn ends_json(case: &Case, ends: &[SimTime], grain: Option<SimDuration>) -> String {
    let ends: Vec<_> = ends.iter().map(|end| format!("{:.16e}", end.as_secs())).collect();
    let coalesced = grain.map_or(String::new(), |grain| format!("\"coalesced_s\":{:e},", grain.as_secs()));
    format!("{{\"case\":{},{coalesced}\"finish_s\":[{}]}}\n", quoted(&case.name), ends.join(","))
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
