//! From a plan to a program: one step of the whole cluster, without times, links or paths.
//!
//! Kernels that follow each other on a rank without communication between them are one instruction; the program has as few
//! instructions as the plan has points of communication.

mod attention;
mod compressed;
mod counts;
mod experts;
mod head;
mod pass;
mod pipeline;
mod prompts;
mod routed;
mod shared;
mod wave;

use std::collections::BTreeMap;
use std::ops::Range;

use masim_units::Bytes;

use super::instr::{Activity, Counts, Does, Instr, InstrIdx, Kernel, Label, Message, Need, Place, Posted};
use super::sizing::{GroupBlock, Sizing};
use super::skeleton::{Port, Skeleton};
use super::value::{Data, GroupIdx, Holder, Value, ValueIdx, What};
use super::{Program, size::Rows};
use crate::inputs::topology::GpuIdx;
use crate::plan::Plan;
use crate::scenario::{Compression, Overlap, Scenario};
use crate::work::batch::Batch;
use crate::work::collectives::CollectiveKind;
use crate::work::ops::LayerOps;

/// Rules of a program that follow from neither plan nor batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// True if hosts learn counts of rows from each other before they launch sends.
    pub counts_are_exchanged: bool,
}

/// The program of one step of `plan` over `batch`, and the way from the choices of tokens to its sizes.
pub fn build(scenario: &Scenario, plan: &Plan, batch: &Batch, rules: Rules) -> (Program, Sizing) {
    let mut builder = Builder::new(scenario, batch, rules);
    match plan {
        Plan::Routed(plan) => routed::build(&mut builder, plan),
        Plan::Pipeline(plan) => pipeline::build(&mut builder, plan),
    }
    (builder.program, builder.sizing)
}

/// A program under construction.
struct Builder<'a> {
    scenario: &'a Scenario,
    batch: &'a Batch,
    ops: LayerOps<'a>,
    rules: Rules,
    program: Program,
    sizing: Sizing,
    groups: BTreeMap<Vec<GpuIdx>, GroupIdx>,
}

/// Kernels that a rank begins with, and what it waits for.
type Pending = (Vec<Kernel>, Vec<Need>);

impl<'a> Builder<'a> {
    fn new(scenario: &'a Scenario, batch: &'a Batch, rules: Rules) -> Self {
        let program = Program { n_ranks: scenario.cluster.n_gpus(), ..Program::default() };
        Self {
            scenario,
            batch,
            ops: LayerOps::new(&scenario.model),
            rules,
            program,
            sizing: Sizing::default(),
            groups: BTreeMap::new(),
        }
    }

    fn skeleton(&mut self) -> &mut Skeleton {
        &mut self.program.skeleton
    }

    /// Marks the start of a pass through a layer.
    fn begin_layer(&mut self, layer: u32) {
        let at = self.program.skeleton.mark();
        self.program.layers.push((Some(layer), at));
    }

    /// Marks the end of the last of several layers.
    fn end_layers(&mut self) {
        let at = self.program.skeleton.mark();
        self.program.layers.push((None, at));
    }

    fn push(&mut self, label: Label, does: Does, needs: &[Need], data: Option<(Data, Holder)>) -> InstrIdx {
        let writes = data.map(|(data, on)| self.value(data, on));
        let skeleton = self.skeleton();
        let first = count(skeleton.needs.len());
        skeleton.needs.extend_from_slice(needs);
        let needs = first..count(skeleton.needs.len());
        let at = InstrIdx(count(skeleton.instrs.len()));
        skeleton.instrs.push(Instr { label, does, needs, writes });
        at
    }

    fn value(&mut self, data: Data, on: Holder) -> ValueIdx {
        let values = &mut self.skeleton().values;
        values.push(Value { data, on });
        ValueIdx(count(values.len() - 1))
    }

    /// The value that an instruction makes, as a need of others.
    fn written(&self, instr: InstrIdx) -> Need {
        let writes = self.program.skeleton.instrs[instr.0 as usize].writes;
        writes.map_or(Need::After(instr), Need::Value)
    }

    fn group(&mut self, ranks: &[GpuIdx]) -> GroupIdx {
        if let Some(&known) = self.groups.get(ranks) {
            return known;
        }
        let skeleton = &mut self.program.skeleton;
        let at = GroupIdx(count(skeleton.groups.len()));
        skeleton.groups.push(ranks.to_vec());
        self.groups.insert(ranks.to_vec(), at);
        at
    }

