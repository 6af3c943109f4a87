//! A step under construction: tasks with their work, and what each of them is.

use std::ops::Range;

use masim_engine::{ShapeBuilder, StreamId, TaskId, Work};
use masim_units::{Bytes, SimDuration};

use super::movement::Movement;
use super::{Lowering, collective_stream, compute_stream, host_stream};
use crate::inputs::topology::GpuIdx;
use crate::running::collective::CollectiveKind;
use crate::scenario::{Compression, Dtypes, Overlap};
use crate::timing::provenance::{Basis, Provenance};
use crate::work::cost::{Cost, TooLong};
use crate::work::ops::{Op, OpKind};

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// The attention half of a layer.
    Attention,
    /// The expert half of a layer.
    Experts,
    /// Before the first layer: rows of the embedding table.
    Embedding,
    /// After the last layer: LM head and sampling.
    Head,
    /// Kernels around a compressed collective.
    Quantise,
    /// Tokens to their experts.
    Dispatch,
    /// Expert outputs back.
    Combine,
    /// Queries and partial outputs among GPUs that share a cache.
    CacheExchange,
    /// A collective of a tensor-parallel group.
    Collective(CollectiveKind),
    /// Hidden states to the next stage, or token ids to the first.
    StageSend,
    /// The host schedules or launches.
    Host,
    /// No work: others wait for it.
    Barrier,
}

impl Activity {
    /// The name in reports and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Experts => "experts",
            Self::Embedding => "embedding",
            Self::Head => "head",
            Self::Quantise => "quantise",
            Self::Dispatch => "dispatch",
            Self::Combine => "combine",
            Self::CacheExchange => "cache_exchange",
            Self::Collective(kind) => kind.name(),
            Self::StageSend => "stage_send",
            Self::Host => "host",
            Self::Barrier => "barrier",
        }
    }

    /// Whether data is on its way.
    pub const fn is_communication(self) -> bool {
        match self {
            Self::Attention
            | Self::Experts
            | Self::Embedding
            | Self::Head
            | Self::Quantise
            | Self::Host
            | Self::Barrier => false,
            Self::Dispatch | Self::Combine | Self::CacheExchange | Self::Collective(_) | Self::StageSend => {
                true
            }
        }
    }
}

/// Where in the model and in the batch a task belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer; the number of layers for what follows the last one.
    pub layer: u32,
    /// The micro-batch.
    pub micro_batch: u32,
}

/// What a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// What it is for.
    pub activity: Activity,
    /// The GPU that computes, or that sends; none for what several do together.
    pub gpu: Option<GpuIdx>,
    /// The GPU that receives.
    pub to: Option<GpuIdx>,
    /// Where it belongs.
    pub place: Place,
    /// Data moved.
    pub bytes: Bytes,
    /// Its kernels, in [`Step::parts`].
    pub parts: Range<u32>,
    /// Where its latencies and rates come from, if it is communication; kernels have their own.
    pub basis: Basis,
}

impl TaskInfo {
    /// A task of one GPU that moves nothing and has no kernels.
    fn new((activity, place): (Activity, Place), gpu: Option<GpuIdx>) -> Self {
        let basis = Basis::unjudged(Provenance::Roofline);
        Self { activity, gpu, to: None, place, bytes: Bytes::ZERO, parts: 0..0, basis }
    }
}

/// One kernel of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is for.
    pub kind: OpKind,
    /// How long it takes alone, launch included.
    pub time: SimDuration,
    /// What that number rests on.
    pub basis: Basis,
    /// Arithmetic of its matrix products.
    pub flops: u64,
    /// Its traffic to the device memory.
    pub bytes: Bytes,
}

impl Part {
    fn new(op: &Op, cost: Cost, dtypes: Dtypes) -> Self {
        let Cost { time, basis } = cost;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of operations, of which 2^64 would take a GPU years"
        )]
        let flops = op.flops().0 as u64;
        Self { kind: op.kind, time, basis, flops, bytes: op.traffic(&dtypes) }
    }
}

