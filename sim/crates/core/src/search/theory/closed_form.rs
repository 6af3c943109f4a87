//! Steady time per token from a handful of block times, nothing contending, nothing random, nothing cut into chunks.

use std::collections::BTreeMap;
use std::ops::Range;

use masim_units::{Bytes, SimDuration};

use super::expected::group_loads;
use crate::fabric::Fabric;
use crate::inputs::topology::GpuIdx;
use crate::plan::{PipelinePlan, Plan, RoutedPlan};
use crate::running::collective::{CollectiveKind, Collectives, Message, SendLaunch, grouped_sends};
use crate::scenario::{Compression, Dispatch, Launch, Logits, Scenario, Workload};
use crate::work::collectives::Quantised;
use crate::work::cost::{CostModel, TooLong};
use crate::work::ops::{CANDIDATE_BYTES, GroupRows, LayerOps, Op};

/// Estimates plans of one scenario.
pub struct ClosedForm<'a> {
    scenario: &'a Scenario,
    cost: &'a dyn CostModel,
    ops: LayerOps<'a>,
    fabric: Fabric<'a>,
    collectives: Collectives,
    batch: u32,
    /// Mean over the sequences.
    context: f64,
}

/// Durations of one micro-batch in one layer, the slowest GPU of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockTimes {
    /// Kernels of the attention half.
    pub attention: SimDuration,
    /// Communication among attention GPUs.
    pub attention_collectives: SimDuration,
    /// Tokens to the experts.
    pub dispatch: SimDuration,
    /// Kernels of the expert half.
    pub experts: SimDuration,
    /// Expert outputs back.
    pub combine: SimDuration,
    /// LM head and sampling, once a step.
    pub head: SimDuration,
}

impl<'a> ClosedForm<'a> {
    /// Prepares to estimate plans of `scenario`; `mean_context` is that of its sequences.
    pub fn new(scenario: &'a Scenario, cost: &'a dyn CostModel, mean_context: f64) -> Self {
        let batch = scenario.workload.batch();
        Self {
            scenario,
            cost,
            ops: LayerOps::new(&scenario.model),
            fabric: Fabric::of_scenario(scenario),
            collectives: Collectives::new(scenario.collectives, scenario.device_launch()),
            batch,
            context: mean_context,
        }
    }

    /// Steady time per token of `plan`.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when an operation is.
    pub fn tpot(&mut self, plan: &Plan) -> Result<SimDuration, TooLong> {
        match plan {
            Plan::Routed(plan) => {
                let times = self.block_times(plan)?;
                Ok(self.routed(plan, &times))
            }
            Plan::Pipeline(plan) => self.pipeline(plan),
        }
    }