    /// `kernels` one after the other on `rank`, which make `data`.
    fn kernels(
        &mut self,
        label: Label,
        rank: GpuIdx,
        kernels: &[Kernel],
        needs: &[Need],
        data: Data,
    ) -> Need {
        let first = count(self.program.skeleton.kernels.len());
        self.skeleton().kernels.extend_from_slice(kernels);
        let kernels = first..first + count(kernels.len());
        let does = Does::Kernels { rank, kernels };
        let at = self.push(label, does, needs, Some((data, Holder::Rank(rank))));
        self.written(at)
    }

    /// The kernels of [`Builder::kernels`], cut into the chunks of the scenario: one instruction for each.
    fn kernels_in_chunks(
        &mut self,
        label: Label,
        rank: GpuIdx,
        (kernels, needs): (&[Kernel], &[Need]),
        data: Data,
    ) -> Vec<Need> {
        let overlap = self.scenario.overlap;
        let chunks = 0..overlap.n_chunks();
        let chunk = |idx| {
            let data = Data { row_bytes: overlap.share(data.row_bytes, idx), ..data };
            self.kernels(label, rank, &chunk_of(kernels, overlap, idx), needs_of_chunk(needs, idx), data)
        };
        chunks.map(chunk).collect()
    }

    /// The kernels and needs `work` of each member of `group`, then `kind` of the `bytes` that they computed.
    ///
    /// In the chunks of the scenario, each piece of communication follows its pieces of computation. The collectives
    /// of a rank run one after the other, so that the result is the end of all of them.
    fn compute_and_share(
        &mut self,
        (label, kind): (Label, CollectiveKind),
        group: &[GpuIdx],
        (bytes, data): (Bytes, Data),
        work: &[Pending],
    ) -> Need {
        let follows_product =
            work.iter().all(|(kernels, _)| kernels.iter().any(|kernel| kernel.op.is_product()));
        // Pieces of communication that follows no product would all be there at once.
        let overlap = if follows_product { self.scenario.overlap } else { Overlap::None };
        let mut end = None;
        for idx in 0..overlap.n_chunks() {
            let data = Data { row_bytes: overlap.share(data.row_bytes, idx), ..data };
            let mut computed = Vec::with_capacity(group.len());
            for (&rank, (kernels, needs)) in group.iter().zip(work) {
                let kernels = chunk_of(kernels, overlap, idx);
                computed.push(self.kernels(label, rank, &kernels, needs_of_chunk(needs, idx), data));
            }
            let share = Bytes(overlap.share(bytes.0, idx));
            end = Some(self.collective(kind, label.place, group, (share, data), &computed));
        }
        end.expect("at least one chunk")
    }

    /// `kind` of `bytes` in all by `group`, which makes `data` on every member.
    fn collective(
        &mut self,
        kind: CollectiveKind,
        place: Place,
        group: &[GpuIdx],
        (bytes, data): (Bytes, Data),
        needs: &[Need],
    ) -> Need {
        match (kind, self.scenario.collectives.compressed) {
            (CollectiveKind::AllReduce, Compression::Int8) => {
                self.compressed_all_reduce(place, group, (bytes, data), needs)
            }
            (_, Compression::Int8 | Compression::None) => {
                self.together(kind, place, group, (bytes, data), needs)
            }
        }
    }

    /// The collective of [`Builder::collective`], never compressed.
    fn together(
        &mut self,
        kind: CollectiveKind,
        place: Place,
        group: &[GpuIdx],
        (bytes, data): (Bytes, Data),
        needs: &[Need],
    ) -> Need {
        let counts = Counts::Even { rows: Rows::Fixed(1), row_bytes: bytes.0 };
        self.among(Label::new(Activity::Collective(kind), place), kind, group, (counts, data), needs)
    }

    /// `kind` of rows of expert tokens by the members of a group.
    fn of_experts(
        &mut self,
        kind: CollectiveKind,
        place: Place,
        group: &[GpuIdx],
        (rows, row_bytes): (Rows, u64),
        needs: &[Need],
    ) -> Need {
        let data = Data { what: What::ExpertOutputs, rows, row_bytes };
        let label = Label::new(Activity::Collective(kind), place);
        self.among(label, kind, group, (Counts::Even { rows, row_bytes }, data), needs)
    }

    /// `kind` by the members of a group, which all go on when it has ended.
    fn among(
        &mut self,
        label: Label,
        kind: CollectiveKind,
        group: &[GpuIdx],
        (counts, data): (Counts, Data),
        needs: &[Need],
    ) -> Need {
        let group = self.group(group);
        let does = Does::Collective { kind, group, counts, is_awaited: false };
        let at = self.push(label, does, needs, Some((data, Holder::Group(group))));
        self.written(at)
    }

