//! One step of the classical plan: tensor-parallel layers in pipeline stages.

use std::ops::Range;

use masim_engine::TaskId;
use masim_units::Bytes;

use super::head::{Stream, lm_head};
use super::movement::Message;
use super::pass::{Pass, Tokens};
use super::step::{Activity, Place, Step};
use super::{Lowering, send_stream};
use crate::inputs::topology::GpuIdx;
use crate::plan::{PipelineCopy, PipelinePlan, Stage, share};
use crate::running::collective::CollectiveKind;
use crate::scenario::EmbeddingTable;
use crate::work::cost::TooLong;
use crate::work::ops::{GroupRows, Op};
use crate::work::routing::{LayerRouting, StepRouting};

/// Bytes of a token id.
const TOKEN_ID_BYTES: u64 = 4;

/// What each rank of a stage begins with: kernels, and tasks to wait for.
type Inputs = Vec<(Vec<Op>, Vec<TaskId>)>;

/// One micro-batch on its way through a copy.
struct Passage<'s, 'a> {
    lowering: &'s mut Lowering<'a>,
    plan: &'s PipelinePlan,
    routing: &'s StepRouting,
    step: &'s mut Step,
    micro_batch: u32,
    pass: Pass,
}

pub(super) fn lower(
    lowering: &mut Lowering,
    mut step: Step,
    plan: &PipelinePlan,
    routing: &StepRouting,
) -> Result<Step, TooLong> {
    let n_layers = lowering.scenario.model.n_layers;
    let mut tokens_known = vec![Vec::new(); plan.n_in_flight as usize];
    for copy in &plan.copies {
        for (sequences, micro_batch) in share::split(&copy.tokens, plan.n_in_flight).zip(0..) {
            for pass in Pass::all(&lowering.scenario.workload, &sequences) {
                let mut passage = Passage { lowering, plan, routing, step: &mut step, micro_batch, pass };
                tokens_known[micro_batch as usize].extend(passage.run(copy)?);
            }
        }
    }
    for (micro_batch, known) in (0..).zip(&tokens_known) {
        let done = step.barrier(Place { layer: n_layers, micro_batch }, None, known);
        step.done.push(done);
    }
    Ok(step)
}

impl Passage<'_, '_> {
    /// All stages and the head; the result is where the token is known.
    fn run(&mut self, copy: &PipelineCopy) -> Result<Vec<TaskId>, TooLong> {
        let starts = self.start(copy)?;
        let mut inputs: Inputs = starts.iter().map(|&start| (Vec::new(), vec![start])).collect();
        inputs = self.embed(&copy.stages[0], inputs)?;
        for (idx, stage) in copy.stages.iter().enumerate() {
            if idx > 0 {
                inputs = self.cross_stages(&copy.stages[idx - 1], stage, &inputs)?;
            }
            for layer in stage.layers.clone() {
                inputs = self.layer(stage, layer, inputs)?;
            }
        }
        if !self.pass.makes_tokens() {
            return Ok(inputs.into_iter().flat_map(|(_, after)| after).collect());
        }
        let last = copy.stages.last().expect("a copy has a stage");
        let place = self.place(self.lowering.scenario.model.n_layers);
        let stream = (self.pass.n_sequences(), Stream::Replicated);
        let tokens = lm_head(self.lowering, self.step, place, &last.gpus, stream, inputs)?;
        if self.pass.tokens == Tokens::Newest {
            self.feed_back(copy, &starts, &tokens);
        }
        Ok(tokens)
    }

    /// Rows of the embedding table, and the first norm; the rows of a table that is split are summed over the stage.
    fn embed(&mut self, stage: &Stage, mut inputs: Inputs) -> Result<Inputs, TooLong> {
        let (ops, n_tokens) = (self.lowering.ops, self.n_tokens());
        let scenario = self.lowering.scenario;
        if scenario.model.vocab.is_some() {
            for (all, _) in &mut inputs {
                all.push(ops.embedding(n_tokens));
            }
            if scenario.vocabulary.embedding == EmbeddingTable::Sharded && inputs.len() > 1 {
                let after = self.reduce(stage, (Activity::Embedding, self.place(0)), &inputs)?;
                inputs = after.into_iter().map(|after| (Vec::new(), after)).collect();
            }
        }
        for (all, _) in &mut inputs {
            all.push(ops.norm(n_tokens));
        }
        Ok(inputs)
    }