    /// With `m` micro-batches and `L` layers, the slowest of: each pool busy with all of them, each wire busy
    /// with all of them, and one micro-batch on its way through everything.
    ///
    /// # Source
    ///
    /// Two FIFO pools joined by wires; the balance condition is that of MegaScale-Infer (arXiv 2504.02263).
    fn routed(&self, plan: &RoutedPlan, times: &BlockTimes) -> SimDuration {
        let m = u64::from(plan.n_micro_batches);
        let layers = u64::from(self.scenario.model.n_layers);
        let all = SimDuration::saturating_mul;
        let communication = sum([times.attention_collectives, times.dispatch, times.combine]);
        let passage = sum([times.attention, times.experts, communication]);
        let one = sum([all(passage, layers), times.head]);
        // Prompts are long: that attention waits for collectives between its kernels, and that they share the wires
        // of the legs, cannot be neglected.
        let collectives = match self.scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => SimDuration::ZERO,
            Workload::Prefill { .. } => times.attention_collectives,
        };
        let attention = sum([times.attention, collectives]);
        let pools = if plan.colocated {
            let both = all(sum([all(sum([attention, times.experts]), layers), times.head]), m);
            both.max(all(sum([times.dispatch, times.combine, collectives]), m * layers))
        } else {
            let attention = all(sum([all(attention, layers), times.head]), m);
            let wires = all(sum([times.dispatch.max(times.combine), collectives]), m * layers);
            attention.max(all(times.experts, m * layers)).max(wires)
        };
        let steady = one.max(pools).max(all(times.attention_collectives, m * layers));
        match self.scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => steady,
            // Chunks of prompts follow each other; what is under way when the last begins drains.
            Workload::Prefill { .. } => {
                let n_groups = plan.attention.n_groups(self.batch, plan.n_micro_batches);
                let n_waves = u64::from(n_groups) * u64::from(self.scenario.workload.n_chunks());
                let drain = if m == 1 { SimDuration::ZERO } else { sum([times.experts, times.combine]) };
                sum([all(steady, n_waves.div_ceil(m)), drain])
            }
        }
    }

    /// The durations of the largest micro-batch.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when an operation is.
    pub fn block_times(&mut self, plan: &RoutedPlan) -> Result<BlockTimes, TooLong> {
        let (heads, sequences) = (plan.attention.heads, plan.attention.sequences);
        let n_groups = plan.attention.n_groups(self.batch, plan.n_micro_batches);
        let n_replicas = u32::try_from(plan.attention.replicas.len()).expect("fewer replicas than GPUs");
        let largest = self.batch.div_ceil(n_groups);
        let replica = largest.div_ceil(n_replicas);
        let at_once = match self.scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => 1,
            Workload::Prefill { .. } => self.scenario.workload.tokens_at_once(),
        };
        let micro_batch = largest * at_once;
        let rank = (replica * at_once).div_ceil(sequences);
        let owned = u64::from(rank.div_ceil(heads));
        let (attention, attention_collectives) = self.attention(plan, (replica, rank, owned))?;
        let (experts, traffic) = self.experts(plan, micro_batch)?;
        let owners: Vec<GpuIdx> = plan.attention.members().map(|(_, _, gpu)| gpu).collect();
        let model = &self.scenario.model;
        let shares = |is_broadcast: bool| -> Vec<f64> {
            traffic.iter().map(|share| if is_broadcast { 1.0 } else { *share }).collect()
        };
        let out = shares(plan.dispatch == Dispatch::Broadcast);
        let width = f64::from(model.hidden) * owned as f64;
        let (dispatch_bytes, combine_bytes) = (model.dtype.dispatch.bytes(), model.dtype.combine.bytes());
        let n_shares = plan.n_shares();
        let out_shares = if plan.gathers_inside() { n_shares } else { 1 };
        let sent = width * dispatch_bytes as f64 / f64::from(out_shares);
        let dispatch = self.m2n(&owners, plan, &out, sent, Leg::Out);
        let returned = width * combine_bytes as f64 / f64::from(n_shares);
        let combine = self.m2n(&owners, plan, &shares(false), returned, Leg::Back);
        let rows = f64::from(micro_batch) * f64::from(model.hidden);
        let most = traffic.iter().copied().fold(0.0, f64::max);
        let mut inside = |kind, n_shares: u32, bytes: f64| match n_shares {
            1 => SimDuration::ZERO,
            _ => self.collective(kind, &plan.experts.groups[0], Bytes(rounded(bytes))),
        };
        let gathered = inside(CollectiveKind::AllGather, out_shares, rows * dispatch_bytes as f64);
        let summed = inside(CollectiveKind::ReduceScatter, n_shares, rows * most * combine_bytes as f64);
        let (dispatch, combine) = (sum([dispatch, gathered]), sum([combine, summed]));
        let n_next = u64::from(replica.div_ceil(sequences));
        let head = self.head((n_next, true), heads, plan.attention.replicas[0].head_group(0, heads))?;
        // A host schedules its micro-batches one after the other, as its GPUs compute their heads.
        let scheduling = self.scheduling(u64::from(replica), u64::from(heads * sequences));
        let head = sum([head, scheduling]);
        Ok(BlockTimes { attention, attention_collectives, dispatch, experts, combine, head })
    }

    /// Kernels and communication of the attention half on a GPU with the largest shares.
    fn attention(
        &mut self,
        plan: &RoutedPlan,
        (replica, rank, owned): (u32, u32, u64),
    ) -> Result<(SimDuration, SimDuration), TooLong> {
        let (heads, sequences) = (plan.attention.heads, plan.attention.sequences);
        let (ops, share) = (self.ops, plan.attention.head_shares[0]);
        let k = u64::from(ops.moe().experts_per_token);
        let mut kernels = vec![ops.residual_norm(owned), ops.residual_norm(owned)];
        kernels.extend(self.attention_kernels(plan, replica, u64::from(rank)));
        if k > 1 {
            kernels.push(ops.combine_sum(owned * k, owned));
        }
        let is_decode = !matches!(self.scenario.workload, Workload::Prefill { .. });
        if sequences > 1 && is_decode {
            kernels.push(ops.merge_partials(u64::from(rank), share.n_heads, u64::from(sequences)));
        }
        kernels.extend(ops.shared_experts(owned, ops.moe().shared_width().into()));
        if plan.dispatch == Dispatch::M2n {
            kernels.extend(ops.gate(owned));
            kernels.extend(ops.permute(owned * k));
        }
        let model = &self.scenario.model;
        let stream = Bytes(u64::from(rank) * u64::from(model.hidden) * model.dtype.activations.bytes());
        let last = plan.attention.replicas.last().expect("a replica");
        let group = last.head_group(sequences - 1, heads).to_vec();
        let gather = self.collective(CollectiveKind::AllGather, &group, stream);
        let scatter = self.collective(CollectiveKind::ReduceScatter, &group, stream);
        let heads_split = ops.decode_heads(share.n_heads, share.n_kv_heads);
        let width = heads_split.n_heads() * heads_split.score_dim();
        let workload = &self.scenario.workload;
        let keys = u64::from(replica) * self.mean_kv_len() * heads_split.n_kept() * model.dtype.kv.bytes();
        let heads_bytes = u64::from(rank) * width * model.dtype.activations.bytes();
        let ranks = last.sequence_group(0, heads);
        let mut exchange = |bytes| self.collective(CollectiveKind::AllGather, &ranks, Bytes(bytes));
        let exchanges = match workload {
            Workload::Prefill { .. } => exchange(keys),
            Workload::Decode { .. } | Workload::Inference { .. } => {
                exchange(heads_bytes * u64::from(sequences)).saturating_mul(2)
            }
        };
        let communication = sum([gather, scatter, exchanges]);
        Ok((self.time(&kernels, group[0])?, communication))
    }

    /// From the residual stream of `n_tokens` to that of attention over `n_sequences`, on one sequence rank.
    fn attention_kernels(&self, plan: &RoutedPlan, n_sequences: u32, n_tokens: u64) -> Vec<Op> {
        let (ops, share, n_ranks) = (self.ops, plan.attention.head_shares[0], plan.attention.sequences);
        let (batch, n_heads, n_kv_heads) = (u64::from(n_sequences), share.n_heads, share.n_kv_heads);
        match self.scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => {
                // The longest sequence is not known here; the mean stands for it.
                let mean = self.context / f64::from(n_ranks);
                let cached = (rounded(mean * f64::from(n_sequences)), rounded(mean));
                let mut all = ops.decode_queries(n_tokens, n_heads, n_kv_heads);
                all.push(ops.decode_attention(batch, cached, n_heads, n_kv_heads));
                all.extend(ops.decode_outputs(n_tokens, n_heads));
                all
            }
            Workload::Prefill { .. } => {
                let chunk = u64::from(self.scenario.workload.tokens_at_once());
                let q_len = chunk.div_ceil(u64::from(n_ranks));
                // A zig-zag of short pieces meets half of the chunk and all before it, as the queries at the end
                // of this many tokens do.
                let kv_len = (self.mean_kv_len() + q_len / 2).saturating_sub(chunk / 2).max(q_len);
                let mut all = ops.prefill_queries(n_tokens, n_heads, n_kv_heads);
                all.extend(ops.prefill_attention(batch, (q_len, kv_len), n_heads, n_kv_heads));
                all.push(ops.output_projection(n_tokens, n_heads));
                all
            }
        }
    }

    /// Tokens of a prompt up to the end of a chunk, mean over its chunks; 0 without prompts.
    fn mean_kv_len(&self) -> u64 {
        match self.scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => 0,
            Workload::Prefill { prompt_len, .. } => {
                (u64::from(prompt_len) + u64::from(self.scenario.workload.tokens_at_once())).div_ceil(2)
            }
        }
    }

    /// Kernels of the expert half in the slowest group and layer, and by group the largest share of tokens.
    fn experts(&self, plan: &RoutedPlan, micro_batch: u32) -> Result<(SimDuration, Vec<f64>), TooLong> {
        let ops = self.ops;
        let width = u64::from(ops.moe().expert_hidden.div_ceil(plan.experts.tp()));
        let mut slowest = SimDuration::ZERO;
        let mut shares = vec![0.0_f64; plan.experts.groups.len()];
        for layer in 0..self.scenario.model.n_layers {
            let loads = group_loads(self.scenario, &plan.experts, layer, f64::from(micro_batch));
            for (group, load) in loads.iter().enumerate() {
                let rows = rounded(load.choices_per_token * f64::from(micro_batch));
                let tokens = rounded(load.token_share * f64::from(micro_batch));
                let mut kernels = match plan.dispatch {
                    Dispatch::M2n => Vec::new(),
                    Dispatch::Broadcast => ops.gate(u64::from(micro_batch)),
                };
                kernels.extend(ops.permute(rows));
                let held = plan.experts.map(layer).n_on(u32::try_from(group).expect("few groups")).into();
                let group_rows = GroupRows::even(tokens, rows, (rounded(load.activated), held));
                kernels.extend(ops.experts(group_rows, width));
                if ops.moe().has_gate() {
                    kernels.push(ops.combine_sum(rows, tokens));
                }
                slowest = slowest.max(self.time(&kernels, plan.experts.groups[group][0])?);
                shares[group] = shares[group].max(load.token_share);
            }
        }
        Ok((slowest, shares))
    }

    /// All messages of one leg at once, as a run sends them, alone on the wires; every owner sends or gets `bytes` for all its tokens.
    fn m2n(
        &mut self,
        owners: &[GpuIdx],
        plan: &RoutedPlan,
        shares: &[f64],
        bytes: f64,
        leg: Leg,
    ) -> SimDuration {
        let mut sent = BTreeMap::<GpuIdx, Vec<Message>>::new();
        for (group, gpu) in plan.experts.members() {
            for &owner in owners.iter().filter(|&&owner| owner != gpu) {
                let (src, dst) = match leg {
                    Leg::Out => (owner, gpu),
                    Leg::Back => (gpu, owner),
                };
                let bytes = Bytes(rounded(bytes * shares[group as usize]));
                sent.entry(src).or_default().push(Message { dst, bytes });
            }
        }
        let mut flows = Vec::new();
        for (src, messages) in sent {
            let ideal = self.cost.launch(&self.scenario.cluster.gpu(src).card);
            let launch = SendLaunch { ideal, kind: self.scenario.device_launch() };
            let group = grouped_sends(&mut self.fabric, src, &messages, launch);
            flows.extend(group.into_iter().map(|sent| sent.flow));
        }
        self.scenario.overlap.exposed_of(self.fabric.time_alone(&flows))
    }

    /// The head over a group; where the residual stream is sharded over it, its rows are gathered first.
    fn head(
        &mut self,
        (tokens, is_sharded): (u64, bool),
        n_ranks: u32,
        group: &[GpuIdx],
    ) -> Result<SimDuration, TooLong> {
        let model = &self.scenario.model;
        let Some(vocab) = model.vocab else { return Ok(SimDuration::ZERO) };
        let (share, logits) = (u64::from(vocab.div_ceil(n_ranks)), self.scenario.vocabulary.logits);
        let (searched, known) = match logits {
            Logits::Local => (share, CANDIDATE_BYTES * u64::from(n_ranks)),
            Logits::Gathered => (u64::from(vocab), u64::from(vocab) * model.dtype.activations.bytes()),
        };
        let kernels = [self.ops.lm_head(tokens, share), self.ops.sampling(tokens, searched, logits)];
        let row = u64::from(model.hidden) * model.dtype.activations.bytes();
        let gathered = if is_sharded { row } else { 0 };
        let mut gather = |bytes| match bytes {
            0 => SimDuration::ZERO,
            bytes => self.collective(CollectiveKind::AllGather, group, Bytes(tokens * bytes)),
        };
        let gathers = [gather(gathered), gather(known)];
        Ok(sum([self.time(&kernels, group[0])?, sum(gathers)]))
    }

    /// With `m` micro-batches in flight, the slowest stage busy with all of them, or one of them on its way
    /// through all stages.
    fn pipeline(&mut self, plan: &PipelinePlan) -> Result<SimDuration, TooLong> {
        let copy = &plan.copies[0];
        let sequences = (copy.tokens.end - copy.tokens.start).div_ceil(plan.n_in_flight);
        let tp = u32::try_from(plan.head_shares.len()).expect("fewer than 2^32 GPUs");
        let (mut slowest, mut passage) = (SimDuration::ZERO, SimDuration::ZERO);
        for (idx, stage) in copy.stages.iter().enumerate() {
            let (kernels, communication) =
                self.layers(plan, &stage.gpus, u64::from(sequences), &stage.layers)?;
            let is_last = idx + 1 == copy.stages.len();
            let head = if is_last {
                self.head((u64::from(sequences), false), tp, &stage.gpus)?
            } else {
                SimDuration::ZERO
            };
            slowest = slowest.max(sum([kernels, head]));
            passage = sum([passage, kernels, communication, head]);
        }
        let n_gpus = copy.stages.iter().map(|stage| stage.gpus.len() as u64).sum();
        let scheduling = self.scheduling(u64::from(sequences), n_gpus);
        let (passage, n) = (sum([passage, scheduling]), u64::from(plan.n_in_flight));
        Ok(match self.scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => {
                slowest.max(scheduling).saturating_mul(n).max(passage)
            }
            // Prompts follow no others: the pipeline fills and drains.
            Workload::Prefill { .. } => sum([slowest.saturating_mul(n - 1), passage]),
        })
    }

    /// What the host does before a micro-batch of `n_sequences` begins on `n_gpus`; launches are taken to keep up.
    fn scheduling(&self, n_sequences: u64, n_gpus: u64) -> SimDuration {
        let host = self.scenario.host_overhead;
        let time = host.and_then(|host| host.scheduling(Launch::Eager, n_sequences, n_gpus));
        time.unwrap_or(SimDuration::ZERO)
    }

    /// Kernels and communication of some layers of a stage.
    fn layers(
        &mut self,
        plan: &PipelinePlan,
        group: &[GpuIdx],
        sequences: u64,
        layers: &Range<u32>,
    ) -> Result<(SimDuration, SimDuration), TooLong> {
        let (ops, moe, share) = (self.ops, self.ops.moe(), plan.head_shares[0]);
        let (n_heads, n_kv_heads) = (share.n_heads, share.n_kv_heads);
        let (tokens, attention) = match self.scenario.workload {
            Workload::Decode { .. } | Workload::Inference { .. } => {
                let cached = (rounded(self.context * sequences as f64), rounded(self.context));
                let mut all = ops.decode_queries(sequences, n_heads, n_kv_heads);
                all.push(ops.decode_attention(sequences, cached, n_heads, n_kv_heads));
                all.extend(ops.decode_outputs(sequences, n_heads));
                (sequences, all)
            }
            // In chunks or at once, the products are the same, but that each chunk expands latents anew.
            Workload::Prefill { prompt_len, .. } => {
                let len = u64::from(prompt_len);
                let mut all = ops.prefill_queries(sequences * len, n_heads, n_kv_heads);
                all.extend(ops.prefill_attention(sequences, (len, len), n_heads, n_kv_heads));
                all.push(ops.output_projection(sequences * len, n_heads));
                (sequences * len, all)
            }
        };
        let rows = tokens * u64::from(moe.experts_per_token);
        let activated = rows.min(u64::from(moe.n_routed_experts));
        let width = u64::from(moe.expert_hidden).div_ceil(plan.head_shares.len() as u64);
        let mut kernels = vec![ops.residual_norm(tokens), ops.residual_norm(tokens)];
        kernels.extend(attention);
        let shared = u64::from(moe.shared_width()).div_ceil(plan.head_shares.len() as u64);
        kernels.extend(ops.shared_experts(tokens, shared));
        kernels.extend(ops.gate(tokens));
        kernels.extend(ops.permute(rows));
        let group_rows = GroupRows::even(tokens, rows, (activated, moe.n_routed_experts.into()));
        kernels.extend(ops.experts(group_rows, width));
        if moe.has_gate() {
            kernels.push(ops.combine_sum(rows, tokens));
        }
        let model = &self.scenario.model;
        let stream = Bytes(tokens * u64::from(model.hidden) * model.dtype.activations.bytes());
        let reduce = self.collective(CollectiveKind::AllReduce, group, stream);
        let n = u64::from(layers.end - layers.start);
        Ok((self.time(&kernels, group[0])?.saturating_mul(n), reduce.saturating_mul(2 * n)))
    }

    fn time(&self, kernels: &[Op], gpu: GpuIdx) -> Result<SimDuration, TooLong> {
        let card = &self.scenario.cluster.gpu(gpu).card;
        let mut kernels = kernels.iter().filter(|op| !op.is_empty());
        kernels.try_fold(SimDuration::ZERO, |time, op| Ok(sum([time, self.cost.cost(op, card)?.time])))
    }

    /// A collective with its launch; a group of one does nothing.
    fn collective(&mut self, kind: CollectiveKind, group: &[GpuIdx], bytes: Bytes) -> SimDuration {
        if group.len() < 2 {
            return SimDuration::ZERO;
        }
        let launch = self.cost.launch(&self.scenario.cluster.gpu(group[0]).card);
        let is_compressed = self.scenario.collectives.compressed == Compression::Int8;
        if kind == CollectiveKind::AllReduce && is_compressed {
            let value_bytes = self.scenario.model.dtype.activations.bytes();
            let buffers = Quantised::new(bytes, value_bytes, group.len() as u64);
            let kernels = buffers.traffic().map(|bytes| self.ops.quantise(bytes));
            let kernels = self.time(&kernels, group[0]).unwrap_or(SimDuration::from_ps(u64::MAX));
            let exchange = self.collective(CollectiveKind::AllToAll, group, buffers.all);
            return sum([kernels, exchange, self.collective(CollectiveKind::AllGather, group, buffers.all)]);
        }
        let time = self.collectives.choose(kind, group, bytes, &mut self.fabric).time_with(launch);
        self.scenario.overlap.exposed_of(time)
    }
}

/// The direction of a transfer between the pools.
#[derive(Clone, Copy)]
enum Leg {
    Out,
    Back,
}

/// An estimate beyond 213 days stays at 213 days: it ranks last, and the run says what is too long.
fn sum<const N: usize>(times: [SimDuration; N]) -> SimDuration {
    times.into_iter().fold(SimDuration::ZERO, SimDuration::saturating_add)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count that is not negative")]
fn rounded(count: f64) -> u64 {
    count.ceil() as u64
}
