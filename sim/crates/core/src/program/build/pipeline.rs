//! One step of the classical plan: tensor-parallel layers in pipeline stages.

use masim_units::Bytes;

use super::head::{Stream, lm_head};
use super::pass::{Pass, Tokens};
use super::{Builder, Pending, Sent, fixed};
use crate::inputs::topology::GpuIdx;
use crate::plan::{PipelineCopy, PipelinePlan, Stage, share};
use crate::program::instr::{Activity, Kernel, Label, Need, Place, Posted};
use crate::program::size::{Fill, Rows};
use crate::program::sizing::GroupBlock;
use crate::program::skeleton::Port;
use crate::program::value::{Data, What};
use crate::scenario::EmbeddingTable;
use crate::work::collectives::CollectiveKind;
use crate::work::ops::GroupRows;

/// Bytes of a token id.
pub(super) const TOKEN_ID_BYTES: u64 = 4;

/// One micro-batch on its way through a copy.
struct Passage<'s, 'a> {
    builder: &'s mut Builder<'a>,
    plan: &'s PipelinePlan,
    replica: u32,
    micro_batch: u32,
    pass: Pass,
}

pub(super) fn build(builder: &mut Builder, plan: &PipelinePlan) {
    let n_layers = builder.scenario.model.n_layers;
    let mut tokens_known = vec![Vec::new(); plan.n_in_flight as usize];
    for (copy, replica) in plan.copies.iter().zip(0..) {
        for (sequences, micro_batch) in share::split(&copy.tokens, plan.n_in_flight).zip(0..) {
            for pass in Pass::all(&builder.scenario.workload, &sequences) {
                let mut passage = Passage { builder, plan, replica, micro_batch, pass };
                tokens_known[micro_batch as usize].extend(passage.run(copy));
            }
        }
    }
    for (micro_batch, known) in (0..).zip(&tokens_known) {
        let done = builder.join(Place { layer: n_layers, micro_batch }, None, known);
        builder.program.done.push(done);
    }
}

impl Passage<'_, '_> {
    /// All stages and the head; the result is the point where the token is known.
    fn run(&mut self, copy: &PipelineCopy) -> Vec<Need> {
        let starts = self.start(copy);
        let mut inputs: Vec<Pending> = starts.iter().map(|&start| (Vec::new(), vec![start])).collect();
        inputs = self.embed(&copy.stages[0], inputs);
        for (idx, stage) in copy.stages.iter().enumerate() {
            if idx > 0 {
                inputs = self.cross_stages(&copy.stages[idx - 1], stage, &inputs);
            }
            for layer in stage.layers.clone() {
                self.builder.begin_layer(layer);
                inputs = self.layer(stage, layer, inputs);
            }
            self.builder.end_layers();
        }
        if !self.pass.makes_tokens() {
            return inputs.into_iter().flat_map(|(_, needs)| needs).collect();
        }
        let last = copy.stages.last().expect("a copy has a stage");
        let place = self.place(self.builder.scenario.model.n_layers);
        let stream = (self.pass.n_sequences(), Stream::Replicated);
        let tokens = lm_head(self.builder, place, &last.gpus, stream, inputs);
        if self.pass.tokens == Tokens::Newest {
            self.feed_back(copy, &tokens);
        }
        tokens
    }

    /// Rows of the embedding table, and the first norm; the rows of a table that is split are summed over the stage.
    fn embed(&mut self, stage: &Stage, mut inputs: Vec<Pending>) -> Vec<Pending> {
        let (ops, n_tokens) = (self.builder.ops, self.n_tokens());
        let scenario = self.builder.scenario;
        if scenario.model.vocab.is_some() {
            for (all, _) in &mut inputs {
                all.push(ops.embedding(n_tokens).into());
            }
            if scenario.vocabulary.embedding == EmbeddingTable::Sharded && inputs.len() > 1 {
                let label = Label::new(Activity::Embedding, self.place(0));
                inputs = self.reduce(stage, label, What::Residual, &inputs);
            }
        }
        for (all, _) in &mut inputs {
            all.push(ops.norm(n_tokens).into());
        }
        inputs
    }

