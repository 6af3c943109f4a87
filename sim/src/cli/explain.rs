//! `masim explain`: where a number comes from.

use std::path::PathBuf;

use clap::Args;

use super::exit::CliError;
use super::set::{self, Setting};
use super::table::Plain;
use super::terminal;
use masim_core::judging::explain::{Explanation, JitterJson, ModelJson, explain};
use masim_core::judging::sweep::simulate;
use masim_core::scenario::Scenario;
use masim_core::search::routing_of;
use masim_core::work::cost::cost_of;
use masim_core::work::routing::RoutingPool;
use masim_report::number::sig;

pub(super) const AFTER_HELP: &str = "\
Every kernel of a step in its shape: how often, how long, between which two times with 90 % confidence, and from which model. Then every
model with its parameters and the rows that they were fitted to, how far times stray from run to run, and every input that no source states.

Examples:
  masim explain scenarios/decode.yaml
  masim explain scenarios/decode.yaml --set profile=a100-sxm4-80gb-vllm
  masim explain scenarios/decode.yaml --json | jq '.kernels[0]'";

/// Arguments of `masim explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The scenario
    scenario: PathBuf,
    /// Change the scenario; x0.5 is a factor
    #[arg(long, value_name = "PATH=VALUE", value_parser = set::parse)]
    set: Vec<Setting>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    pub(crate) fn run(&self) -> Result<(), CliError> {
        let scenario = set::scenario(&self.scenario, &self.set)?;
        let found = explained(&scenario)?;
        let text = if self.json {
            serde_json::to_string_pretty(&found).expect("an explanation is JSON") + "\n"
        } else {
            text(&found)
        };
        terminal::print(&text)
    }
}

fn explained(scenario: &Scenario) -> Result<Explanation, CliError> {
    let pool = RoutingPool::default();
    let failed = |error: &dyn std::fmt::Display| CliError::usage(error.to_string(), None);
    let (found, _) = simulate(scenario, &pool).map_err(|error| failed(&error))?;
    let (routing, cost) = (routing_of(scenario, &pool), cost_of(scenario));
    explain(scenario, &found.plan, &routing, &*cost).map_err(|error| failed(&error))
}

fn text(found: &Explanation) -> String {
    let mut kernels =
        Plain::new(["kernel", "shape", "n", "us", "90 % between, us", "of GPU time", "provenance", "model"]);
    for it in &found.kernels {
        let interval = it
            .interval_us
            .map_or_else(|| "-".to_owned(), |(low, high)| format!("{} to {}", sig(low), sig(high)));
        let share = format!("{:.1} %", 100.0 * it.share);
        let model = it.family.clone().unwrap_or_else(|| "-".to_owned());
        let cells = [it.kernel.clone(), it.shape.clone(), it.n.to_string(), sig(it.time_us), interval, share];
        kernels.add(cells.into_iter().chain([it.provenance.clone(), model]).collect::<Vec<_>>());
    }
    let mut wires = Plain::new(["communication", "tasks", "MB", "provenance", "model"]);
    for it in &found.communication {
        let model = it.family.clone().unwrap_or_else(|| "wires alone".to_owned());
        let megabytes = sig(it.bytes as f64 / 1e6);
        wires.add([it.kind.clone(), it.n.to_string(), megabytes, it.provenance.clone(), model]);
    }
    let models: Vec<_> = found.models.iter().map(model).collect();
    let assumed = match found.assumed.as_slice() {
        [] => "Every input has a source.\n".to_owned(),
        keys => format!("Assumed, because no source states them: {}\n", keys.join(", ")),
    };
    let simplified = match found.simplified.as_slice() {
        [] => String::new(),
        keys => format!("Simplified, although a source states another value: {}\n", keys.join(", ")),
    };
    let jitter = jitter(&found.jitter);
    format!(
        "{}\n{}\n{}\n{jitter}{assumed}{simplified}",
        kernels.into_text(),
        wires.into_text(),
        models.concat()
    )
}

/// Text of the variation of times; empty where none varies.
fn jitter(families: &[JitterJson]) -> String {
    if families.is_empty() {
        return String::new();
    }
    let mut table = Plain::new(["strays from run to run", "card", "standard deviation", "because"]);
    for it in families {
        let width = format!("{:.1} %", 100.0 * it.width);
        table.add([it.family.clone(), it.card.clone(), width, it.source.clone()]);
    }
    format!("{}\n", table.into_text())
}

fn model(model: &ModelJson) -> String {
    let error = model
        .held_out_mape
        .map_or_else(String::new, |mape| format!(", {:.1} % off rows kept aside", 100.0 * mape));
    let is_assumed = |name: &str| model.assumed.iter().any(|it| it == name);
    let mark = |name: &str| if is_assumed(name) { " (assumed)" } else { "" };
    let params: Vec<_> =
        model.params.iter().map(|(name, value)| format!("{name} {}{}", sig(*value), mark(name))).collect();
    format!(
        "{} on {}: {}{error}\n  {}\n  {}\n",
        model.family,
        model.card,
        model.model,
        model.source,
        params.join(", ")
    )
}
