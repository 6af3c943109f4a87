//! What the simulator says of one row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::stack::keys_of;
use crate::inputs::measurement::{Measured, MeasurementSet, ScaleUp, WholeRow};
use crate::inputs::text::{Library, RefKind, SourceText};
use crate::judging::metrics::Metrics;
use crate::judging::metrics::energy::base_w;
use crate::judging::sweep::simulate_plan;
use crate::scenario::{Loader, Scenario, read_scenario};
use crate::search::candidates;
use crate::work::routing::RoutingPool;

/// Tokens of a prompt where a set does not say: the mean of `ShareGPT`.
///
/// # Source
///
/// Kwon et al., "Efficient Memory Management for Large Language Model Serving", SOSP 2023, section 6.1 and figure 11: 161.31 tokens in, 337.99 out.
const PROMPT_LEN_ASSUMED: u32 = 161;

/// Tokens of prompts that enter the model together: vLLM's default budget of a step.
const PROMPT_TOKENS_AT_ONCE: u32 = 2048;

/// Runs the rows of one set; equal ones once.
pub(super) struct Predictor<'a> {
    set: &'a MeasurementSet,
    profile: Option<String>,
    library: &'a dyn Library,
    loader: Loader<'a>,
    pool: RoutingPool,
    known: BTreeMap<String, Result<Ran, String>>,
}

/// A scenario and what became of it.
#[derive(Clone)]
struct Ran {
    metrics: Metrics,
    /// What all GPUs draw without work.
    base_w: f64,
}

impl Ran {
    /// Joules of a step beyond those that would have been drawn anyway.
    fn active_j(&self) -> f64 {
        self.metrics.energy_j - self.base_w * self.metrics.period_us * 1e-6
    }
}

impl<'a> Predictor<'a> {
    pub(super) fn new(set: &'a MeasurementSet, profile: Option<String>, library: &'a dyn Library) -> Self {
        let (loader, pool) = (Loader::new(library), RoutingPool::default());
        Self { set, profile, library, loader, pool, known: BTreeMap::new() }
    }

    /// Predicted over measured, for each figure that the row has: prompts, then tokens; or joules per token.
    pub(super) fn ratios(&mut self, row: &WholeRow) -> Result<Vec<f64>, String> {
        match row.measured {
            Measured::Inference { batch, prompt_len, output_len, prompt_us, token_us } => {
                let prompts = format!("phase: prefill, batch: {batch}, prompt_len: {prompt_len}");
                let context = prompt_len + output_len / 2;
                let tokens = format!("phase: decode, batch: {batch}, context_len: {context}");
                let prompt = self.run(row, &prompts)?.metrics.period_us;
                let token = self.run(row, &tokens)?.metrics.period_us;
                let both = [(prompt, prompt_us), (token, token_us)];
                Ok(both.into_iter().filter_map(|(found, measured)| Some(found / measured?)).collect())
            }
            Measured::Energy { mean_batch, mean_output_len, tokens_per_sec, energy_per_request_j } => {
                let predicted = self.joules_per_token(row, mean_batch, mean_output_len, tokens_per_sec)?;
                Ok(vec![predicted / (energy_per_request_j / mean_output_len)])
            }
        }
    }

    /// Joules of a token at the pace that was measured, the share of its prompt included.
    fn joules_per_token(
        &mut self,
        row: &WholeRow,
        mean_batch: f64,
        mean_output_len: f64,
        tokens_per_sec: f64,
    ) -> Result<f64, String> {
        let (batch, output_len) = (whole(mean_batch), whole(mean_output_len));
        let context = PROMPT_LEN_ASSUMED + output_len / 2;
        let n_prompts = batch.min(PROMPT_TOKENS_AT_ONCE / PROMPT_LEN_ASSUMED);
        let tokens = format!("phase: decode, batch: {batch}, context_len: {context}");
        let prompts = format!("phase: prefill, batch: {n_prompts}, prompt_len: {PROMPT_LEN_ASSUMED}");
        let (tokens, prompts) = (self.run(row, &tokens)?, self.run(row, &prompts)?);
        // The prompt gives the first token of a request, steps the others.
        let of_steps = tokens.active_j() / f64::from(batch) * (mean_output_len - 1.0);
        let of_prompt = prompts.active_j() / f64::from(n_prompts);
        Ok((of_steps + of_prompt) / mean_output_len + tokens.base_w / tokens_per_sec)
    }