    /// The needs of each rank of the first stage: the tokens of the step before, and the host that schedules.
    fn start(&mut self, copy: &PipelineCopy) -> Vec<Need> {
        let place = self.place(0);
        let gpus = &copy.stages[0].gpus;
        let follows = self.pass.tokens == Tokens::Newest;
        let ids =
            Data { what: What::TokenIds, rows: Rows::Fixed(self.n_tokens()), row_bytes: TOKEN_ID_BYTES };
        if self.builder.scenario.host_overhead.is_none() {
            let begin = |&rank: &GpuIdx| {
                if follows {
                    self.builder.arrive(place, (self.replica, rank), ids)
                } else {
                    self.builder.join(place, Some(rank), &[])
                }
            };
            return gpus.iter().map(begin).collect();
        }
        // One host schedules for all ranks.
        let all: Vec<GpuIdx> = copy.stages.iter().flat_map(|stage| stage.gpus.iter().copied()).collect();
        let scheduled = self.builder.schedule(place, &all, self.pass.n_sequences(), &[]);
        let others = gpus[1..].iter().map(|&rank| self.builder.join(place, Some(rank), &[scheduled]));
        let starts: Vec<Need> = [scheduled].into_iter().chain(others).collect();
        if follows {
            let (replica, micro_batch) = (self.replica, self.micro_batch);
            let port = |(&rank, &at): (&GpuIdx, &Need)| Port { replica, micro_batch, rank, at };
            self.builder.program.ins.extend(gpus.iter().zip(&starts).map(port));
        }
        starts
    }

    /// One layer on all ranks of a stage: two all-reduces.
    fn layer(&mut self, stage: &Stage, layer: u32, inputs: Vec<Pending>) -> Vec<Pending> {
        let (ops, n_tokens, place) = (self.builder.ops, self.n_tokens(), self.place(layer));
        let model = &self.builder.scenario.model;
        let moe = ops.moe();
        let last_without_head = layer + 1 == model.n_layers && model.vocab.is_none();
        let widths = share::sizes(moe.expert_hidden, self.n_ranks(), 0).map(u64::from);
        let shared = share::sizes(moe.shared_width(), self.n_ranks(), 0).map(u64::from);
        let rows = n_tokens * u64::from(moe.experts_per_token);
        let (group_rows, fill) = self.group_rows(layer, rows);

        let attention: Vec<Pending> = inputs
            .into_iter()
            .zip(&self.plan.head_shares)
            .map(|((mut all, needs), share)| {
                all.extend(fixed(self.pass.attention(self.builder, *share, n_tokens)));
                (all, needs)
            })
            .collect();
        let label = Label::new(Activity::Attention, place);
        let after = self.reduce(stage, label, What::AttentionOutputs, &attention);
        let experts: Vec<Pending> = widths
            .zip(shared)
            .zip(after)
            .map(|((width, shared), (mut all, needs))| {
                all.push(ops.residual_norm(n_tokens).into());
                all.extend(fixed(ops.shared_experts(n_tokens, shared)));
                all.extend(fixed(ops.gate(n_tokens)));
                all.extend(fixed(ops.permute(rows)));
                let [up, _, down] = ops.experts(group_rows, width);
                let [_, activation, _] = ops.experts(GroupRows::even(n_tokens, rows, (1, 1)), width);
                all.extend([Kernel { op: up, fill }, activation.into(), Kernel { op: down, fill }]);
                if moe.has_gate() {
                    all.push(ops.combine_sum(rows, n_tokens).into());
                }
                (all, needs)
            })
            .collect();
        let label = Label::new(Activity::Experts, place);
        let after = self.reduce(stage, label, What::ExpertOutputs, &experts);
        let next = if last_without_head { ops.residual(n_tokens) } else { ops.residual_norm(n_tokens) };
        let with_next = |(mut all, needs): Pending| {
            all.push(Kernel::from(next));
            (all, needs)
        };
        after.into_iter().map(with_next).collect()
    }

    /// The rows of all experts of a layer, which are on every rank: by choice where there is one.
    fn group_rows(&mut self, layer: u32, rows: u64) -> (GroupRows, Fill) {
        let (moe, tokens) = (self.builder.ops.moe(), self.n_tokens());
        if !moe.has_gate() {
            return (GroupRows::even(tokens, rows, (1, 1)), Fill::Fixed);
        }
        let n_experts = moe.n_routed_experts as usize;
        let block = GroupBlock { layer, choosing: self.pass.choosing(), n_experts, tokens, rows };
        let fill = Fill::Grouped(self.builder.grouped(block));
        (GroupRows::of_counts(0, []), fill)
    }

