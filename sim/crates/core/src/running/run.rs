//! Runs a plan step after step until it repeats.
//!
//! Steps are submitted ahead of time, so that the pipeline never drains between them. A step's time is
//! measured where its last micro-batch has its token.

mod stalled;
pub mod steady;

pub use stalled::Stalled;
pub use steady::{Steady, Window};

use std::collections::BTreeSet;
use std::sync::Arc;

use masim_engine::{
    Engine, EngineError, Graph, GraphId, Hop, Limits, LinkId, Pause, Resource, Resources, Shape, Span, Speed,
    TaskId, TaskRef, Trace, Work, run_graph,
};
use masim_units::{SimDuration, SimTime};

use crate::plan::Plan;
use crate::running::jitter::Variation;
use crate::running::price::{Part, Pricer, Step, TaskInfo, n_streams};
use crate::scenario::{Choice, Scenario};
use crate::work::cost::{CostModel, TooLong};
use crate::work::routing::RoutingSource;

/// Steps in the engine at once: the one that ends, and the ones that have begun before it does.
const N_AHEAD: u32 = 3;

/// Why a run has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// An operation is too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The engine gave up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Nothing moves any more.
    #[error("{0}")]
    Stalled(Box<Stalled>),
}

/// One step that has run.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// What each task is.
    pub infos: Arc<Vec<TaskInfo>>,
    /// Kernels of all tasks.
    pub parts: Arc<Vec<Part>>,
    /// When each task ran.
    pub trace: Trace,
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Tasks, streams and edges of every step.
    pub shape: Arc<Shape>,
    /// What the tasks of the first step do.
    pub works: Arc<Vec<Work>>,
    /// The first step alone, begun cold.
    pub cold: StepRecord,
    /// All steps, in order; the position is the number of the graph.
    pub steps: Vec<StepRecord>,
    /// Where each micro-batch has its token.
    pub done: Vec<TaskId>,
    /// The steps that were measured.
    pub window: Window,
    /// How the measurement was settled.
    pub steady: Steady,
}

impl Run {
    /// What and when `task` was.
    pub fn task(&self, task: TaskRef) -> (&TaskInfo, Span) {
        let step = &self.steps[usize::try_from(task.graph.0).expect("as many graphs as steps")];
        (&step.infos[task.task.0 as usize], step.trace.span(task.task))
    }

    /// The stretch of time that was measured: steady steps, or the whole of a run without any.
    pub fn measured(&self) -> (SimTime, SimTime) {
        match self.steady {
            Steady::Once => (SimTime::ZERO, self.cold_end()),
            Steady::Repeats { .. } | Steady::Settled { .. } | Steady::Unsettled { .. } => {
                (self.end_of(self.window.first), self.end_of(self.window.last))
            }
        }
    }

    /// Steps that were measured.
    pub fn n_measured(&self) -> u32 {
        match self.steady {
            Steady::Once => 1,
            Steady::Repeats { .. } | Steady::Settled { .. } | Steady::Unsettled { .. } => {
                self.window.n_steps()
            }
        }
    }

    /// The steps that were measured, by their position.
    pub fn measured_steps(&self) -> std::ops::RangeInclusive<u32> {
        match self.steady {
            Steady::Once => 0..=0,
            Steady::Repeats { .. } | Steady::Settled { .. } | Steady::Unsettled { .. } => {
                self.window.first + 1..=self.window.last
            }
        }
    }

    /// When the last task of the cold step ended.
    pub fn cold_end(&self) -> SimTime {
        self.cold.trace.spans.iter().map(|span| span.end).max().unwrap_or(SimTime::ZERO)
    }

    /// When step `idx` had its last token.
    pub fn end_of(&self, idx: u32) -> SimTime {
        last_end(&self.steps[idx as usize].trace, &self.done)
    }
}

