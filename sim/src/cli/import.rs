//! `masim import`: from what other tools write to a measurement set.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::exit::CliError;
use super::{files, stop, terminal};
use masim_core::inputs::import::{Description, Imported, aiconfigurator, nccl_tests, set_files, vidur};
use masim_core::inputs::measurement::{Family, Machine, Operation};
use masim_core::inputs::text::{InputError, SourceText};

pub(super) const AFTER_HELP: &str = "\
A measurement set is a folder with `set.yaml` and a CSV for each family; `masim calibrate` and `masim validate` read it.
What a tool does not say is asked for by flags, and rows that no family holds are left out and counted.

Examples:
  masim import nccl-tests logs/*.log -o sets/lab-nccl --gpu a100-sxm4-80gb --source 'our lab' --licence CC0-1.0
  masim import vidur data/profiling/compute/a100 -o sets/vidur --gpu a100-sxm4-80gb --stack 'Vidur profiler, fp16' \\
      --source microsoft/vidur --licence MIT
  masim import aiconfigurator moe_perf.txt gemm_perf.txt -o sets/aic --gpu h100-sxm --source ai-dynamo/aiconfigurator \\
      --licence Apache-2.0";

/// Arguments of `masim import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Logs of nccl-tests, such as those of `all_reduce_perf`
    NcclTests {
        /// Logs, as the programs print them
        #[arg(required = true, value_name = "LOG")]
        files: Vec<PathBuf>,
        /// Operation, for logs that do not name the program
        #[arg(long, value_enum)]
        kind: Option<Kind>,
        /// Take the times within one buffer
        #[arg(long)]
        in_place: bool,
        #[command(flatten)]
        set: SetArgs,
    },
    /// Tables of Vidur's profiler: products, attention, all-reduce, and sends
    Vidur {
        /// Tables, or folders with tables
        #[arg(required = true, value_name = "CSV")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        set: SetArgs,
    },
    /// Tables of aiconfigurator as text: gemm, context and generation attention, moe, nccl
    Aiconfigurator {
        /// Tables (`*_perf.txt`); Parquet is turned into text first, see docs/import.md
        #[arg(required = true, value_name = "TABLE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        set: SetArgs,
    },
}

/// Description of a set.
#[derive(Debug, Args)]
struct SetArgs {
    /// The folder to write
    #[arg(short, long, value_name = "SET")]
    output: PathBuf,
    /// The card that was measured, such as a100-sxm4-80gb
    #[arg(long, value_name = "CARD")]
    gpu: String,
    /// The software that ran, where the files do not say
    #[arg(long)]
    stack: Option<String>,
    /// Author of the measurements
    #[arg(long)]
    source: String,
    /// Licence of the measurements
    #[arg(long)]
    licence: String,
    /// GPUs of a node
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    n_gpus_per_node: Option<u32>,
    /// Replace a set that is there
    #[arg(long)]
    overwrite: bool,
}

/// Operations of a group of GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    AllReduce,
    AllGather,
    ReduceScatter,
    Broadcast,
    AllToAll,
}

impl Kind {
    fn operation(self) -> Operation {
        match self {
            Self::AllReduce => Operation::AllReduce,
            Self::AllGather => Operation::AllGather,
            Self::ReduceScatter => Operation::ReduceScatter,
            Self::Broadcast => Operation::Broadcast,
            Self::AllToAll => Operation::AllToAll,
        }
    }
}

impl ImportArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        match &self.tool {
            Tool::NcclTests { files, kind, in_place, set } => {
                let buffers =
                    if *in_place { nccl_tests::Buffers::InPlace } else { nccl_tests::Buffers::OutOfPlace };
                let options = nccl_tests::Options { operation: kind.map(Kind::operation), buffers };
                set.import(files, |source, machine| nccl_tests::import(source, options, machine))
            }
            Tool::Vidur { files, set } => set.import(&tables_in(files)?, vidur::import),
            Tool::Aiconfigurator { files, set } => set.import(files, aiconfigurator::import),
        }
    }
}

impl SetArgs {
    fn import(
        &self,
        files: &[PathBuf],
        read: impl Fn(&SourceText, &Machine) -> Result<Imported, InputError>,
    ) -> Result<(), CliError> {
        self.check_place()?;
        let assumed = Machine::assumed(&self.gpu);
        let n_gpus_per_node = self.n_gpus_per_node.unwrap_or(assumed.n_gpus_per_node);
        let machine = Machine { n_gpus_per_node, ..assumed };
        let (mut all, mut problems) = (Imported::default(), Vec::new());
        for path in files {
            match read(&text_of(path)?, &machine) {
                Ok(imported) => all.extend(imported),
                Err(error) => problems.push(error),
            }
        }
        if !problems.is_empty() {
            return Err(CliError::Input(problems));
        }
        for (reason, n) in &all.left_out {
            terminal::warn(&format!("{n} left out: {reason}"));
        }
        if all.rows.is_empty() {
            return Err(CliError::usage("no row is left for a set", None));
        }
        let description = self.description(all.stack)?;
        let contents = set_files(&description, &all.rows);
        stop::uninterrupted(|| files::swap_folder(&self.output, &contents))
            .map_err(|error| CliError::io("write the set", &self.output, &error))?;
        terminal::talk(&format!("wrote {}: {} rows", self.output.display(), all.rows.len()));
        Ok(())
    }

    fn description(&self, found: Option<String>) -> Result<Description, CliError> {
        let stack = self.stack.clone().or(found).ok_or_else(|| {
            CliError::usage("the files do not say which software ran", Some("say it: --stack 'NCCL 2.27.3'"))
        })?;
        Ok(Description {
            gpu: self.gpu.clone(),
            stack,
            source: self.source.clone(),
            licence: self.licence.clone(),
            n_gpus_per_node: self.n_gpus_per_node,
        })
    }

    /// Nothing is replaced unasked, and never anything but a set.
    fn check_place(&self) -> Result<(), CliError> {
        let path = self.output.display();
        if self.output.file_name().is_none() {
            return Err(CliError::usage(format!("`{path}` is no name of a folder"), None));
        }
        let is_empty = fs::read_dir(&self.output).is_ok_and(|mut entries| entries.next().is_none());
        if !self.output.exists() || is_empty {
            return Ok(());
        }
        if !self.overwrite {
            let hint = "name another folder, or say --overwrite";
            return Err(CliError::usage(format!("`{path}` is there already"), Some(hint)));
        }
        let entries =
            fs::read_dir(&self.output).map_err(|error| CliError::io("read", &self.output, &error))?;
        let ours: Vec<_> = Family::ALL.iter().map(|family| format!("{}.csv", family.name())).collect();
        let is_ours = |name: &str| name == "set.yaml" || ours.iter().any(|own| own == name);
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        match names.into_iter().find(|name| !is_ours(name)) {
            None => Ok(()),
            Some(foreign) => {
                let message =
                    format!("`{path}` holds `{foreign}`, which no import writes and which would be lost");
                Err(CliError::usage(message, None))
            }
        }
    }
}

fn text_of(path: &Path) -> Result<SourceText, CliError> {
    if path.extension().is_some_and(|ending| ending == "parquet") {
        let hint = "python3 -c 'import sys, pyarrow.parquet as p, pyarrow.csv as c; c.write_csv(p.read_table(sys.argv[1]), sys.argv[2])' IN.parquet OUT.txt";
        return Err(CliError::usage(format!("`{}` is Parquet; expected text", path.display()), Some(hint)));
    }
    files::read_text_or_gzip(path)
}

/// The files, and the CSVs below folders in order of their names.
fn tables_in(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let n_before = found.len();
            collect(path, &mut found).map_err(|error| CliError::io("read", path, &error))?;
            if found.len() == n_before {
                return Err(CliError::usage(format!("`{}` holds no CSV", path.display()), None));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        // Links may lead back up.
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            match collect(&path, found) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                other => other?,
            }
        } else if path.extension().is_some_and(|ending| ending == "csv") {
            found.push(path);
        }
    }
    Ok(())
}
