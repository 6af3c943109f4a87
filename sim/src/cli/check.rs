//! `masim check`: what is wrong with files, without running anything.

use std::path::PathBuf;

use clap::Args;

use super::exit::CliError;
use super::library::Folders;
use super::{files, terminal};
use masim_core::inputs::text::{InputError, Problem, SourceText, Tree, parse_yaml};
use masim_core::inputs::topology::{GpuFile, Place, card_from_file, read_cluster};
use masim_core::judging::sweep::load_sweep;
use masim_core::scenario::{Loader, read_model, resolved_yaml, scenario_file_of};

pub(super) const AFTER_HELP: &str = "\
Standard output is YAML: each scenario with every default filled in, and a comment for every other file.

Examples:
  masim check scenarios/decode.yaml               the meaning of a scenario, with all defaults
  masim check topologies/*.yaml scenarios/*.yaml  exit code 1 if anything is wrong anywhere";

/// Arguments of `masim check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Scenarios, sweeps, clusters, GPU cards or model cards
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Kinds of files, told by the keys that only such files have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sweep,
    Scenario,
    Cluster,
    Gpu,
    Model,
}

/// A key that a file of each kind must have, and no other has at its top.
const MARKS: [(&str, Kind); 6] = [
    ("base", Kind::Sweep),
    ("workload", Kind::Scenario),
    ("n_nodes", Kind::Cluster),
    ("nodes", Kind::Cluster),
    ("peak", Kind::Gpu),
    ("hidden", Kind::Model),
];

impl CheckArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let mut broken = Vec::new();
        for path in &self.files {
            let source = files::read_text(path)?;
            match check(&source) {
                Ok(text) => terminal::print(&text)?,
                Err(error) => broken.push(error),
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(CliError::Input(broken)) }
    }
}

/// Meaning of the file, as YAML.
fn check(source: &SourceText) -> Result<String, InputError> {
    let tree = Tree::parse(source)?;
    let path = &source.path;
    Ok(match kind_of(&tree, source)? {
        Kind::Sweep => {
            let expanded = load_sweep(source, &Folders)?.expand(&Folders)?;
            let (n_points, n_rows) = (expanded.n_points, expanded.rows.len());
            format!("# {path}: a sweep, {n_points} points, {n_rows} rows\n")
        }
        Kind::Scenario => {
            let file = scenario_file_of(&tree, source)?;
            Loader::new(&Folders).scenario(&file, source)?;
            format!("---\n# {path}: a scenario\n{}", resolved_yaml(&file))
        }
        Kind::Cluster => {
            let cluster = read_cluster(source, &Folders)?;
            format!("# {path}: a cluster, {} GPUs, {} links\n", cluster.n_gpus(), cluster.links.len())
        }
        Kind::Gpu => {
            let card = card_from_file(&parse_yaml::<GpuFile>(source)?, Place::whole(source))?;
            format!("# {path}: a GPU card, {}\n", card.name)
        }
        Kind::Model => format!("# {path}: a model card, {} layers\n", read_model(source)?.n_layers),
    })
}

fn kind_of(tree: &Tree, source: &SourceText) -> Result<Kind, InputError> {
    let kind = MARKS.iter().find(|(key, _)| tree.get(key).is_some()).map(|&(_, kind)| kind);
    kind.ok_or_else(|| {
        let message = "this is no file of masim: expected `workload` (a scenario), `base` (a sweep), `n_nodes` \
                       or `nodes` (a cluster), `peak` (a GPU card) or `hidden` (a model card)";
        InputError::new(source, vec![Problem::new("", message)])
    })
}