    /// What each rank of the first stage waits for: the tokens of the step before, and the host that schedules.
    fn start(&mut self, copy: &PipelineCopy) -> Result<Vec<TaskId>, TooLong> {
        let place = self.place(0);
        let barrier = |step: &mut Step, gpu, after: &[TaskId]| step.barrier(place, Some(gpu), after);
        let gpus = &copy.stages[0].gpus;
        let Some(host) = self.lowering.scenario.host_overhead else {
            return Ok(gpus.iter().map(|&gpu| barrier(self.step, gpu, &[])).collect());
        };
        // One host schedules for all ranks.
        let host = (host, self.lowering.scenario.launch);
        let n_gpus = copy.stages.iter().map(|stage| stage.gpus.len() as u64).sum();
        let scheduled = self.step.schedule(host, place, gpus[0], (self.pass.n_sequences(), n_gpus))?;
        let others: Vec<TaskId> =
            gpus[1..].iter().map(|&gpu| barrier(self.step, gpu, &[scheduled])).collect();
        Ok(std::iter::once(scheduled).chain(others).collect())
    }

    /// One layer on all ranks of a stage: two all-reduces.
    fn layer(&mut self, stage: &Stage, layer: u32, inputs: Inputs) -> Result<Inputs, TooLong> {
        let (ops, n_tokens, place) = (self.lowering.ops, self.n_tokens(), self.place(layer));
        let model = &self.lowering.scenario.model;
        let moe = ops.moe();
        let last_without_head = layer + 1 == model.n_layers && model.vocab.is_none();
        let widths = share::sizes(moe.expert_hidden, self.n_ranks(), 0).map(u64::from);
        let shared = share::sizes(moe.shared_width(), self.n_ranks(), 0).map(u64::from);
        let rows = n_tokens * u64::from(moe.experts_per_token);
        let group_rows = if moe.has_gate() {
            let n_experts = usize::from(u16::try_from(moe.n_routed_experts).expect("few experts"));
            let counts = counts(&self.routing[layer as usize], &self.pass.choosing(), n_experts);
            spread(n_tokens, rows, &counts)
        } else {
            GroupRows::even(n_tokens, rows, (1, 1))
        };

        let attention: Inputs = inputs
            .into_iter()
            .zip(&self.plan.head_shares)
            .map(|((mut all, after), share)| {
                all.extend(self.pass.attention(self.lowering, *share, n_tokens));
                (all, after)
            })
            .collect();
        let after = self.reduce(stage, (Activity::Attention, place), &attention)?;
        let experts: Inputs = widths
            .zip(shared)
            .zip(after)
            .map(|((width, shared), after)| {
                let mut all = vec![ops.residual_norm(n_tokens)];
                all.extend(ops.shared_experts(n_tokens, shared));
                all.extend(ops.gate(n_tokens));
                all.extend(ops.permute(rows));
                all.extend(ops.experts(group_rows, width));
                if moe.has_gate() {
                    all.push(ops.combine_sum(rows, n_tokens));
                }
                (all, after)
            })
            .collect();
        let after = self.reduce(stage, (Activity::Experts, place), &experts)?;
        let next = if last_without_head { ops.residual(n_tokens) } else { ops.residual_norm(n_tokens) };
        Ok(after.into_iter().map(|after| (vec![next], after)).collect())
    }

    /// Runs the kernels of every rank, then sums their outputs; the result is what each rank waits for.
    fn reduce(
        &mut self,
        stage: &Stage,
        what: (Activity, Place),
        work: &Inputs,
    ) -> Result<Vec<Vec<TaskId>>, TooLong> {
        if let ([gpu], [(ops, after)]) = (&stage.gpus[..], &work[..]) {
            return Ok(vec![vec![self.step.compute(self.lowering, what, *gpu, ops, after)?]]);
        }
        let (kind, bytes) = (CollectiveKind::AllReduce, self.stream_bytes());
        let done = self.step.compute_and_share(self.lowering, (what, kind), &stage.gpus, bytes, work)?;
        Ok(vec![vec![done]; stage.gpus.len()])
    }