/// The tasks of one step.
#[derive(Debug)]
pub struct Step {
    /// Tasks, streams and edges; `None` where a step before has them already.
    pub shape: Option<ShapeBuilder>,
    /// What each task does.
    pub works: Vec<Work>,
    /// What each task is.
    pub infos: Vec<TaskInfo>,
    /// Kernels of all tasks.
    pub parts: Vec<Part>,
    /// Tasks of the next step that wait for tasks of this one, which has the same tasks: (later, earlier).
    pub carries: Vec<(TaskId, TaskId)>,
    /// The barrier at which each micro-batch has its token.
    pub done: Vec<TaskId>,
    /// The scheduling that launches wait for.
    pub(super) scheduled: Option<TaskId>,
    /// How communication lies beside computation.
    overlap: Overlap,
}

impl Step {
    /// A step without tasks, with room for as many tasks and kernels as the step before had.
    pub(super) fn new(
        shape: Option<ShapeBuilder>,
        (n_tasks, n_parts): (usize, usize),
        overlap: Overlap,
    ) -> Self {
        Self {
            shape,
            works: Vec::with_capacity(n_tasks),
            infos: Vec::with_capacity(n_tasks),
            parts: Vec::with_capacity(n_parts),
            carries: Vec::new(),
            done: Vec::new(),
            scheduled: None,
            overlap,
        }
    }

    fn push(&mut self, streams: &[StreamId], after: &[TaskId], work: Work, info: TaskInfo) -> TaskId {
        let task = TaskId(u32::try_from(self.works.len()).expect("fewer than 2^32 tasks in a step"));
        self.works.push(work);
        self.infos.push(info);
        if let Some(shape) = &mut self.shape {
            shape.task(streams, after);
        }
        task
    }

    /// The kernels `ops` one after the other on `gpu`.
    pub(super) fn compute(
        &mut self,
        lowering: &Lowering,
        (activity, place): (Activity, Place),
        gpu: GpuIdx,
        ops: &[Op],
        after: &[TaskId],
    ) -> Result<TaskId, TooLong> {
        let card = &lowering.scenario.cluster.gpu(gpu).card;
        let first = self.n_parts();
        let (mut time, mut n_launches) = (SimDuration::ZERO, 0);
        for op in ops.iter().filter(|op| !op.is_empty()) {
            let cost = lowering.cost.cost(op, card)?;
            time = time.checked_add(cost.time).ok_or(TooLong { op: op.kind.name() })?;
            n_launches += op.n_launches();
            self.parts.push(Part::new(op, cost, lowering.scenario.model.dtype));
        }
        let parts = first..self.n_parts();
        let launched = self.launch(lowering, place, gpu, n_launches);
        let info = TaskInfo { parts, ..TaskInfo::new((activity, place), Some(gpu)) };
        let (streams, work) = ([compute_stream(gpu)], Work::Compute { time });
        let Some(launched) = launched else { return Ok(self.push(&streams, after, work, info)) };
        Ok(self.push(&streams, &[after, &[launched]].concat(), work, info))
    }

    /// As [`Step::compute`], cut into the chunks of the scenario: one task for each.
    pub(super) fn compute_in_chunks(
        &mut self,
        lowering: &Lowering,
        what: (Activity, Place),
        gpu: GpuIdx,
        ops: &[Op],
        after: &[TaskId],
    ) -> Result<Vec<TaskId>, TooLong> {
        let overlap = lowering.scenario.overlap;
        let chunks = 0..overlap.n_chunks();
        let chunk = |idx| self.compute(lowering, what, gpu, &chunk_of(ops, overlap, idx), waits(after, idx));
        chunks.map(chunk).collect()
    }

    /// The kernels and predecessors `work` of each member of `group`, then `kind` of the `bytes` that they computed.
    ///
    /// In the chunks of the scenario, each piece of communication follows its pieces of computation. The collectives
    /// of a GPU run one after the other, so that the result is the end of all of them.
    pub(super) fn compute_and_share(
        &mut self,
        lowering: &mut Lowering,
        (what, kind): ((Activity, Place), CollectiveKind),
        group: &[GpuIdx],
        bytes: Bytes,
        work: &[(Vec<Op>, Vec<TaskId>)],
    ) -> Result<TaskId, TooLong> {
        let follows_product = work.iter().all(|(ops, _)| ops.iter().any(Op::is_product));
        // Pieces of what no product precedes would all be there at once.
        let overlap = if follows_product { lowering.scenario.overlap } else { Overlap::None };
        let mut end = None;
        for idx in 0..overlap.n_chunks() {
            let mut computed = Vec::with_capacity(group.len());
            for (&gpu, (ops, after)) in group.iter().zip(work) {
                let ops = chunk_of(ops, overlap, idx);
                computed.push(self.compute(lowering, what, gpu, &ops, waits(after, idx))?);
            }
            let share = Bytes(overlap.share(bytes.0, idx));
            end = Some(self.collective(lowering, kind, what.1, group, share, &computed)?);
        }
        Ok(end.expect("at least one chunk"))
    }

