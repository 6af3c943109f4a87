//! `masim predict`: how long the work in a list takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value};

use super::exit::CliError;
use super::measurements::{card_of, models_of, predictor_of, read_profile};
use super::{files, terminal};
use masim_core::inputs::measurement::{Family, Machine, Site};
use masim_core::inputs::profile::ProfileFile;
use masim_core::inputs::text::did_you_mean;
use masim_core::inputs::topology::GpuCard;
use masim_core::judging::predict::{ListFormat, answer, predict, read_list};
use masim_core::timing::fitted::CardModels;

pub(super) const AFTER_HELP: &str = "\
FILE holds JSON lines (.jsonl, .json) or CSV with the columns of a family: gemm (dtype, m, n, k), attention_prefill (dtype, batch,
q_len, kv_len, n_heads, n_kv_heads, head_dim), attention_decode (without q_len), moe (dtype, tokens, hidden, expert_hidden, top_k,
n_experts, tp, ep, distribution), elementwise (dtype, kind, tokens, width), collective (kind, bytes, n_gpus), p2p (scope,
bytes_per_pair, n_pairs). A column `family` says which, or `--family` for all lines. Out comes each line with time_us, its 90 %
interval time_p05_us to time_p95_us, and its provenance; a time_us that was there is called measured_us.

Examples:
  masim predict ops.jsonl --profile a100-sxm4-80gb-vllm
  masim predict gemm.csv --family gemm --profile a100-sxm4-80gb-generic --json
  masim predict moe.csv --family moe --profile a100-sxm4-80gb-predictor --predictor
  masim predict ops.csv --gpu h100-sxm                  a card that has no profile: the same physics, its own figures";

/// Arguments of `masim predict`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("models").required(true).args(["profile", "gpu"])))]
pub(crate) struct PredictArgs {
    /// The list of work
    file: PathBuf,
    /// A profile: a name in `topologies/profiles/`, or a path
    #[arg(long, value_name = "P")]
    profile: Option<String>,
    /// Ask the profile's time predictor, a neural network, about attention and experts
    #[arg(long, requires = "profile")]
    predictor: bool,
    /// A card in `topologies/gpus/`, without a profile
    #[arg(long, value_name = "CARD")]
    gpu: Option<String>,
    /// The family of lines that do not name theirs
    #[arg(long)]
    family: Option<String>,
    /// Print JSON, one line for each
    #[arg(long)]
    json: bool,
}

impl PredictArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let family = self.family.as_deref().map(family_of).transpose()?;
        let (card, models) = self.models()?;
        let site = Site { machine: Machine::assumed(&card.name), card: Some(card) };
        let format = format_of(&self.file);
        let asked = read_list(&files::read_text(&self.file)?, format, family, &site)?;
        let predictions = predict(&asked, &models, &site);
        let n_missing = predictions.iter().filter(|it| it.is_none()).count();
        if n_missing > 0 {
            terminal::warn(&format!("{n_missing} lines are not predicted: no model, or not on this card"));
        }
        let lines: Vec<_> = asked.iter().zip(predictions).map(|(it, found)| answer(it, found)).collect();
        terminal::print(&if self.json { json_lines(&lines) } else { csv_lines(&lines) })
    }

    fn models_in(&self, profile: &ProfileFile) -> Result<CardModels, CliError> {
        if self.predictor { predictor_of(profile) } else { models_of(profile) }
    }

    fn models(&self) -> Result<(Arc<GpuCard>, CardModels), CliError> {
        match (&self.profile, &self.gpu) {
            (Some(profile), _) => {
                let profile = read_profile(profile)?;
                Ok((card_of(&profile.gpu)?, self.models_in(&profile)?))
            }
            (None, gpu) => {
                let gpu = gpu.as_deref().expect("clap asks for a profile or a card");
                Ok((card_of(gpu)?, CardModels::physical()))
            }
        }
    }
}

fn family_of(name: &str) -> Result<Family, CliError> {
    Family::of_name(name).ok_or_else(|| {
        let names = Family::ALL.map(Family::name);
        let hint = did_you_mean(name, names.into_iter());
        CliError::usage(
            format!("found family `{name}`; expected one of {}", names.join(", ")),
            hint.as_deref(),
        )
    })
}

fn format_of(path: &Path) -> ListFormat {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => ListFormat::Csv,
        _ => ListFormat::JsonLines,
    }
}

fn json_lines(lines: &[Map<String, Value>]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| Value::Object(line.clone()).to_string()).collect();
    lines.join("\n") + "\n"
}

/// All columns that any line has, in order of appearance.
fn csv_lines(lines: &[Map<String, Value>]) -> String {
    let mut columns = Vec::<&str>::new();
    for name in lines.iter().flat_map(Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(vec![]);
    writer.write_record(&columns).expect("a vector takes every record");
    for line in lines {
        let cells = columns.iter().map(|column| line.get(*column).map_or_else(String::new, cell));
        writer.write_record(cells).expect("a vector takes every record");
    }
    String::from_utf8(writer.into_inner().expect("a vector takes every flush")).expect("made from strings")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