    /// Messages from `from`, posted together; the result is one need for each.
    fn exchange(
        &mut self,
        label: Label,
        (from, posted): (GpuIdx, Posted),
        what: What,
        messages: &[Sent],
        needs: &[Need],
    ) -> Vec<Need> {
        let message = |&Sent { to, rows, row_bytes }: &Sent| {
            let value = self.value(Data { what, rows, row_bytes }, Holder::Rank(to));
            Message { from, to, rows, row_bytes, writes: Some(value) }
        };
        let all: Vec<Message> = messages.iter().map(message).collect();
        let messages = self.post(&all);
        self.push(label, Does::Exchange { from, messages, posted }, needs, None);
        all.iter().filter_map(|message| message.writes).map(Need::Value).collect()
    }

    fn post(&mut self, messages: &[Message]) -> Range<u32> {
        let first = count(self.program.skeleton.messages.len());
        self.skeleton().messages.extend_from_slice(messages);
        first..first + count(messages.len())
    }

    /// A point that others wait for.
    fn join(&mut self, place: Place, rank: Option<GpuIdx>, needs: &[Need]) -> Need {
        Need::After(self.push(Label::new(Activity::Barrier, place), Does::Join { rank }, needs, None))
    }

    /// The scheduling of `n_sequences` on `ranks` by the host of the first of them.
    fn schedule(&mut self, place: Place, ranks: &[GpuIdx], n_sequences: u64, needs: &[Need]) -> Need {
        let group = self.group(ranks);
        let does = Does::HostStep { rank: ranks[0], group, n_sequences };
        Need::After(self.push(Label::new(Activity::Host, place), does, needs, None))
    }

    /// An `in` of the program: the point at which `data` of the step before is on `rank`.
    fn arrive(&mut self, place: Place, (replica, rank): (u32, GpuIdx), data: Data) -> Need {
        let does = Does::Join { rank: Some(rank) };
        let at = self.push(Label::new(Activity::Barrier, place), does, &[], Some((data, Holder::Rank(rank))));
        let port = Port { replica, micro_batch: place.micro_batch, rank, at: Need::After(at) };
        self.program.ins.push(port);
        self.written(at)
    }

    /// The rows of the experts of one layer for some tokens.
    fn grouped(&mut self, block: GroupBlock) -> super::size::GroupedIdx {
        self.sizing.add_grouped(block)
    }

    /// Cached tokens of `sequences`: of all together, and of the one that has most.
    fn cached(&self, sequences: &Range<u32>) -> (u64, u64) {
        (self.batch.cached(sequences), self.batch.longest(sequences))
    }

    /// Rows of the residual stream.
    fn stream(&self, rows: u64) -> Data {
        self.hidden_rows(What::Residual, Rows::Fixed(rows))
    }

    /// Rows of hidden width in the format of activations.
    fn hidden_rows(&self, what: What, rows: Rows) -> Data {
        let model = &self.scenario.model;
        Data { what, rows, row_bytes: u64::from(model.hidden) * model.dtype.activations.bytes() }
    }
}

/// One message of an exchange.
#[derive(Clone, Copy, Debug)]
struct Sent {
    to: GpuIdx,
    rows: Rows,
    row_bytes: u64,
}

/// Operations whose sizes are equal in every step.
fn fixed(ops: impl IntoIterator<Item = crate::work::ops::Op>) -> impl Iterator<Item = Kernel> {
    ops.into_iter().map(Kernel::from)
}

/// Chunk `idx` of `kernels`: the last product and its followers by columns of their output, the first chunk with all before it.
///
/// Every chunk reads its own share of the weights, so that cutting costs launches and the inputs again.
fn chunk_of(kernels: &[Kernel], overlap: Overlap, idx: u32) -> Vec<Kernel> {
    if overlap.n_chunks() == 1 {
        return kernels.to_vec();
    }
    let at = kernels.iter().rposition(|kernel| kernel.op.is_product()).unwrap_or(kernels.len());
    let before = if idx == 0 { &kernels[..at] } else { &[] };
    let pieces = kernels[at..]
        .iter()
        .map(|kernel| Kernel { op: kernel.op.with_columns(|n| overlap.share(n, idx)), fill: kernel.fill });
    before.iter().copied().chain(pieces).collect()
}

/// The needs of chunk `idx`: the first waits for everything, the others follow on their queue.
fn needs_of_chunk(needs: &[Need], idx: u32) -> &[Need] {
    if idx == 0 { needs } else { &[] }
}

/// Tokens of a range.
fn n_of(range: &Range<u32>) -> u64 {
    u64::from(range.end - range.start)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 parts of a program")
}