    /// Runs the kernels of every rank, then sums their outputs; the result is the needs of each rank.
    fn reduce(&mut self, stage: &Stage, label: Label, what: What, work: &[Pending]) -> Vec<Pending> {
        let data = self.builder.hidden_rows(what, Rows::Fixed(self.n_tokens()));
        if let ([gpu], [(kernels, needs)]) = (&stage.gpus[..], work) {
            let done = self.builder.kernels(label, *gpu, kernels, needs, data);
            return vec![(Vec::new(), vec![done])];
        }
        let kind = CollectiveKind::AllReduce;
        let bytes = self.stream_bytes();
        let done = self.builder.compute_and_share((label, kind), &stage.gpus, (bytes, data), work);
        vec![(Vec::new(), vec![done]); stage.gpus.len()]
    }

    /// Each rank sends its share of the residual stream to its peer, and the peers gather the shares.
    fn cross_stages(&mut self, from: &Stage, to: &Stage, inputs: &[Pending]) -> Vec<Pending> {
        let place = self.place(to.layers.start);
        let bytes = self.stream_bytes();
        let share = bytes.0.div_ceil(u64::from(self.n_ranks()));
        let mut arrivals = Vec::with_capacity(to.gpus.len());
        for ((&src, &dst), (kernels, needs)) in from.gpus.iter().zip(&to.gpus).zip(inputs) {
            // The kernels after the last sum belong to the stage that has it already.
            let label = Label::new(Activity::Experts, place);
            let stream = self.builder.stream(self.n_tokens());
            let ready = self.builder.kernels(label, src, kernels, needs, stream);
            let sent = Sent { to: dst, rows: Rows::Fixed(1), row_bytes: share };
            arrivals.push(self.send(place, src, (What::Residual, sent), ready));
        }
        if arrivals.len() > 1 {
            let stream = self.builder.stream(self.n_tokens());
            let kind = CollectiveKind::AllGather;
            let gathered = self.builder.collective(kind, place, &to.gpus, (bytes, stream), &arrivals);
            arrivals = vec![gathered; to.gpus.len()];
        }
        arrivals.into_iter().map(|arrival| (Vec::new(), vec![arrival])).collect()
    }

    /// Token ids return to the first stage, where the next step waits for them.
    fn feed_back(&mut self, copy: &PipelineCopy, tokens: &[Need]) {
        let (first, last) = (&copy.stages[0], &copy.stages[copy.stages.len() - 1]);
        for (rank, &token) in tokens.iter().enumerate() {
            let (src, dst) = (last.gpus[rank], first.gpus[rank]);
            let known = if src == dst {
                token
            } else {
                let place = self.place(self.builder.scenario.model.n_layers);
                let sent = Sent { to: dst, rows: Rows::Fixed(self.n_tokens()), row_bytes: TOKEN_ID_BYTES };
                self.send(place, src, (What::TokenIds, sent), token)
            };
            let (replica, micro_batch) = (self.replica, self.micro_batch);
            self.builder.program.outs.push(Port { replica, micro_batch, rank: dst, at: known });
        }
    }

    fn send(&mut self, place: Place, from: GpuIdx, (what, sent): (What, Sent), after: Need) -> Need {
        let label = Label::new(Activity::StageSend, place);
        self.builder.exchange(label, (from, Posted::InTurn), what, &[sent], &[after])[0]
    }

    fn place(&self, layer: u32) -> Place {
        Place { layer, micro_batch: self.micro_batch }
    }

    /// Rows of tokens, and those that fill a captured graph.
    fn n_tokens(&self) -> u64 {
        self.pass.n_rows(self.builder.scenario)
    }

    fn n_ranks(&self) -> u32 {
        u32::try_from(self.plan.head_shares.len()).expect("fewer than 2^32 GPUs")
    }

    /// The residual stream of the micro-batch.
    fn stream_bytes(&self) -> Bytes {
        let model = &self.builder.scenario.model;
        Bytes(self.n_tokens() * u64::from(model.hidden) * model.dtype.activations.bytes())
    }
}