/// What stands for one step until it has run.
#[derive(Clone, Debug)]
struct Lowered {
    infos: Arc<Vec<TaskInfo>>,
    parts: Arc<Vec<Part>>,
}

/// The work of one step.
type StepWork = (Lowered, Arc<Vec<Work>>);

impl Lowered {
    /// A step as it runs: as it was lowered, or as its draws have it.
    fn drawn(step: u32, (lowered, works): StepWork, variation: Option<&Variation>) -> StepWork {
        let Some(variation) = variation else { return (lowered, works) };
        let (works, parts) = variation.vary(step, &lowered.infos, &works, &lowered.parts);
        (Self { parts: Arc::new(parts), ..lowered }, Arc::new(works))
    }

    fn record(&self, trace: Trace) -> StepRecord {
        StepRecord { infos: Arc::clone(&self.infos), parts: Arc::clone(&self.parts), trace }
    }
}

/// A run under way: its pace becomes known first, the rest on demand.
pub struct Watch<'a> {
    lowering: Pricer<'a>,
    routing: &'a RoutingSource,
    resources: Resources,
    paths: Vec<Vec<Hop>>,
    engine: Engine,
    shape: Arc<Shape>,
    carries: Vec<(TaskId, TaskId)>,
    done: Vec<TaskId>,
    variation: Option<Variation>,
    /// The first step as it was lowered, and all others where routing is constant.
    first: StepWork,
    /// The works of the first step as it runs.
    first_works: Arc<Vec<Work>>,
    steps: Vec<Lowered>,
    traces: Vec<Option<Trace>>,
    /// Links that may change their speeds.
    touchable: BTreeSet<LinkId>,
    /// Links that have been stopped.
    stopped: BTreeSet<LinkId>,
}

/// The measured steps of a run, and how they were settled.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// The steps that were measured.
    pub window: Window,
    /// How the measurement was settled.
    pub steady: Steady,
    /// Time from the end of the first to the end of the last.
    pub time: SimDuration,
}

impl Verdict {
    /// Something to compare runs of different lengths by without rounding: picoseconds per 2^32 steps.
    pub fn pace(&self) -> u128 {
        (u128::from(self.time.as_ps()) << 32) / u128::from(self.window.n_steps())
    }
}

