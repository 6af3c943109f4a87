//! `masim collective`: how long a collective takes alone, by every algorithm and protocol.

use clap::{Args, ValueEnum};
use masim_units::Bytes;
use serde_json::{Value, json};

use super::exit::CliError;
use super::measurements::read_profile;
use super::table::Plain;
use super::{terminal, topology};
use masim_core::fabric::communication_models::CommModel;
use masim_core::inputs::topology::{Cluster, GpuIdx};
use masim_core::judging::survey::{Answer, Question, survey, survey_compressed};
use masim_core::running::collective::{Algorithm, Collective, CollectiveKind, Compressed};
use masim_core::scenario::Launch;
use masim_core::timing::fitted::CardModels;

/// Buffers beyond this are taken for mistakes.
const BYTES_MAX: u64 = 1 << 50;

/// The largest group whose flows are all looked at.
const N_GPUS_MAX: usize = 1024;

pub(super) const AFTER_HELP: &str = "\
GPUs are names and ranges of names; the first is the root of broadcast and reduce. Sizes are those of nccl-tests: the whole buffer.
Without `--profile` wires alone decide and the fastest way is taken; with one, NCCL's way of choosing.

Examples:
  masim collective all_reduce --bytes 64MB --gpus n0.g0..n1.g3 --cluster a100-4x4
  masim collective all_reduce --bytes 1MB --gpus all --cluster a100-2x8 --profile a100-sxm4-80gb-generic
  masim collective broadcast --bytes 1GB --gpus n0.g0,n1.g0,n2.g0 --cluster a100-4x4 --algorithm tree --json";

/// Arguments of `masim collective`.
#[derive(Debug, Args)]
pub(crate) struct CollectiveArgs {
    /// The collective
    #[arg(value_enum)]
    kind: KindArg,
    /// Size of the buffer, such as 64MB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes: Bytes,
    /// Names and ranges, such as n0.g0..n0.g3,n1.g0; or `all`
    #[arg(long, value_name = "GPUS")]
    gpus: String,
    /// A cluster of the folder `topologies`, or the path of a file
    #[arg(long)]
    cluster: String,
    /// A profile: a name in `topologies/profiles/`, or a path
    #[arg(long, value_name = "P")]
    profile: Option<String>,
    /// Show this algorithm alone: `one_ring`, `ring`, `tree`, `direct`, `rail` or `leader`
    #[arg(long)]
    algorithm: Option<String>,
    /// Compare an all-reduce of bf16 with one that sends 8 bits
    #[arg(long, value_enum, value_name = "FORMAT")]
    compressed: Option<FormatArg>,
    /// Launch of kernels by the host
    #[arg(long, value_enum, default_value_t = LaunchArg::Graph)]
    launch: LaunchArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Launch of kernels by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LaunchArg {
    /// Replayed from a captured graph
    Graph,
    /// One by one
    Eager,
}

/// A format on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// 8-bit integers, with a scale for each 256
    Int8,
}

/// Collectives of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum KindArg {
    /// Every GPU gets the sum of all buffers
    AllReduce,
    /// Every GPU gets every shard
    AllGather,
    /// Every GPU gets the sum of one shard
    ReduceScatter,
    /// Every GPU gets the buffer of the first
    Broadcast,
    /// The first GPU gets the sum of all buffers
    Reduce,
    /// Every GPU sends another shard to every GPU
    AllToAll,
}

impl KindArg {
    const fn kind(self) -> CollectiveKind {
        match self {
            Self::AllReduce => CollectiveKind::AllReduce,
            Self::AllGather => CollectiveKind::AllGather,
            Self::ReduceScatter => CollectiveKind::ReduceScatter,
            Self::Broadcast => CollectiveKind::Broadcast,
            Self::Reduce => CollectiveKind::Reduce,
            Self::AllToAll => CollectiveKind::AllToAll,
        }
    }
}