    /// Each rank sends its share of the residual stream to its peer, and the peers gather the shares.
    fn cross_stages(&mut self, from: &Stage, to: &Stage, inputs: &Inputs) -> Result<Inputs, TooLong> {
        let place = self.place(to.layers.start);
        let bytes = Bytes(self.stream_bytes().0.div_ceil(u64::from(self.n_ranks())));
        let mut arrivals = Vec::with_capacity(to.gpus.len());
        for ((&src, &dst), (ops, after)) in from.gpus.iter().zip(&to.gpus).zip(inputs) {
            // What follows the last sum belongs to the stage that has it already.
            let ready = self.step.compute(self.lowering, (Activity::Experts, place), src, ops, after)?;
            arrivals.push(self.send((Activity::StageSend, place), (src, dst), bytes, &[ready]));
        }
        if arrivals.len() > 1 {
            let bytes = self.stream_bytes();
            let gathered = self.step.collective(
                self.lowering,
                CollectiveKind::AllGather,
                place,
                &to.gpus,
                bytes,
                &arrivals,
            )?;
            arrivals = vec![gathered; to.gpus.len()];
        }
        Ok(arrivals.into_iter().map(|arrival| (Vec::new(), vec![arrival])).collect())
    }

    /// Token ids return to the first stage, where the next step waits for them.
    fn feed_back(&mut self, copy: &PipelineCopy, starts: &[TaskId], tokens: &[TaskId]) {
        let (first, last) = (&copy.stages[0], &copy.stages[copy.stages.len() - 1]);
        for (rank, (&start, &token)) in starts.iter().zip(tokens).enumerate() {
            let (src, dst) = (last.gpus[rank], first.gpus[rank]);
            let known = if src == dst {
                token
            } else {
                let what = (Activity::StageSend, self.place(self.lowering.scenario.model.n_layers));
                self.send(what, (src, dst), Bytes(self.n_tokens() * TOKEN_ID_BYTES), &[token])
            };
            self.step.carries.push((start, known));
        }
    }

    fn send(
        &mut self,
        what: (Activity, Place),
        (src, dst): (GpuIdx, GpuIdx),
        bytes: Bytes,
        after: &[TaskId],
    ) -> TaskId {
        let launched = self.step.launch(self.lowering, what.1, src, 1);
        let after: Vec<TaskId> = after.iter().copied().chain(launched).collect();
        let movement = self.lowering.single_send(src, Message { dst, bytes });
        self.step.transfer(what, (Some(src), Some(dst)), &[send_stream(src)], movement, &after)
    }

    fn place(&self, layer: u32) -> Place {
        Place { layer, micro_batch: self.micro_batch }
    }

    /// Rows of tokens, and those that fill a captured graph.
    fn n_tokens(&self) -> u64 {
        self.pass.n_rows(self.lowering.scenario)
    }

    fn n_ranks(&self) -> u32 {
        u32::try_from(self.plan.head_shares.len()).expect("fewer than 2^32 GPUs")
    }

    /// The residual stream of the micro-batch.
    fn stream_bytes(&self) -> Bytes {
        let model = &self.lowering.scenario.model;
        Bytes(self.n_tokens() * u64::from(model.hidden) * model.dtype.activations.bytes())
    }
}

/// How often each expert was chosen by `tokens`.
fn counts(routing: &LayerRouting, tokens: &Range<u32>, n_experts: usize) -> Vec<u64> {
    let mut counts = vec![0; n_experts];
    for &expert in tokens.clone().flat_map(|token| routing.experts_of(token)) {
        counts[usize::from(expert)] += 1;
    }
    counts
}

/// `rows` rows over experts in proportion to `counts`, which are of the same tokens or of a sample of them.
fn spread(tokens: u64, rows: u64, counts: &[u64]) -> GroupRows {
    let total = counts.iter().sum::<u64>().max(1);
    let (mut seen, mut given) = (0, 0);
    let shares = counts.iter().map(|count| {
        seen += count;
        let until =
            u64::try_from(u128::from(rows) * u128::from(seen) / u128::from(total)).expect("at most rows");
        std::mem::replace(&mut given, until).abs_diff(until)
    });
    GroupRows::of_counts(tokens, shares.collect::<Vec<_>>())
}
