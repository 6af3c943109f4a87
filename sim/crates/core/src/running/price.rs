//! From a program to tasks with durations: the only place that makes them.
//!
//! One instruction becomes one or more tasks: a launch of the host before kernels, the phases of a collective, the messages of
//! an exchange. The engine sees as few tasks as the program has points of communication.

mod exchange;
mod host;
mod kernels;
mod movement;
mod collective;
mod step;

pub use step::{Part, Step, TaskInfo};

use std::ops::Range;
use std::sync::Arc;

use masim_engine::{ShapeBuilder, StreamId, TaskId, Work};
use masim_units::{Bytes, SimDuration};

use movement::Movement;

use crate::fabric::Fabric;
use crate::inputs::topology::GpuIdx;
use crate::plan::Plan;
use crate::program::{Counts, Does, Fill, Instr, InstrIdx, Need, Program, Rows, Rules, Sizes, Sizing, build};
use crate::running::collective::Collectives;
use crate::scenario::{Launch, Scenario};
use crate::work::batch::Batch;
use crate::work::cost::{CostModel, TooLong};
use crate::work::routing::StepRouting;

/// Streams of one GPU: compute, collectives, sends, and its host's launches.
const STREAMS_PER_GPU: u32 = 4;

/// Streams that a cluster of `n_gpus` has.
pub fn n_streams(n_gpus: u32) -> u32 {
    n_gpus * STREAMS_PER_GPU
}

/// The in-order queue of kernels of a GPU.
pub fn compute_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU)
}

/// The queue of collectives, beside computation.
pub fn collective_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU + 1)
}

/// The queue of single sends, beside both.
pub fn send_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU + 2)
}

/// The queue of the host's work for a GPU.
///
/// A host launches as fast as it can, so a GPU that is slower never waits for it, and a GPU that is faster runs at its
/// pace: a step takes the longer of both, after scheduling.
pub fn host_stream(gpu: GpuIdx) -> StreamId {
    StreamId(gpu.0 * STREAMS_PER_GPU + 3)
}

/// The GPU of a stream, and its position there: 0 compute, 1 collectives, 2 sends, 3 its host.
pub fn stream_owner(stream: StreamId) -> (GpuIdx, u32) {
    (GpuIdx(stream.0 / STREAMS_PER_GPU), stream.0 % STREAMS_PER_GPU)
}

/// Prices the steps of one program.
pub struct Pricer<'a> {
    scenario: &'a Scenario,
    cost: &'a dyn CostModel,
    program: Arc<Program>,
    sizing: Sizing,
    fabric: Fabric<'a>,
    collectives: Collectives,
    sizes: Sizes,
    /// The step that was priced first; instructions without a size of routing are as they are there.
    first: Option<First>,
}

/// The step that was priced first.
struct First {
    works: Vec<Work>,
    infos: Vec<TaskInfo>,
    parts: Vec<Part>,
    /// `[instruction]`: its tasks and its kernels.
    spans: Vec<(Range<u32>, Range<u32>)>,
}

/// A step while it is priced.
#[derive(Default)]
struct Pricing {
    step: Step,
    /// Ends of instructions, by position.
    ends: Vec<TaskId>,
    /// Tasks that make values, by position.
    makers: Vec<TaskId>,
    /// `[gpu]`: start of its first group of messages, end of the last one.
    groups: Vec<Option<(TaskId, TaskId)>>,
    /// `[gpu]`: the task that launches of its host wait for.
    scheduled: Vec<Option<TaskId>>,
}

impl Pricing {
    fn is_first(&self) -> bool {
        self.step.shape.is_some()
    }

    /// The tasks that an instruction waits for; they matter for the shape alone.
    fn after(&self, program: &Program, instr: &Instr) -> Vec<TaskId> {
        if !self.is_first() {
            return Vec::new();
        }
        program.skeleton.needs_of(instr).iter().map(|need| self.task(*need)).collect()
    }

    fn task(&self, need: Need) -> TaskId {
        match need {
            Need::Value(value) => self.makers[value.0 as usize],
            Need::After(instr) => self.ends[instr.0 as usize],
        }
    }
}