impl CollectiveArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        if !(1..=BYTES_MAX).contains(&self.bytes.0) {
            let message = format!("`--bytes` is {}; expected 1 B to 1 PiB", self.bytes);
            return Err(CliError::usage(message, None));
        }
        let cluster = topology::load(&self.cluster)?;
        let group = group(&cluster, &self.gpus)?;
        let launch = match self.launch {
            LaunchArg::Graph => Launch::Graph,
            LaunchArg::Eager => Launch::Eager,
        };
        let comm = self.comm(&cluster, group[0])?;
        let kind = self.kind.kind();
        let question = Question { cluster: &cluster, comm, kind, group: &group, bytes: self.bytes, launch };
        let answers = survey(&question, self.algorithm.as_deref());
        let shown = answers.map_err(|error| CliError::usage(error.to_string(), None))?;
        if shown.is_empty() {
            return Err(self.no_such_way());
        }
        let compressed = self.compressed.map(|FormatArg::Int8| {
            survey_compressed(&question).ok_or_else(|| {
                let message = format!("`--compressed` goes with all_reduce, not with {}", kind.name());
                CliError::usage(message, None)
            })
        });
        let compressed = compressed.transpose()?;
        if self.json {
            return terminal::print(&self.to_json(&cluster, &group, &shown, compressed.as_ref()));
        }
        let phases = compressed.as_ref().map(|it| format!("\n{}", compressed_table(it))).unwrap_or_default();
        terminal::print(&format!("{}{phases}", table(&shown)))
    }

    fn comm(&self, cluster: &Cluster, first: GpuIdx) -> Result<CommModel, CliError> {
        let Some(name) = &self.profile else { return Ok(CommModel::IDEAL) };
        let profile = read_profile(name)?;
        let card = &cluster.gpu(first).card.name;
        let models =
            CardModels::new(&profile, None).map_err(|error| CliError::usage(error.to_string(), None))?;
        if profile.gpu != *card {
            let message = format!("`{name}` is a profile of card `{}`; the GPUs are `{card}`", profile.gpu);
            return Err(CliError::usage(message, None));
        }
        let comm = CommModel::of_card(card, &models);
        if comm.of(card).is_none() {
            let message = format!("profile `{name}` has no collectives");
            return Err(CliError::usage(message, None));
        }
        Ok(comm)
    }

    fn no_such_way(&self) -> CliError {
        let names = Algorithm::ALL.map(Algorithm::name);
        let (wanted, kind) = (self.algorithm.as_deref().unwrap_or_default(), self.kind.kind().name());
        let message = format!(
            "these GPUs have no way `{wanted}` to do {kind}; where a group has the shape for it, {}",
            names.join(", ")
        );
        CliError::usage(message, None)
    }

    fn to_json(
        &self,
        cluster: &Cluster,
        group: &[GpuIdx],
        answers: &[Answer],
        compressed: Option<&Compressed>,
    ) -> String {
        let ways: Vec<_> = answers.iter().map(way_json).collect();
        let gpus: Vec<_> = group.iter().map(|&gpu| cluster.gpu(gpu).name.as_str()).collect();
        let value = json!({
            "kind": self.kind.kind().name(),
            "bytes": self.bytes.0,
            "cluster": cluster.name,
            "profile": self.profile.as_deref().unwrap_or("none"),
            "gpus": gpus,
            "ways": ways,
            "compressed": compressed.map(compressed_json),
        });
        format!("{value:#}\n")
    }
}

fn way_json(answer: &Answer) -> Value {
    let (link, bytes) = answer.bottleneck.as_ref().map(|(name, bytes)| (name.as_str(), bytes.0)).unzip();
    json!({
        "algorithm": answer.algorithm.name(),
        "protocol": answer.protocol,
        "chosen": answer.is_chosen,
        "time_us": answer.time.as_us(),
        "algbw_gb_per_sec": answer.algbw_gb_per_sec,
        "busbw_gb_per_sec": answer.busbw_gb_per_sec,
        "bottleneck": link,
        "bottleneck_bytes": bytes,
        "provenance": answer.provenance.name(),
    })
}

