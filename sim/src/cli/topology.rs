//! `masim topology show`: what a cluster is, and how data gets from one GPU to another.

mod links;
mod route;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit::CliError;
use super::library::Folders;
use super::table::Plain;
use super::{files, terminal};
use masim_core::inputs::text::{InputError, Library, RefKind, did_you_mean};
use masim_core::inputs::topology::{Cluster, GpuIdx, read_cluster};
use masim_report::topology_picture::topology_svg;

const AFTER_HELP: &str = "\
Examples:
  masim topology show a100-4x4
  masim topology show topologies/mine.yaml --route n0.g0 n1.g2
  masim topology show a100-4x4 --svg cluster.svg
  masim topology show a100-4x4 --json | jq '.links | length'";

/// Arguments of `masim topology`.
#[derive(Debug, Args)]
pub(crate) struct TopologyArgs {
    #[command(subcommand)]
    command: TopologyCommand,
}

#[derive(Debug, Subcommand)]
enum TopologyCommand {
    /// Show the GPUs and links of a cluster, or the route between two GPUs
    #[command(after_help = AFTER_HELP)]
    Show(ShowArgs),
}

/// Arguments of `masim topology show`.
#[derive(Debug, Args)]
struct ShowArgs {
    /// A cluster of the folder `topologies`, or the path of a file
    cluster: String,
    /// Show the route from GPU A to GPU B, such as n0.g0 n1.g2
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    route: Option<Vec<String>>,
    /// Write a picture to FILE
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl TopologyArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        match &self.command {
            TopologyCommand::Show(show) => show.run(),
        }
    }
}

impl ShowArgs {
    fn run(&self) -> Result<(), CliError> {
        let cluster = load(&self.cluster)?;
        let ends = self.route.as_deref().map(|names| Self::ends(&cluster, names)).transpose()?;
        if let Some(path) = &self.svg {
            files::write(path, topology_svg(&cluster).as_bytes())?;
        }
        let text = match (self.json, ends) {
            (true, ends) => format!("{}\n", to_json(&cluster, ends)),
            (false, Some((src, dst))) => route::table(&cluster, src, dst),
            (false, None) => format!("{}\n{}", head(&cluster), links::table(&cluster)),
        };
        terminal::print(&text)
    }

    fn ends(cluster: &Cluster, names: &[String]) -> Result<(GpuIdx, GpuIdx), CliError> {
        let [src, dst] = names else { unreachable!("clap takes two values") };
        let (src, dst) = (gpu_named(cluster, src)?, gpu_named(cluster, dst)?);
        if src == dst {
            return Err(CliError::usage(format!("`--route` names `{}` twice", names[0]), None));
        }
        Ok((src, dst))
    }
}

/// The GPU called `name`.
pub(super) fn gpu_named(cluster: &Cluster, name: &str) -> Result<GpuIdx, CliError> {
    cluster.gpu_named(name).ok_or_else(|| {
        let known = cluster.gpus.iter().map(|gpu| gpu.name.as_str());
        let hint = did_you_mean(name, known);
        let (first, last) = (&cluster.gpus[0].name, &cluster.gpus[cluster.gpus.len() - 1].name);
        let message = format!("`{name}` is not a GPU of `{}`; expected `{first}` to `{last}`", cluster.name);
        CliError::usage(message, hint.as_deref())
    })
}

/// A cluster by its name, or by the path of its file.
pub(super) fn load(reference: &str) -> Result<Arc<Cluster>, CliError> {
    let is_path =
        reference.contains('/') || Path::new(reference).extension().is_some_and(|end| end == "yaml");
    let source = if is_path {
        files::read_text(Path::new(reference))?
    } else {
        Folders.load(RefKind::Cluster, reference, "").map_err(|message| CliError::usage(message, None))?
    };
    read_cluster(&source, &Folders).map_err(|error: InputError| error.into())
}

/// Counts of the parts of the cluster.
fn head(cluster: &Cluster) -> String {
    let mut table = Plain::new(["GPU", "name", "node", "card", "rail"]);
    for (idx, gpu) in (0..).zip(&cluster.gpus) {
        table.add([
            idx.to_string(),
            gpu.name.clone(),
            gpu.node_idx.to_string(),
            gpu.card.name.clone(),
            cluster.rail_idx(GpuIdx(idx)).to_string(),
        ]);
    }
    let (n_gpus, n_nodes, n_links) = (cluster.n_gpus(), cluster.n_nodes(), cluster.links.len());
    let mut text = format!("{}: {n_gpus} GPUs in {n_nodes} nodes, {n_links} directed links\n", cluster.name);
    if !cluster.assumed.is_empty() {
        text.extend(["assumed, because no source states it: ", &cluster.assumed.join(", "), "\n"]);
    }
    format!("{text}\n{}", table.into_text())
}

fn to_json(cluster: &Cluster, ends: Option<(GpuIdx, GpuIdx)>) -> Value {
    let gpus: Vec<_> = (0..)
        .zip(&cluster.gpus)
        .map(|(idx, gpu)| {
            json!({ "gpu_idx": idx, "gpu": gpu.name, "node_idx": gpu.node_idx, "card": gpu.card.name,
                    "rail_idx": cluster.rail_idx(GpuIdx(idx)) })
        })
        .collect();
    let links: Vec<_> = (0..)
        .zip(&cluster.links)
        .map(|(idx, link): (u32, _)| {
            json!({ "link_idx": idx, "link": link.name, "bytes_per_sec": link.bandwidth.bytes_per_sec(),
                    "latency_us": link.latency.as_us(), "source": link.source })
        })
        .collect();
    let route = ends.map(|(src, dst)| route::to_json(cluster, src, dst));
    json!({ "schema": 1, "cluster": cluster.name, "assumed": cluster.assumed, "gpus": gpus, "links": links,
            "route": route })
}
