//! The first steps of a run on a time line: GPUs as processes, streams as threads.

use std::collections::BTreeMap;

use masim_engine::{GraphId, Span, StreamId, TaskId, TaskRef};
use masim_units::{SimDuration, SimTime};

use super::name;
use crate::perfetto::{TraceArgs, TraceArrow, TraceInput, TraceInstant, TraceProcess, TraceSlice};
use masim_core::inputs::topology::GpuIdx;
use masim_core::program::Activity;
use masim_core::running::price::{Part, TaskInfo, stream_owner};
use masim_core::running::run::CopySteps;
use masim_core::scenario::Scenario;
use masim_core::search::Found;

/// Steps that are shown: enough to see the cold start and the repetition.
const N_STEPS: usize = 8;

/// Threads of a GPU before those of its concurrent sends.
const THREADS: [&str; 3] = ["compute", "collectives", "stage sends"];

/// The first steps of `found`'s run.
pub fn trace_input(scenario: &Scenario, found: &Found) -> TraceInput {
    let mut timeline = Timeline::new(scenario, &found.run.copies[0]);
    for copy in &found.run.copies {
        timeline.copy = copy;
        for (idx, step) in copy.records().iter().take(N_STEPS) {
            let graph = GraphId(u64::from(idx));
            for (info, task) in step.infos.iter().zip((0..).map(TaskId)) {
                timeline.show(TaskRef { graph, task }, info, step.trace.span(task), &step.parts);
            }
        }
        timeline.draw_arrows();
    }
    let processes = found.plan.roles().into_iter().map(|(gpu, role)| {
        let n_lanes = timeline.lanes.get(&gpu).map_or(0, Vec::len);
        let threads = THREADS.iter().map(ToString::to_string);
        TraceProcess {
            pid: gpu.0,
            name: format!("{} {role}", scenario.cluster.gpu(gpu).name),
            threads: threads.chain((1..=n_lanes).map(|lane| format!("send {lane}"))).collect(),
        }
    });
    TraceInput {
        processes: processes.collect(),
        slices: timeline.slices,
        arrows: timeline.arrows,
        instants: timeline.instants,
    }
}

/// A time line under construction.
struct Timeline<'a> {
    scenario: &'a Scenario,
    copy: &'a CopySteps,
    slices: Vec<TraceSlice>,
    arrows: Vec<TraceArrow>,
    instants: Vec<TraceInstant>,
    /// The first slice of each task of the copy.
    slice_of: BTreeMap<TaskRef, usize>,
    /// When each compute stream had its last task.
    busy_until: BTreeMap<GpuIdx, SimTime>,
    /// When each lane for concurrent sends of a GPU is free again.
    lanes: BTreeMap<GpuIdx, Vec<SimTime>>,
}

impl<'a> Timeline<'a> {
    fn new(scenario: &'a Scenario, copy: &'a CopySteps) -> Self {
        Self {
            scenario,
            copy,
            slices: Vec::new(),
            arrows: Vec::new(),
            instants: Vec::new(),
            slice_of: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            lanes: BTreeMap::new(),
        }
    }

    fn show(&mut self, task: TaskRef, info: &TaskInfo, span: Span, parts: &[Part]) {
        if info.activity == Activity::Barrier {
            self.show_barrier(info, span);
            return;
        }
        // Hosts have no row of their own: what they delay shows as a gap.
        if span.start == span.end || info.activity == Activity::Host {
            return;
        }
        let streams = self.copy.shape.streams(task.task);
        self.slice_of.insert(task, self.slices.len());
        match (streams, info.gpu) {
            ([], Some(gpu)) => {
                let lane = self.lane(gpu, span);
                self.slice((gpu.0, lane), info, span, self.wait(task, info, span));
            }
            ([], None) => unreachable!("a message has a sender"),
            (streams, _) => {
                for &stream in streams {
                    let wait = self.wait(task, info, span);
                    self.slice(place_of(stream), info, span, wait);
                }
                self.kernels(info, span, &parts[info.parts.start as usize..info.parts.end as usize]);
            }
        }
        if let (Some(gpu), false) = (info.gpu, info.activity.is_communication()) {
            self.busy_until.insert(gpu, span.end);
        }
    }