fn table(answers: &[Answer]) -> String {
    let head = [
        "",
        "algorithm",
        "protocol",
        "time (us)",
        "algbw (GB/s)",
        "busbw (GB/s)",
        "busiest link",
        "its bytes",
        "provenance",
    ];
    let mut table = Plain::new(head);
    for it in answers {
        let (link, bytes) = it.bottleneck.as_ref().map_or_else(
            || ("-".to_owned(), "-".to_owned()),
            |(name, bytes)| (name.clone(), bytes.0.to_string()),
        );
        table.add([
            if it.is_chosen { "*".to_owned() } else { String::new() },
            it.algorithm.name().to_owned(),
            it.protocol.unwrap_or("-").to_owned(),
            format!("{:.3}", it.time.as_us()),
            format!("{:.2}", it.algbw_gb_per_sec),
            format!("{:.2}", it.busbw_gb_per_sec),
            link,
            bytes,
            it.provenance.name().to_owned(),
        ]);
    }
    table.into_text()
}

/// The phases of a compressed all-reduce, and the plain one below.
fn compressed_table(it: &Compressed) -> String {
    let mut table = Plain::new(["int8 all_reduce", "time (us)", "bytes sent by a GPU"]);
    let of_phase = |collective: &Collective| format!("{:.3}", collective.time_alone.as_us());
    table.add(["quantise".to_owned(), format!("{:.3}", it.quantise.as_us()), String::new()]);
    table.add(["exchange shards".to_owned(), of_phase(&it.exchange), String::new()]);
    table.add(["sum and quantise".to_owned(), format!("{:.3}", it.reduce.as_us()), String::new()]);
    table.add(["gather sums".to_owned(), of_phase(&it.gather), String::new()]);
    table.add(["expand".to_owned(), format!("{:.3}", it.expand.as_us()), String::new()]);
    table.add(["all, with launches".to_owned(), format!("{:.3}", it.time.as_us()), it.sent.0.to_string()]);
    let plain = format!("{:.3}", it.plain_time.as_us());
    table.add(["in bf16".to_owned(), plain, it.plain_sent.0.to_string()]);
    format!("{}{:.2} times as fast as in bf16\n", table.into_text(), it.speedup())
}

fn compressed_json(it: &Compressed) -> Value {
    json!({
        "format": "int8",
        "time_us": it.time.as_us(),
        "quantise_us": it.quantise.as_us(),
        "exchange_us": it.exchange.time_alone.as_us(),
        "reduce_us": it.reduce.as_us(),
        "gather_us": it.gather.time_alone.as_us(),
        "expand_us": it.expand.as_us(),
        "sent_bytes": it.sent.0,
        "plain_time_us": it.plain_time.as_us(),
        "plain_sent_bytes": it.plain_sent.0,
        "speedup": it.speedup(),
    })
}

/// A size with or without a blank before its unit; without a unit, bytes.
fn size(text: &str) -> Result<Bytes, String> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let unit = if unit.is_empty() { "B" } else { unit };
    format!("{} {unit}", number.trim_end()).parse().map_err(|error| format!("{error}"))
}

/// The GPUs that `text` names, in its order.
fn group(cluster: &Cluster, text: &str) -> Result<Vec<GpuIdx>, CliError> {
    let named = |name: &str| topology::gpu_named(cluster, name.trim());
    let mut group = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None if part.trim() == "all" => group.extend((0..cluster.n_gpus()).map(GpuIdx)),
            None => group.push(named(part)?),
            Some((first, last)) => {
                let (first, last) = (named(first)?, named(last)?);
                if last < first {
                    let message = format!("`{part}` runs backwards; expected the first GPU first");
                    return Err(CliError::usage(message, None));
                }
                group.extend((first.0..=last.0).map(GpuIdx));
            }
        }
    }
    let mut sorted = group.clone();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("`{}` is named twice; a group has each GPU once", cluster.gpu(twice[0]).name);
        return Err(CliError::usage(message, None));
    }
    if !(2..=N_GPUS_MAX).contains(&group.len()) {
        let message = format!("`{text}` names {} GPU(s); expected 2 to {N_GPUS_MAX}", group.len());
        return Err(CliError::usage(message, None));
    }
    Ok(group)
}
