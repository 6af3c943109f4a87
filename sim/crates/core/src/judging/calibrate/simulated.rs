//! Rows that the cost model of a scenario makes, as if they had been measured.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::inputs::measurement::{
    DecodeWork, Distribution, Family, Machine, MeasurementSet, MoeWork, PrefillWork, Row, Site, Table, Work,
};
use crate::scenario::{FfnSpec, Scenario};
use crate::work::cost::{CostModel, TooLong, cost_of};
use crate::work::ops::{GroupRows, LayerOps, Op};

/// Sequences of a batch, tokens of a cache, of a prompt, and of a batch for experts: powers of two between these.
const BATCH: (u32, u32) = (0, 11);
const KV_LEN: (u32, u32) = (6, 17);
const PROMPT_BATCH: (u32, u32) = (0, 4);
const PROMPT_LEN: (u32, u32) = (7, 14);
const TOKENS: (u32, u32) = (0, 14);

/// Why a scenario makes no rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSimulate {
    /// The networks cannot tell formats apart.
    #[error("the model computes in {found}; the predictor knows formats of two bytes, such as bf16")]
    Format {
        /// The format.
        found: &'static str,
    },
    /// A time beyond what can be simulated.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Times of attention and experts of the scenario's model on its first card, over a grid of shapes: batches, lengths, and how
/// heads and experts are divided among GPUs.
///
/// # Errors
///
/// A model in a format that the predictor does not know.
pub fn simulated_set(name: &str, scenario: &Scenario) -> Result<MeasurementSet, CannotSimulate> {
    let dtype = scenario.model.dtype.activations;
    if dtype.bytes() != 2 {
        return Err(CannotSimulate::Format { found: dtype.name() });
    }
    let card = scenario.cluster.gpus.first().expect("a cluster has GPUs").card.clone();
    let grid = Grid { scenario, costs: cost_of(scenario) };
    let mut tables = vec![
        table(Family::AttentionPrefill, grid.prefill()?),
        table(Family::AttentionDecode, grid.decode()?),
    ];
    if matches!(scenario.model.ffn, FfnSpec::Moe(_)) {
        tables.push(table(Family::Moe, grid.experts()?));
    }
    Ok(MeasurementSet {
        name: name.to_owned(),
        gpu: card.name.clone(),
        stack: format!("simulated with profile {}", scenario.profiles.name),
        source: format!("masim, model {}", scenario.model.name),
        licence: "none needed".to_owned(),
        site: Site { machine: Machine::assumed(&card.name), card: Some(card) },
        tables,
        warnings: Vec::new(),
    })
}

fn powers((low, high): (u32, u32)) -> impl Iterator<Item = u64> {
    (low..=high).map(|exponent| 1 << exponent)
}

/// Shares by halves, as long as they divide `n`.
fn halves(n: u32) -> impl Iterator<Item = u32> {
    (0..=n.ilog2()).map(|exponent| 1 << exponent).take_while(move |share| n.is_multiple_of(*share))
}

fn table(family: Family, works: Vec<(Work, f64)>) -> Table {
    let mut text = String::new();
    let row = |(line, (work, time_us)): (u64, (Work, f64))| {
        writeln!(text, "{:?},{time_us}", work.columns()).expect("text grows without error");
        let group = family.group_columns().iter().map(|name| {
            let columns = work.columns();
            let (_, value) = columns.iter().find(|(column, _)| column == name).expect("a column of its work");
            value.to_string()
        });
        let group = group.collect();
        Row { line, work, time_us, group }
    };
    let rows: Vec<_> = (1..).zip(works).map(row).collect();
    let digest = Sha256::digest(&text);
    let sha256 = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    Table { family, sha256, rows }
}

struct Grid<'a> {
    scenario: &'a Scenario,
    costs: Box<dyn CostModel>,
}

