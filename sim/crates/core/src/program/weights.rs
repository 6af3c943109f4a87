//! The slices of the weights that every rank holds.

use serde::{Deserialize, Serialize};

use crate::plan::{HeadShare, PipelinePlan, Plan, RoutedPlan, share};
use crate::scenario::{Dispatch, EmbeddingTable, Scenario};

/// The weights of one rank; every range is `[first, end)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightSlice {
    /// The rank.
    pub rank: u32,
    /// Layers of which it holds weights.
    pub layers: [u32; 2],
    /// Query heads; none without attention.
    pub heads: Option<[u32; 2]>,
    /// True if it holds the gate.
    pub has_gate: bool,
    /// Routed experts by layer: one list for all layers, or one for each.
    pub experts: Vec<Vec<u32>>,
    /// Columns of the hidden width of its routed experts.
    pub expert_columns: [u32; 2],
    /// Columns of the hidden width of all shared experts together.
    pub shared_columns: Option<[u32; 2]>,
    /// Rows of the LM head; none without it.
    pub vocabulary: Option<[u32; 2]>,
    /// Rows of the embedding table; none without it.
    pub embedding: Option<[u32; 2]>,
}

/// The weights of every rank that has any, in order of ranks.
pub fn weights(scenario: &Scenario, plan: &Plan) -> Vec<WeightSlice> {
    let mut all = match plan {
        Plan::Routed(plan) => routed(scenario, plan),
        Plan::Pipeline(plan) => pipeline(scenario, plan),
    };
    all.sort_by_key(|slice| slice.rank);
    all
}

fn routed(scenario: &Scenario, plan: &RoutedPlan) -> Vec<WeightSlice> {
    let (model, moe) = (&scenario.model, scenario.model.ffn.as_moe());
    let layers = [0, model.n_layers];
    let none = WeightSlice {
        rank: 0,
        layers,
        heads: None,
        has_gate: false,
        experts: Vec::new(),
        expert_columns: [0, 0],
        shared_columns: None,
        vocabulary: None,
        embedding: None,
    };
    let heads = plan.attention.heads;
    let mut all: Vec<WeightSlice> = plan
        .attention
        .members()
        .map(|(_, member, gpu)| {
            let rank = u32::try_from(member).expect("fewer than 2^32 GPUs") % heads;
            WeightSlice {
                rank: gpu.0,
                heads: Some(heads_of(&plan.attention.head_shares, rank)),
                has_gate: plan.dispatch == Dispatch::M2n && moe.has_gate(),
                shared_columns: (moe.shared_width() > 0).then_some([0, moe.shared_width()]),
                vocabulary: model.vocab.map(|vocab| part(vocab, heads, rank)),
                embedding: embedding(scenario, heads, rank),
                ..none.clone()
            }
        })
        .collect();
    let tp = plan.experts.tp();
    for (at, (group, gpu)) in (0..).zip(plan.experts.members()) {
        let hosted = |layer: u32| {
            let hosts = plan.experts.map(layer).hosts().iter().zip(0..);
            hosts.filter(|(hosts, _)| hosts.contains(&group)).map(|(_, expert)| expert).collect()
        };
        let mut experts: Vec<Vec<u32>> = (0..model.n_layers).map(hosted).collect();
        experts.dedup();
        if experts.len() > 1 {
            experts = (0..model.n_layers).map(hosted).collect();
        }
        if all.iter().all(|slice| slice.rank != gpu.0) {
            all.push(WeightSlice { rank: gpu.0, ..none.clone() });
        }
        let slice = all.iter_mut().find(|slice| slice.rank == gpu.0).expect("added where it was missing");
        slice.experts = experts;
        slice.expert_columns = part(moe.expert_hidden, tp, at % tp);
        slice.has_gate |= plan.dispatch == Dispatch::Broadcast && moe.has_gate();
    }
    all
}

fn pipeline(scenario: &Scenario, plan: &PipelinePlan) -> Vec<WeightSlice> {
    let (model, moe) = (&scenario.model, scenario.model.ffn.as_moe());
    let tp = u32::try_from(plan.head_shares.len()).expect("fewer than 2^32 GPUs");
    let mut all = Vec::new();
    for copy in &plan.copies {
        for (idx, stage) in copy.stages.iter().enumerate() {
            let (is_first, is_last) = (idx == 0, idx + 1 == copy.stages.len());
            for (rank, gpu) in (0..).zip(&stage.gpus) {
                all.push(WeightSlice {
                    rank: gpu.0,
                    layers: [stage.layers.start, stage.layers.end],
                    heads: Some(heads_of(&plan.head_shares, rank)),
                    has_gate: moe.has_gate(),
                    experts: vec![(0..moe.n_routed_experts).collect()],
                    expert_columns: part(moe.expert_hidden, tp, rank),
                    shared_columns: (moe.shared_width() > 0).then(|| part(moe.shared_width(), tp, rank)),
                    vocabulary: model.vocab.filter(|_| is_last).map(|vocab| part(vocab, tp, rank)),
                    embedding: embedding(scenario, tp, rank).filter(|_| is_first),
                });
            }
        }
    }
    all
}

fn embedding(scenario: &Scenario, n_ranks: u32, rank: u32) -> Option<[u32; 2]> {
    let vocab = scenario.model.vocab?;
    Some(match scenario.vocabulary.embedding {
        EmbeddingTable::Replicated => [0, vocab],
        EmbeddingTable::Sharded => part(vocab, n_ranks, rank),
    })
}

/// The query heads of head rank `rank`.
fn heads_of(shares: &[HeadShare], rank: u32) -> [u32; 2] {
    let first = shares[..rank as usize].iter().map(|share| share.n_heads).sum();
    [first, first + shares[rank as usize].n_heads]
}

/// The share of `rank` in `total`.
fn part(total: u32, n_ranks: u32, rank: u32) -> [u32; 2] {
    let range =
        share::split(&(0..total), n_ranks).nth(rank as usize).expect("the rank is below their number");
    [range.start, range.end]
}
