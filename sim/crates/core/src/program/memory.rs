//! Memory of each GPU: the need against the size.

use masim_units::Bytes;

use crate::inputs::topology::GpuIdx;
use crate::plan::{HeadShare, PipelinePlan, Plan, RoutedPlan, share};
use crate::scenario::{Dispatch, EmbeddingTable, Logits, Scenario, Workload};
use crate::work::ops::{CacheHeads, LayerOps};
use crate::work::routing::context_lens;

/// Contents of the memory of one GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuMemory {
    /// Weights.
    pub weights: Bytes,
    /// Key/value cache, the token under way included.
    pub kv: Bytes,
    /// Residual streams of all micro-batches under way, and the working set of one block.
    pub activations: Bytes,
    /// Messages of all micro-batches under way, for the most rows that routing can send.
    pub buffers: Bytes,
}

/// A GPU that would have to hold more than it has.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{gpu} lacks {missing_gib:.1} GiB: it needs {needed_gib:.1} GiB and has {has_gib:.1} GiB")]
pub struct DoesNotFit {
    /// Name of the GPU with the largest lack.
    pub gpu: String,
    /// Its lack.
    pub missing_gib: f64,
    /// Its need.
    pub needed_gib: f64,
    /// Its size.
    pub has_gib: f64,
}

impl GpuMemory {
    /// All of it.
    pub fn total(&self) -> Bytes {
        self.weights + self.kv + self.activations + self.buffers
    }
}