impl Grid<'_> {
    fn ops(&self) -> LayerOps<'_> {
        LayerOps::new(&self.scenario.model)
    }

    fn time_us(&self, ops: &[Op]) -> Result<f64, TooLong> {
        let card = &self.scenario.cluster.gpus[0].card;
        let mut sum = 0.0;
        for op in ops.iter().filter(|op| !op.is_empty()) {
            sum += self.costs.cost(op, card)?.time.as_us();
        }
        Ok(sum)
    }

    /// Query and key/value heads of a GPU.
    fn heads(&self) -> impl Iterator<Item = (u32, u32)> {
        let attention = self.scenario.model.attention;
        halves(attention.n_kv_heads)
            .map(move |share| (attention.n_heads / share, attention.n_kv_heads / share))
    }

    fn decode(&self) -> Result<Vec<(Work, f64)>, TooLong> {
        let (dtype, head_dim) =
            (self.scenario.model.dtype.activations, self.scenario.model.attention.head_dim);
        let mut rows = Vec::new();
        for (n_heads, n_kv_heads) in self.heads() {
            for (batch, kv_len) in powers(BATCH).flat_map(|batch| powers(KV_LEN).map(move |len| (batch, len)))
            {
                let cached = (batch * kv_len, kv_len);
                let op = self.ops().decode_attention(batch, cached, n_heads, n_kv_heads);
                let time_us = self.time_us(&[op])?;
                let [n_heads, n_kv_heads, head_dim] = [n_heads, n_kv_heads, head_dim].map(u64::from);
                let work = DecodeWork { dtype, batch, kv_len, n_heads, n_kv_heads, head_dim };
                rows.push((Work::Decode(work), time_us));
            }
        }
        Ok(rows)
    }

    fn prefill(&self) -> Result<Vec<(Work, f64)>, TooLong> {
        let (dtype, head_dim) =
            (self.scenario.model.dtype.activations, self.scenario.model.attention.head_dim);
        let mut rows = Vec::new();
        for (n_heads, n_kv_heads) in self.heads() {
            let shapes =
                powers(PROMPT_BATCH).flat_map(|batch| powers(PROMPT_LEN).map(move |len| (batch, len)));
            for (batch, len) in shapes {
                let ops = self.ops().prefill_attention(batch, (len, len), n_heads, n_kv_heads);
                let time_us = self.time_us(&ops)?;
                let [n_heads, n_kv_heads, head_dim] = [n_heads, n_kv_heads, head_dim].map(u64::from);
                let work =
                    PrefillWork { dtype, batch, q_len: len, kv_len: len, n_heads, n_kv_heads, head_dim };
                rows.push((Work::Prefill(work), time_us));
            }
        }
        Ok(rows)
    }

    /// Experts of one rank with their gathering and summing, without the gate, which stands before them.
    fn experts(&self) -> Result<Vec<(Work, f64)>, TooLong> {
        let (model, moe) = (&self.scenario.model, self.ops().moe());
        let mut rows = Vec::new();
        let ranks = halves(moe.n_routed_experts).flat_map(|ep| halves(8).map(move |tp| (ep, tp)));
        for ((ep, tp), tokens) in ranks.flat_map(|ranks| powers(TOKENS).map(move |tokens| (ranks, tokens))) {
            let of_rank = (tokens * u64::from(moe.experts_per_token)).div_ceil(ep.into());
            let n_experts = u64::from(moe.n_routed_experts / ep);
            let group = GroupRows::even(tokens.min(of_rank), of_rank, (n_experts, n_experts));
            let width = u64::from(moe.expert_hidden).div_ceil(tp.into());
            let mut ops: Vec<_> = self.ops().permute(of_rank).into_iter().collect();
            ops.extend(self.ops().experts(group, width));
            ops.push(self.ops().combine_sum(of_rank, tokens.min(of_rank)));
            let [hidden, expert_hidden, top_k] =
                [model.hidden, moe.expert_hidden, moe.experts_per_token].map(u64::from);
            let [n_experts, tp, ep] = [moe.n_routed_experts, tp, ep].map(u64::from);
            let (dtype, distribution) = (model.dtype.activations, Distribution::Balanced);
            let work =
                MoeWork { dtype, tokens, hidden, expert_hidden, top_k, n_experts, tp, ep, distribution };
            rows.push((Work::Moe(work), self.time_us(&ops)?));
        }
        Ok(rows)
    }
}