    /// The row's model and GPUs at `workload`, whether or not our account of the memory lets it fit: it ran.
    fn run(&mut self, row: &WholeRow, workload: &str) -> Result<Ran, String> {
        let key = format!("{} {} {} {workload}", row.model, row.tp, row.pp);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let ran = self.simulate(row, workload);
        self.known.insert(key, ran.clone());
        ran
    }

    fn simulate(&mut self, row: &WholeRow, workload: &str) -> Result<Ran, String> {
        let scenario = self.scenario(row, workload)?;
        let plan =
            candidates(&scenario).into_iter().next().ok_or("it has fewer sequences than pipeline stages")?;
        let metrics = simulate_plan(&scenario, &plan, &self.pool).map_err(|error| error.to_string())?;
        let gpus = &scenario.cluster.gpus;
        let base_w = gpus.iter().map(|gpu| base_w(&gpu.card)).sum();
        Ok(Ran { metrics, base_w })
    }

    fn scenario(&mut self, row: &WholeRow, workload: &str) -> Result<Scenario, String> {
        let WholeRow { model, tp, pp, .. } = row;
        if !self.library.has(RefKind::Model, model, "") {
            return Err("no model card has this name".to_owned());
        }
        let by_card = |name: &String| format!("{{ {}: {} }}", quoted(&self.set.gpu), quoted(name));
        let profile = self.profile.as_ref().map_or_else(|| "none".to_owned(), by_card);
        let cluster = self.cluster(tp * pp);
        let model = quoted(model);
        let stack = keys_of(&self.set.stack, workload.contains("decode"));
        let text = format!(
            "cluster: {cluster}\nprofile: {profile}\nmodel: {model}\nworkload: {{ {workload} }}\n\
             strategy: {{ kind: tp_pp, tp: {tp}, pp: {pp}, dp: 1, n_in_flight: {pp} }}\n{stack}"
        );
        // References are looked up from the current folder.
        let source = SourceText { path: format!("{}.yaml", self.set.name), text };
        let found = read_scenario(&source).and_then(|file| self.loader.scenario(&file, &source));
        found.map_err(|error| {
            let first = error.problems.first().map(|problem| problem.message.clone());
            first.unwrap_or_else(|| error.to_string())
        })
    }

    /// The GPUs of the row, on as few nodes as hold them.
    fn cluster(&self, n_gpus: u32) -> String {
        const SOURCE: &str = "source: \"set.yaml; latency assumed\"";
        let (gpu, machine) = (quoted(&self.set.gpu), &self.set.site.machine);
        let n_nodes = n_gpus.div_ceil(machine.n_gpus_per_node);
        let per_node = n_gpus.div_ceil(n_nodes);
        let mut text =
            format!("{{ name: measured, gpu: {gpu}, n_nodes: {n_nodes}, n_gpus_per_node: {per_node}");
        if per_node > 1 {
            let (kind, rate) = match machine.scale_up {
                ScaleUp::Switch => ("switch", machine.nvlink),
                ScaleUp::Mesh => ("mesh", machine.nvlink / 3.0),
            };
            let rate = megabytes(rate);
            let written = write!(
                text,
                ", scale_up: {{ kind: {kind}, bandwidth: {rate} MB/s, latency: 0.5 us, {SOURCE} }}"
            );
            written.expect("text grows without error");
        }
        if n_nodes > 1 {
            let nic = megabytes(machine.nic);
            let n_nics = machine.n_nics_per_node.min(per_node);
            let written = write!(
                text,
                ", host: {{ n_gpus_per_switch: 2, bandwidth: 25 GB/s, latency: 0.5 us, {SOURCE} }}, \
                 scale_out: {{ kind: switch, n_nics_per_node: {n_nics}, bandwidth: {nic} MB/s, latency: 1 us, {SOURCE} }}"
            );
            written.expect("text grows without error");
        }
        text + " }"
    }
}

/// `text` as a value of YAML, whatever it holds.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

/// The nearest whole number, 1 at least.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a measured count, at most 2^20")]
fn whole(count: f64) -> u32 {
    count.round().clamp(1.0, 1_048_576.0) as u32
}

/// A rate in GB/s as a whole number of MB/s.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of a link")]
fn megabytes(gb_per_sec: f64) -> u64 {
    (gb_per_sec * 1e3).round().max(1.0) as u64
}