impl<'a> Pricer<'a> {
    /// Prepares to price steps of `plan`.
    pub fn new(scenario: &'a Scenario, plan: &Plan, cost: &'a dyn CostModel) -> Self {
        let fabric = Fabric::of_scenario(scenario);
        let rules = Rules { counts_are_exchanged: counts_are_exchanged(scenario, plan, &fabric) };
        let (program, sizing) = build(scenario, plan, &Batch::of_step(scenario), rules);
        Self {
            scenario,
            cost,
            program: Arc::new(program),
            sizing,
            fabric,
            collectives: Collectives::new(scenario.collectives, scenario.device_launch()),
            sizes: Sizes::default(),
            first: None,
        }
    }

    /// The program whose steps are priced.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Fills `sizes`, those of the step before, with those of a step in which tokens choose experts as `routing` says.
    pub fn size(&self, routing: &StepRouting, sizes: &mut Sizes) {
        self.sizing.fill(routing, sizes);
    }

    /// The sizes of the step priced last.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The fabric, with the paths that the steps priced so far use.
    pub fn fabric(&self) -> &Fabric<'a> {
        &self.fabric
    }

    /// One step in which tokens choose experts as `routing` says.
    ///
    /// All steps have the same tasks, streams and edges; only their work differs, and only the first of them has a
    /// [`Step::shape`].
    ///
    /// # Errors
    ///
    /// [`TooLong`] names an operation beyond 213 days.
    pub fn step(&mut self, routing: &StepRouting) -> Result<Step, TooLong> {
        let program = Arc::clone(&self.program);
        self.sizing.fill(routing, &mut self.sizes);
        match self.first.take() {
            None => self.first_step(&program),
            Some(first) => {
                let step = self.next_step(&program, &first);
                self.first = Some(first);
                step
            }
        }
    }

    fn first_step(&mut self, program: &Program) -> Result<Step, TooLong> {
        let mut pricing = Pricing {
            step: Step { shape: Some(ShapeBuilder::new()), ..Step::default() },
            groups: vec![None; program.n_ranks as usize],
            makers: vec![TaskId(0); program.skeleton.values.len()],
            scheduled: vec![None; program.n_ranks as usize],
            ..Pricing::default()
        };
        let mut spans = Vec::with_capacity(program.skeleton.instrs.len());
        for (idx, instr) in program.skeleton.indexed() {
            let (task, part) = (pricing.step.next().0, pricing.step.n_parts());
            let end = self.instr(program, &mut pricing, (idx, instr))?;
            pricing.ends.push(end);
            if let Some(value) = instr.writes {
                pricing.makers[value.0 as usize] = end;
            }
            spans.push((task..pricing.step.next().0, part..pricing.step.n_parts()));
        }
        let ends = program.ins.iter().zip(&program.outs);
        let joined = ends.map(|(later, earlier)| (pricing.task(later.at), pricing.task(earlier.at)));
        let carries = pricing.groups.iter().flatten().copied().chain(joined).collect();
        let done = program.done.iter().map(|&need| pricing.task(need)).collect();
        let step = Step { carries, done, ..pricing.step };
        let (works, infos, parts) = (step.works.clone(), step.infos.clone(), step.parts.clone());
        self.first = Some(First { works, infos, parts, spans });
        Ok(step)
    }

    fn next_step(&mut self, program: &Program, first: &First) -> Result<Step, TooLong> {
        let step = Step {
            works: Vec::with_capacity(first.works.len()),
            infos: Vec::with_capacity(first.infos.len()),
            parts: Vec::with_capacity(first.parts.len()),
            ..Step::default()
        };
        let scheduled = vec![None; program.n_ranks as usize];
        let mut pricing = Pricing { step, scheduled, ..Pricing::default() };
        for ((idx, instr), (tasks, parts)) in program.skeleton.indexed().zip(&first.spans) {
            if is_sized(program, instr) {
                self.instr(program, &mut pricing, (idx, instr))?;
                assert_eq!(pricing.step.next().0, tasks.end, "an instruction has equal tasks in every step");
            } else {
                first.copy(tasks, parts, &mut pricing.step);
            }
        }
        Ok(pricing.step)
    }

    /// Adds the tasks of an instruction; the result is the last of them.
    fn instr(
        &mut self,
        program: &Program,
        pricing: &mut Pricing,
        (idx, instr): (InstrIdx, &Instr),
    ) -> Result<TaskId, TooLong> {
        match &instr.does {
            Does::Kernels { rank, kernels } => {
                let kernels = &program.skeleton.kernels[kernels.start as usize..kernels.end as usize];
                self.kernels(pricing, (program, idx, instr), *rank, kernels)
            }
            Does::Exchange { from, messages, posted } => {
                let messages = &program.skeleton.messages[messages.start as usize..messages.end as usize];
                Ok(self.exchange(pricing, (program, idx, instr), (*from, *posted), messages))
            }
            Does::Collective { kind, group, counts: Counts::Even { rows, row_bytes }, is_awaited } => {
                let group = program.skeleton.group(*group);
                let (bytes, at) = (Bytes(rows.of(&self.sizes) * row_bytes), (program, idx, instr));
                Ok(match rows {
                    Rows::Fixed(_) => self.collective(pricing, at, group, (*kind, bytes, *is_awaited)),
                    Rows::At(_) => self.sized_collective(pricing, at, group, (*kind, bytes)),
                })
            }
            Does::Collective { group, counts: Counts::ByPair(messages), .. } => {
                let group = program.skeleton.group(*group);
                let messages = &program.skeleton.messages[messages.start as usize..messages.end as usize];
                Ok(self.by_pair(pricing, (program, idx, instr), group, messages))
            }
            Does::HostStep { rank, group, n_sequences } => {
                let group = program.skeleton.group(*group);
                self.host_step(pricing, (program, idx, instr), (*rank, group), *n_sequences)
            }
            Does::Join { rank } => {
                let after = pricing.after(program, instr);
                let info = TaskInfo::new((idx, instr.label), *rank);
                Ok(pricing.step.push(&[], &after, Work::Barrier, info))
            }
        }
    }

    /// Adds data under way, of which a part may be assumed to be hidden.
    fn transfer(
        &self,
        pricing: &mut Pricing,
        streams: &[StreamId],
        after: &[TaskId],
        (movement, info): (Movement, TaskInfo),
    ) -> TaskId {
        pricing.step.transfer(streams, after, movement.exposed(self.scenario.overlap), info)
    }

    /// The cost of a communication kernel on `gpu` before the first byte leaves.
    fn launch(&self, gpu: GpuIdx) -> SimDuration {
        self.cost.launch(&self.scenario.cluster.gpu(gpu).card)
    }
}