    /// A barrier of all GPUs, such as the end of a step; those that only order sends are left out.
    fn show_barrier(&mut self, info: &TaskInfo, span: Span) {
        if info.gpu.is_none() {
            let name = name(self.scenario, info);
            self.instants.extend(self.copy.gpus.iter().map(|gpu| TraceInstant {
                pid: gpu.0,
                tid: 0,
                name: name.clone(),
                at: span.end,
            }));
        }
    }

    fn slice(
        &mut self,
        (pid, tid): (u32, u32),
        info: &TaskInfo,
        span: Span,
        wait: Option<(SimDuration, String)>,
    ) {
        let (wait, wait_for) = wait.unzip();
        let args = TraceArgs {
            work: info.activity.name().to_owned(),
            layer: Some(info.place.layer),
            micro_batch: Some(info.place.micro_batch),
            bytes: info.activity.is_communication().then_some(info.bytes.0),
            provenance: info.activity.is_communication().then(|| info.basis.provenance.name().to_owned()),
            wait,
            wait_for,
        };
        let name = name(self.scenario, info);
        self.slices.push(TraceSlice {
            pid,
            tid,
            name,
            start: span.start,
            time: span.end.since(span.start),
            args,
        });
    }

    /// The kernels of a task, inside its slice.
    fn kernels(&mut self, info: &TaskInfo, span: Span, parts: &[Part]) {
        let mut start = span.start;
        for part in parts {
            let args = TraceArgs {
                work: part.kind.name().to_owned(),
                layer: Some(info.place.layer),
                micro_batch: Some(info.place.micro_batch),
                bytes: None,
                provenance: Some(part.basis.provenance.name().to_owned()),
                wait: None,
                wait_for: None,
            };
            let pid = info.gpu.expect("kernels run on a GPU").0;
            self.slices.push(TraceSlice {
                pid,
                tid: 0,
                name: part.kind.name().to_owned(),
                start,
                time: part.time,
                args,
            });
            start = start.checked_add(part.time).expect("inside a finished task");
        }
    }

    /// Idle time of the compute stream of the task's GPU before the task, and its cause.
    fn wait(&self, task: TaskRef, info: &TaskInfo, span: Span) -> Option<(SimDuration, String)> {
        let gpu = info.gpu.filter(|_| !info.activity.is_communication())?;
        let begin = || self.copy.records().iter().next().map_or(SimTime::ZERO, |(_, step)| step.begin());
        let since = self.busy_until.get(&gpu).copied().unwrap_or_else(begin);
        let cause = self.visible_cause(task)?;
        (since < span.start)
            .then(|| (span.start.since(since), name(self.scenario, self.copy.records().task(cause).0)))
    }

    /// Task whose end let this one start, barriers aside.
    fn visible_cause(&self, task: TaskRef) -> Option<TaskRef> {
        let records = self.copy.records();
        let mut cause = records.task(task).1.cause;
        while let Some(at) = cause.filter(|at| records.keeps(*at)) {
            let (info, span) = records.task(at);
            if span.start < span.end && info.activity != Activity::Barrier {
                return Some(at);
            }
            cause = span.cause;
        }
        None
    }

    /// The first thread on which a message does not overlap with another.
    fn lane(&mut self, gpu: GpuIdx, span: Span) -> u32 {
        let lanes = self.lanes.entry(gpu).or_default();
        let free = lanes.iter().position(|until| *until <= span.start).unwrap_or_else(|| {
            lanes.push(SimTime::ZERO);
            lanes.len() - 1
        });
        lanes[free] = span.end;
        u32::try_from(THREADS.len() + free).expect("few concurrent sends")
    }

    /// Draws the arrows between tasks of the copy.
    fn draw_arrows(&mut self) {
        for (&task, &to) in &self.slice_of {
            let from = self.visible_cause(task).and_then(|cause| self.slice_of.get(&cause));
            let place = |at: usize| (self.slices[at].pid, self.slices[at].tid);
            if let Some(&from) = from.filter(|&&from| place(from) != place(to)) {
                self.arrows.push(TraceArrow { from, to });
            }
        }
        self.slice_of.clear();
    }
}

/// Process and thread of a stream.
fn place_of(stream: StreamId) -> (u32, u32) {
    let (gpu, idx) = stream_owner(stream);
    (gpu.0, idx)
}