    /// The host of `gpu` at work for `time`.
    pub(super) fn host(&mut self, place: Place, gpu: GpuIdx, time: SimDuration, after: &[TaskId]) -> TaskId {
        let basis = Basis::unjudged(Provenance::Assumed);
        let info = TaskInfo { basis, ..TaskInfo::new((Activity::Host, place), Some(gpu)) };
        self.push(&[host_stream(gpu)], after, Work::Delay { time }, info)
    }

    /// A point that others wait for.
    pub(super) fn barrier(&mut self, place: Place, gpu: Option<GpuIdx>, after: &[TaskId]) -> TaskId {
        let info = TaskInfo::new((Activity::Barrier, place), gpu);
        self.push(&[], after, Work::Barrier, info)
    }

    /// Data under way; without any byte, no kernel is launched.
    pub(super) fn transfer(
        &mut self,
        (activity, place): (Activity, Place),
        (src, dst): (Option<GpuIdx>, Option<GpuIdx>),
        streams: &[StreamId],
        movement: Movement,
        after: &[TaskId],
    ) -> TaskId {
        let Movement { flows, basis, slows } = movement.exposed(self.overlap);
        let bytes = flows.iter().map(|flow| flow.bytes).sum();
        let work = if bytes == Bytes::ZERO { Work::Barrier } else { Work::Transfer { flows, slows } };
        let info = TaskInfo { to: dst, bytes, basis, ..TaskInfo::new((activity, place), src) };
        self.push(streams, after, work, info)
    }

    /// A collective of `group`, each phase a task on the collective stream of every member.
    ///
    /// A group of one has nothing to do: the result is `after`'s only task.
    pub(super) fn collective(
        &mut self,
        lowering: &mut Lowering,
        kind: CollectiveKind,
        place: Place,
        group: &[GpuIdx],
        bytes: Bytes,
        after: &[TaskId],
    ) -> Result<TaskId, TooLong> {
        match (kind, lowering.scenario.collectives.compressed) {
            (CollectiveKind::AllReduce, Compression::Int8) => {
                return self.compressed_all_reduce(lowering, place, group, bytes, after);
            }
            (_, Compression::Int8 | Compression::None) => {}
        }
        let launched: Vec<TaskId> =
            group.iter().filter_map(|&gpu| self.launch(lowering, place, gpu, 1)).collect();
        let collective = lowering.choose(kind, group, bytes);
        let streams: Vec<_> = group.iter().map(|&gpu| collective_stream(gpu)).collect();
        let mut last: Vec<TaskId> = after.iter().copied().chain(launched).collect();
        for movement in lowering.phases(&collective, (kind, bytes), group) {
            last = vec![self.transfer(
                (Activity::Collective(kind), place),
                (None, None),
                &streams,
                movement,
                &last,
            )];
        }
        Ok(last[0])
    }

    fn n_parts(&self) -> u32 {
        u32::try_from(self.parts.len()).expect("fewer than 2^32 kernels in a step")
    }
}

/// Chunk `idx` of `ops`: the last product and what follows it by columns of their output, the first chunk with all before it.
///
/// Every chunk reads its own share of the weights, so that cutting costs launches and the inputs again.
fn chunk_of(ops: &[Op], overlap: Overlap, idx: u32) -> Vec<Op> {
    if overlap.n_chunks() == 1 {
        return ops.to_vec();
    }
    let at = ops.iter().rposition(Op::is_product).unwrap_or(ops.len());
    let before = if idx == 0 { &ops[..at] } else { &[] };
    let pieces = ops[at..].iter().map(|op| op.with_columns(|n| overlap.share(n, idx)));
    before.iter().copied().chain(pieces).collect()
}

/// What chunk `idx` waits for: the first for everything, the others follow on their stream.
fn waits(after: &[TaskId], idx: u32) -> &[TaskId] {
    if idx == 0 { after } else { &[] }
}