/// Runs `plan` until its steps repeat or their mean is known well enough.
///
/// # Errors
///
/// [`RunError`] when simulated time cannot hold the run.
pub fn run_plan(
    scenario: &Scenario,
    plan: &Plan,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> Result<Run, RunError> {
    let mut watch = Watch::begin(scenario, plan, routing, cost)?;
    let verdict = watch.until_steady(scenario.n_steps)?;
    watch.finish(verdict)
}

impl<'a> Watch<'a> {
    /// Lowers and submits the first step of a run in which links keep their speeds.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold a task.
    pub fn begin(
        scenario: &'a Scenario,
        plan: &'a Plan,
        routing: &'a RoutingSource,
        cost: &'a dyn CostModel,
    ) -> Result<Self, RunError> {
        Self::begin_touching(scenario, plan, routing, cost, BTreeSet::new())
    }

    /// Lowers and submits the first step of a run in which `touchable` links may change their speeds.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold a task.
    pub fn begin_touching(
        scenario: &'a Scenario,
        plan: &'a Plan,
        routing: &'a RoutingSource,
        cost: &'a dyn CostModel,
        touchable: BTreeSet<LinkId>,
    ) -> Result<Self, RunError> {
        let mut lowering = Pricer::new(scenario, plan, cost);
        let Step { shape, works, infos, parts, carries, done, .. } = lowering.step(&routing.step(0))?;
        let shape = shape.expect("the first step has the shape").build().expect("lowering makes no cycle");
        let (resources, paths) = machine(scenario, &lowering, &touchable);
        let works = Arc::new(works);
        let mut engine = Engine::new(resources.clone(), Limits::NONE);
        for path in &paths {
            engine.add_path(path);
        }
        let mut watch = Self {
            lowering,
            routing,
            resources,
            paths,
            engine,
            shape: Arc::new(shape),
            carries,
            done,
            variation: Variation::of(scenario),
            first: (Lowered { infos: Arc::new(infos), parts: Arc::new(parts) }, Arc::clone(&works)),
            first_works: works,
            steps: Vec::new(),
            traces: Vec::new(),
            touchable,
            stopped: BTreeSet::new(),
        };
        let first = Lowered::drawn(0, watch.first.clone(), watch.variation.as_ref());
        watch.first_works = Arc::clone(&first.1);
        watch.submit(first)?;
        Ok(watch)
    }

    /// Sets the speed of a link from now on.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold what slows down.
    ///
    /// # Panics
    ///
    /// When the run was not told that the link may change its speed: then it may be left out of its paths.
    pub fn set_link_speed(&mut self, link: LinkId, speed: Speed) -> Result<(), RunError> {
        assert!(self.touchable.contains(&link), "link {} was said to keep its speed", link.0);
        if speed == Speed::ZERO {
            self.stopped.insert(link);
        } else {
            self.stopped.remove(&link);
        }
        Ok(self.engine.set_speed(Resource::Link(link), speed)?)
    }

    /// Lets steps pass until their pace is known.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold the run.
    pub fn until_steady(&mut self, n_steps: Choice) -> Result<Verdict, RunError> {
        let n_micro_batches = u32::try_from(self.done.len()).expect("few micro-batches");
        let is_constant = self.routing.is_constant() && self.variation.is_none();
        let mut detector = steady::Detector::new(is_constant, n_micro_batches, n_steps);
        loop {
            self.run_through(detector.n_seen())?;
            let trace = self.trace(detector.n_seen());
            let ends = self.done.iter().map(|&task| trace.span(task).end).collect();
            if let Some((window, steady)) = detector.see(ends) {
                let time = self.end_of(window.last).since(self.end_of(window.first));
                return Ok(Verdict { window, steady, time });
            }
        }
    }

    /// Ends the steps that had begun when the window closed, and runs the cold step.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold the run.
    pub fn finish(mut self, verdict: Verdict) -> Result<Run, RunError> {
        let Verdict { window, steady, .. } = verdict;
        for step in window.last..window.last + N_AHEAD {
            self.run_through(step as usize)?;
        }
        let graph =
            Graph { shape: Arc::clone(&self.shape), works: Arc::clone(&self.first_works), after: Vec::new() };
        let cold = self.steps[0].record(run_graph(self.resources, &self.paths, graph)?);
        let records = self.traces.into_iter().zip(&self.steps);
        let steps = records.map_while(|(trace, lowered)| trace.map(|trace| lowered.record(trace))).collect();
        Ok(Run { shape: self.shape, works: self.first_works, cold, steps, done: self.done, window, steady })
    }

    /// Lets time pass until step `idx` has ended; the steps behind it are submitted before it does.
    fn run_through(&mut self, idx: usize) -> Result<(), RunError> {
        while self.traces.get(idx).is_none_or(Option::is_none) {
            let n_ended = self.traces.iter().take_while(|trace| trace.is_some()).count();
            while self.steps.len() < n_ended + N_AHEAD as usize {
                self.submit_next()?;
            }
            match self.engine.advance(None)? {
                Pause::Finished { graph, trace } => {
                    self.traces[usize::try_from(graph.0).expect("few graphs")] = Some(trace);
                }
                Pause::Stalled { waiting } => return Err(self.stalled(&waiting)),
                Pause::Reached => unreachable!("a step is under way"),
            }
        }
        Ok(())
    }

    fn stalled(&self, waiting: &[TaskRef]) -> RunError {
        let (Lowered { infos, .. }, works) = &self.first;
        let what = (infos.as_slice(), works.as_slice(), self.paths.as_slice());
        let cluster = self.lowering.fabric().cluster();
        RunError::Stalled(Box::new(Stalled::of(waiting, what, &self.stopped, cluster)))
    }

    fn submit_next(&mut self) -> Result<(), RunError> {
        let step = u32::try_from(self.steps.len()).expect("bounded by the detector");
        let work = self.lower(step)?;
        Ok(self.submit(Lowered::drawn(step, work, self.variation.as_ref()))?)
    }

    fn lower(&mut self, step: u32) -> Result<StepWork, RunError> {
        if self.routing.is_constant() {
            return Ok(self.first.clone());
        }
        let Step { works, infos, parts, .. } = self.lowering.step(&self.routing.step(step))?;
        assert_eq!(works.len(), self.shape.n_tasks() as usize, "all steps have the same tasks");
        assert_eq!(self.lowering.fabric().paths().len(), self.paths.len(), "all steps have the same paths");
        Ok((Lowered { infos: Arc::new(infos), parts: Arc::new(parts) }, Arc::new(works)))
    }

    /// Submits a step, which waits for tokens of the one before.
    fn submit(&mut self, (step, works): StepWork) -> Result<(), EngineError> {
        let earlier = self.steps.len().checked_sub(1).map(|graph| GraphId(graph as u64));
        let wait = |graph| {
            let carries = self.carries.iter();
            carries.map(move |&(later, task)| (later, TaskRef { graph, task })).collect()
        };
        let after = earlier.map(wait).unwrap_or_default();
        self.engine.submit(Graph { shape: Arc::clone(&self.shape), works, after })?;
        self.steps.push(step);
        self.traces.push(None);
        Ok(())
    }

    fn trace(&self, step: usize) -> &Trace {
        self.traces[step].as_ref().expect("the step has ended")
    }

    fn end_of(&self, step: u32) -> SimTime {
        last_end(self.trace(step as usize), &self.done)
    }
}

/// Runs one step that follows no other, such as that of prompts.
///
/// # Errors
///
/// [`RunError`] when simulated time cannot hold the run.
pub fn run_once(
    scenario: &Scenario,
    plan: &Plan,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> Result<Run, RunError> {
    let mut lowering = Pricer::new(scenario, plan, cost);
    let Step { shape, works, infos, parts, done, .. } = lowering.step(&routing.step(0))?;
    let shape = shape.expect("the first step has the shape").build().expect("lowering makes no cycle");
    let (resources, paths) = machine(scenario, &lowering, &BTreeSet::new());
    let shape = Arc::new(shape);
    let lowered = Lowered { infos: Arc::new(infos), parts: Arc::new(parts) };
    let (lowered, works) = Lowered::drawn(0, (lowered, Arc::new(works)), Variation::of(scenario).as_ref());
    let graph = Graph { shape: Arc::clone(&shape), works: Arc::clone(&works), after: Vec::new() };
    let trace = run_graph(resources, &paths, graph)?;
    let cold = lowered.record(trace);
    let window = Window { first: 0, last: 0 };
    Ok(Run { shape, works, steps: vec![cold.clone()], cold, done, window, steady: Steady::Once })
}

/// The streams and links of the cluster, and the paths that the first step uses.
fn machine(
    scenario: &Scenario,
    lowering: &Pricer,
    touchable: &BTreeSet<LinkId>,
) -> (Resources, Vec<Vec<Hop>>) {
    let fabric = lowering.fabric();
    let links = fabric.rates_in_run();
    fabric.assert_chosen_by(&links);
    let resources = Resources { n_streams: n_streams(scenario.cluster.n_gpus()), links };
    // Every step uses the paths of the first.
    (resources, fabric.essential_paths(touchable))
}

/// When the last of `done` ended.
fn last_end(trace: &Trace, done: &[TaskId]) -> SimTime {
    done.iter().map(|&task| trace.span(task).end).max().expect("a step has a micro-batch")
}