/// Checks every GPU against its card.
///
/// # Errors
///
/// [`DoesNotFit`] names the GPU that lacks most.
pub fn check(scenario: &Scenario, memory: &[(GpuIdx, GpuMemory)]) -> Result<(), DoesNotFit> {
    let lack = |(gpu, memory): &(GpuIdx, GpuMemory)| {
        let size = scenario.cluster.gpu(*gpu).card.memory_size;
        (memory.total().0.saturating_sub(size.0), *gpu, memory.total(), size)
    };
    match memory.iter().map(lack).rev().max_by_key(|lack| lack.0) {
        Some((missing, gpu, needed, size)) if missing > 0 => Err(DoesNotFit {
            gpu: scenario.cluster.gpu(gpu).name.clone(),
            missing_gib: Bytes(missing).as_gib(),
            needed_gib: needed.as_gib(),
            has_gib: size.as_gib(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Contents of every GPU of `plan`, in order of GPUs.
pub fn memory(scenario: &Scenario, plan: &Plan) -> Vec<(GpuIdx, GpuMemory)> {
    let batch = scenario.workload.batch();
    let contexts = context_lens(&scenario.workload.final_context(), batch, scenario.seed);
    let model = Sizes { scenario, contexts };
    let mut all = match plan {
        Plan::Routed(plan) => model.routed(plan, batch),
        Plan::Pipeline(plan) => model.pipeline(plan),
    };
    all.sort_by_key(|(gpu, _)| *gpu);
    all
}

/// The share of a batch that one attention GPU has.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Bytes of its cache in one layer.
    kv: u64,
    /// Tokens of all micro-batches under way whose residual stream lives here.
    owned: u64,
    /// Tokens of the largest micro-batch that the block works on.
    at_once: u64,
    /// Sequences of the largest micro-batch that get a token.
    n_next: u64,
    /// Bytes of keys and values that others hold and that are gathered for one layer.
    gathered: u64,
}

/// Sizes of a scenario's model.
struct Sizes<'a> {
    scenario: &'a Scenario,
    contexts: Vec<u32>,
}

impl Sizes<'_> {
    fn hidden(&self) -> u64 {
        u64::from(self.scenario.model.hidden)
    }

    /// Projections and norms of one layer for a share of the heads.
    fn attention_weights(&self, share: HeadShare) -> u64 {
        let model = &self.scenario.model;
        let elements = model.attention.n_weights(model.hidden, share.n_heads, share.n_kv_heads);
        let elements = u64::try_from(elements).expect("weights are bounded when they are read");
        (elements + 2 * self.hidden()) * model.dtype.weights.bytes()
    }

    fn gate_weights(&self) -> u64 {
        let moe = self.scenario.model.ffn.as_moe();
        let n_scores = if moe.has_gate() { u64::from(moe.n_routed_experts) } else { 0 };
        n_scores * self.hidden() * self.scenario.model.dtype.weights.bytes()
    }

    /// `n_experts` at `width` of their hidden width, in one layer.
    fn expert_weights(&self, n_experts: u32, width: u32) -> u64 {
        let model = &self.scenario.model;
        let matrices = u64::from(n_experts) * u64::from(model.ffn.as_moe().n_matrices());
        matrices * self.hidden() * u64::from(width) * model.dtype.weights.bytes()
    }

    /// The table of the LM head, split over `n_ranks`.
    fn head_table(&self, n_ranks: u32) -> u64 {
        let model = &self.scenario.model;
        u64::from(model.vocab.unwrap_or(0).div_ceil(n_ranks)) * self.hidden() * model.dtype.weights.bytes()
    }

    /// The embedding table on a GPU of a group of `n_ranks`.
    fn embedding_table(&self, n_ranks: u32) -> u64 {
        match self.scenario.vocabulary.embedding {
            EmbeddingTable::Replicated => self.head_table(1),
            EmbeddingTable::Sharded => self.head_table(n_ranks),
        }
    }

    /// Cache of `tokens` in one layer.
    fn kv(&self, tokens: &std::ops::Range<u32>, share: HeadShare) -> u64 {
        let model = &self.scenario.model;
        let cached: u64 = self.contexts[tokens.start as usize..tokens.end as usize]
            .iter()
            .map(|&len| u64::from(len) + 1)
            .sum();
        cached * model.attention.n_kept(share.n_kv_heads) * model.dtype.kv.bytes()
    }

    /// Queries, keys, values, attention outputs and their projection, for `tokens` of `n_sequences` at once.
    fn attention_working_set(&self, (tokens, n_sequences): (u64, u64), share: HeadShare) -> u64 {
        let model = &self.scenario.model;
        let ops = LayerOps::new(model);
        let of = |tokens: u64, heads: CacheHeads| tokens * (heads.n_query() + heads.n_kept() + self.hidden());
        let step = |tokens| of(tokens, ops.decode_heads(share.n_heads, share.n_kv_heads));
        let prompts = |prompt_len: u32| {
            // The last chunk meets the keys and values of the whole prompt, expanded from its latents.
            let expanded = n_sequences * u64::from(prompt_len) * ops.n_expanded(share.n_heads);
            of(tokens, ops.prefill_heads(share.n_heads, share.n_kv_heads)) + expanded
        };
        let elements = match self.scenario.workload {
            Workload::Decode { .. } => step(tokens),
            Workload::Prefill { prompt_len, .. } => prompts(prompt_len),
            Workload::Inference { prompt_len, .. } => prompts(prompt_len).max(step(n_sequences)),
        };
        elements * model.dtype.activations.bytes()
    }

    /// Scores of `n_next` tokens on one of the `n_ranks` among which the vocabulary is split: its share, and where they
    /// are gathered those of all.
    fn scores(&self, n_next: u64, n_ranks: u32) -> u64 {
        let model = &self.scenario.model;
        let vocab = model.vocab.unwrap_or(0);
        let gathered = match self.scenario.vocabulary.logits {
            Logits::Gathered if n_ranks > 1 => vocab,
            Logits::Gathered | Logits::Local => 0,
        };
        n_next * u64::from(vocab.div_ceil(n_ranks) + gathered) * model.dtype.activations.bytes()
    }

    /// Inputs, inner and output rows of the experts.
    fn expert_working_set(&self, rows: u64, width: u32) -> u64 {
        let model = &self.scenario.model;
        let inner = u64::from(model.ffn.as_moe().n_matrices()) * u64::from(width);
        rows * (2 * self.hidden() + inner) * model.dtype.activations.bytes()
    }

    fn routed(&self, plan: &RoutedPlan, batch: u32) -> Vec<(GpuIdx, GpuMemory)> {
        let attention = self.attention_pool(plan, batch);
        let mut experts = self.expert_pool(plan, batch);
        if !plan.colocated {
            return attention.into_iter().chain(experts).collect();
        }
        experts.sort_by_key(|(gpu, _)| *gpu);
        let both = |(gpu, a): (GpuIdx, GpuMemory)| {
            let at =
                experts.binary_search_by_key(&gpu, |(other, _)| *other).expect("both roles on every GPU");
            let b = experts[at].1;
            let sum = GpuMemory {
                weights: a.weights + b.weights,
                kv: a.kv,
                // The halves of a layer take turns: the larger working set counts.
                activations: a.activations.max(b.activations),
                buffers: a.buffers.max(b.buffers),
            };
            (gpu, sum)
        };
        attention.into_iter().map(both).collect()
    }

    fn attention_pool(&self, plan: &RoutedPlan, batch: u32) -> Vec<(GpuIdx, GpuMemory)> {
        let model = &self.scenario.model;
        let (layers, heads) = (u64::from(model.n_layers), plan.attention.heads);
        let gate = if plan.dispatch == Dispatch::M2n { self.gate_weights() } else { 0 };
        let members = plan.attention.members().map(|(replica, member, gpu)| {
            let share = plan.attention.head_shares[member % heads as usize];
            let shared = self.expert_weights(1, model.ffn.as_moe().shared_width());
            let weights = layers * (self.attention_weights(share) + gate + shared)
                + self.head_table(heads)
                + self.embedding_table(heads);
            let held = self.held(plan, batch, (replica, member), share);
            let stream = 2 * held.owned * self.hidden();
            let working = self.attention_working_set((held.at_once, held.n_next), share) + held.gathered;
            let working = working.max(self.scores(held.n_next, heads));
            let k = u64::from(model.ffn.as_moe().experts_per_token);
            let message = model.dtype.dispatch.bytes() + model.dtype.combine.bytes();
            let memory = GpuMemory {
                weights: Bytes(weights),
                kv: Bytes(layers * held.kv),
                activations: Bytes(stream * model.dtype.activations.bytes() + working),
                buffers: Bytes(held.owned * k * self.hidden() * message),
            };
            (gpu, memory)
        });
        members.collect()
    }

    /// The share of the batch of a member of a replica.
    fn held(
        &self,
        plan: &RoutedPlan,
        batch: u32,
        (replica, member): (usize, usize),
        share: HeadShare,
    ) -> Held {
        let workload = &self.scenario.workload;
        let (n_members, n_ranks) =
            (u64::from(plan.attention.heads * plan.attention.sequences), u64::from(plan.attention.sequences));
        let n_groups = plan.attention.n_groups(batch, plan.n_micro_batches);
        let at_once = u64::from(workload.tokens_at_once());
        let mut held = Held::default();
        for group in plan.attention.micro_batches(batch, n_groups) {
            let of_replica = &group.owned[replica];
            let all = of_replica[0].start..of_replica[of_replica.len() - 1].end;
            let n_sequences = u64::from(all.end - all.start);
            held.kv += self.kv(&all, share).div_ceil(n_ranks);
            held.n_next = held.n_next.max(n_sequences);
            if matches!(workload, Workload::Decode { .. }) {
                held.owned += u64::from(of_replica[member].end - of_replica[member].start);
                // Queries of all ranks meet the part of the cache that is here.
                held.at_once = held.at_once.max(n_sequences);
            } else {
                // Chunks of one prompt take the place of micro-batches that have no sequence.
                let n_waves = u64::from(plan.n_micro_batches.div_ceil(n_groups));
                held.owned += n_waves * (n_sequences * at_once).div_ceil(n_members);
                held.at_once = held.at_once.max((n_sequences * at_once).div_ceil(n_ranks));
                if n_ranks > 1 {
                    held.gathered = held.gathered.max(self.kv(&all, share));
                }
            }
        }
        held
    }

    fn expert_pool(&self, plan: &RoutedPlan, batch: u32) -> Vec<(GpuIdx, GpuMemory)> {
        let model = &self.scenario.model;
        let moe = model.ffn.as_moe();
        let tp = plan.experts.tp();
        let n_groups = plan.attention.n_groups(batch, plan.n_micro_batches);
        let tokens = u64::from(batch.div_ceil(n_groups)) * u64::from(self.scenario.workload.tokens_at_once());
        let gate = if plan.dispatch == Dispatch::Broadcast { self.gate_weights() } else { 0 };
        let members = plan.experts.members().enumerate().map(|(at, (group, gpu))| {
            let rank = u32::try_from(at).expect("fewer than 2^32 GPUs") % tp;
            let width =
                share::sizes(moe.expert_hidden, tp, 0).nth(rank as usize).expect("the rank is below tp");
            let n_hosted = (0..model.n_layers).map(|layer| plan.experts.map(layer).n_on(group));
            let most = n_hosted.clone().max().unwrap_or(0).min(moe.experts_per_token);
            let weights: u64 = n_hosted.map(|n| self.expert_weights(n, width) + gate).sum();
            let message = model.dtype.dispatch.bytes() + model.dtype.combine.bytes();
            let memory = GpuMemory {
                weights: Bytes(weights),
                kv: Bytes::ZERO,
                activations: Bytes(self.expert_working_set(tokens * u64::from(most), width)),
                buffers: Bytes(u64::from(plan.n_micro_batches) * tokens * self.hidden() * message),
            };
            (gpu, memory)
        });
        members.collect()
    }

    fn pipeline(&self, plan: &PipelinePlan) -> Vec<(GpuIdx, GpuMemory)> {
        let model = &self.scenario.model;
        let moe = model.ffn.as_moe();
        let tp = u32::try_from(plan.head_shares.len()).expect("fewer than 2^32 GPUs");
        let widths: Vec<u32> = share::sizes(moe.expert_hidden, tp, 0).collect();
        let shared_widths: Vec<u32> = share::sizes(moe.shared_width(), tp, 0).collect();
        let mut all = Vec::new();
        for copy in &plan.copies {
            let sequences = u64::from(copy.tokens.end - copy.tokens.start);
            let at_once = u64::from(self.scenario.workload.tokens_at_once());
            let tokens = sequences * at_once;
            let n_next = sequences.div_ceil(u64::from(plan.n_in_flight));
            let in_flight = n_next * at_once;
            for (idx, stage) in copy.stages.iter().enumerate() {
                let layers = u64::from(stage.layers.end - stage.layers.start);
                let first = if idx == 0 { self.embedding_table(tp) } else { 0 };
                let (last, scores) = if idx + 1 == copy.stages.len() {
                    (self.head_table(tp), self.scores(n_next, tp))
                } else {
                    (0, 0)
                };
                for (rank, (&gpu, &share)) in stage.gpus.iter().zip(&plan.head_shares).enumerate() {
                    let experts = self.expert_weights(moe.n_routed_experts, widths[rank]);
                    let shared = self.expert_weights(1, shared_widths[rank]);
                    let layer = self.attention_weights(share) + self.gate_weights() + experts + shared;
                    let rows = in_flight * u64::from(moe.experts_per_token);
                    let working = self
                        .attention_working_set((in_flight, n_next), share)
                        .max(self.expert_working_set(rows, widths[rank]))
                        .max(scores);
                    let stream = tokens * self.hidden() * model.dtype.activations.bytes();
                    let memory = GpuMemory {
                        weights: Bytes(layers * layer + first + last),
                        kv: Bytes(layers * self.kv(&copy.tokens, share)),
                        activations: Bytes(2 * stream + working),
                        buffers: Bytes(2 * in_flight * self.hidden() * model.dtype.activations.bytes()),
                    };
                    all.push((gpu, memory));
                }
            }
        }
        all
    }
}