impl First {
    /// Appends the tasks and kernels of an instruction to a later step.
    fn copy(&self, tasks: &Range<u32>, parts: &Range<u32>, step: &mut Step) {
        let range = |range: &Range<u32>| range.start as usize..range.end as usize;
        let at = step.n_parts();
        step.works.extend_from_slice(&self.works[range(tasks)]);
        let moved = |part: u32| part - parts.start + at;
        step.infos.extend(self.infos[range(tasks)].iter().map(|info| TaskInfo {
            parts: if info.parts.is_empty() { 0..0 } else { moved(info.parts.start)..moved(info.parts.end) },
            ..info.clone()
        }));
        step.parts.extend_from_slice(&self.parts[range(parts)]);
    }
}

/// True if the work of an instruction follows from routing.
fn is_sized(program: &Program, instr: &Instr) -> bool {
    match &instr.does {
        Does::Kernels { kernels, .. } => {
            let kernels = &program.skeleton.kernels[kernels.start as usize..kernels.end as usize];
            kernels.iter().any(|kernel| kernel.fill != Fill::Fixed)
        }
        Does::Exchange { messages, .. } | Does::Collective { counts: Counts::ByPair(messages), .. } => {
            let messages = &program.skeleton.messages[messages.start as usize..messages.end as usize];
            messages.iter().any(|message| matches!(message.rows, Rows::At(_)))
        }
        Does::Collective { counts: Counts::Even { rows, .. }, .. } => matches!(rows, Rows::At(_)),
        Does::HostStep { .. } | Does::Join { .. } => false,
    }
}

/// True if hosts exchange counts of rows: where they launch kernels one by one, and a profile knows the time of it. Where
/// wires alone decide, counts are free.
fn counts_are_exchanged(scenario: &Scenario, plan: &Plan, fabric: &Fabric) -> bool {
    match (plan, scenario.launch) {
        (Plan::Routed(plan), Launch::Eager) => {
            let first = plan.attention.members().map(|(_, _, gpu)| gpu).next();
            fabric.calibrated(first.expect("a plan has GPUs")).is_some()
        }
        (Plan::Routed(_) | Plan::Pipeline(_), _) => false,
    }
}
