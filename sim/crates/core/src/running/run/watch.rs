//! A run under way: steps are lowered and submitted, copies go on, each on its own clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use masim_engine::{
    Engine, Graph, GraphId, Hop, Limits, LinkId, Pause, Resource, Resources, Shape, Speed, TaskId, TaskRef,
    Trace, Work, run_graph,
};
use masim_units::SimTime;

use super::copies::copies_of;
use super::fold::{Fold, Stretch};
use super::policy::{Change, Ended, Policy};
use super::steady::{Detector, Verdict};
use super::steps::{CopySteps, StepRecord};
use super::{Run, RunError, Stalled, machine};
use crate::plan::Plan;
use crate::running::jitter::Variation;
use crate::running::price::{Part, Pricer, Step, TaskInfo};
use crate::scenario::Scenario;
use crate::work::cost::CostModel;
use crate::work::routing::RoutingSource;

/// Steps behind the window of which the first tasks may have run in it.
const N_BEHIND: u32 = 2;

/// Lowered steps that are kept for copies that are behind others.
const N_LOWERED: usize = 16;

/// Memory that a run may hold; no result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Steps of a copy in the engine at once: the one that ends, and the ones that have begun before it does.
    pub n_ahead: u32,
    /// Memory for steps that have ended, in bytes; steps of which the window is not known yet are kept beyond it.
    pub n_bytes: usize,
}

impl Holding {
    /// In 64 MiB.
    pub const USUAL: Self = Self { n_ahead: 3, n_bytes: 64 << 20 };

    /// All steps are kept.
    pub const ALL: Self = Self { n_bytes: usize::MAX, ..Self::USUAL };
}

/// A step until it has run.
#[derive(Clone, Debug)]
struct Lowered {
    infos: Arc<Vec<TaskInfo>>,
    parts: Arc<Vec<Part>>,
    works: Arc<Vec<Work>>,
}

impl Lowered {
    /// A step as it runs: as it was lowered, or as its draws have it.
    fn drawn(self, step: u32, variation: Option<&Variation>) -> Self {
        let Some(variation) = variation else { return self };
        let (works, parts) = variation.vary(step, &self.infos, &self.works, &self.parts);
        Self { parts: Arc::new(parts), works: Arc::new(works), ..self }
    }

    /// The tasks of `copy`.
    fn of(&self, copy: &CopySteps) -> Self {
        let Some(tasks) = &copy.tasks else { return self.clone() };
        let at = |task: &TaskId| task.0 as usize;
        Self {
            infos: Arc::new(tasks.iter().map(|task| self.infos[at(task)].clone()).collect()),
            works: Arc::new(tasks.iter().map(|task| self.works[at(task)].clone()).collect()),
            parts: Arc::clone(&self.parts),
        }
    }

    fn record(&self, trace: Trace) -> StepRecord {
        StepRecord { infos: Arc::clone(&self.infos), parts: Arc::clone(&self.parts), trace }
    }
}

/// One copy under way.
struct UnderWay<F> {
    steps: CopySteps,
    fold: F,
    /// The graph of each step that was submitted.
    graphs: Vec<GraphId>,
    /// Steps in the engine, and those that ended before an earlier one did.
    lowered: BTreeMap<u32, Lowered>,
    ended: BTreeMap<u32, Trace>,
    /// Steps that the detector has not seen: the times when each micro-batch had its token.
    tokens: VecDeque<Vec<SimTime>>,
}

/// A run under way: its pace becomes known first, the rest on demand.
pub struct Watch<'a, F = ()> {
    lowering: Pricer<'a>,
    routing: &'a RoutingSource,
    holding: Holding,
    resources: Resources,
    paths: Vec<Vec<Hop>>,
    engine: Engine,
    variation: Option<Variation>,
    /// The step of the whole cluster.
    shape: Arc<Shape>,
    done: Vec<TaskId>,
    /// The first step as it was lowered, and all others where routing is constant.
    first: Lowered,
    /// Steps lowered last, for copies that are behind.
    recent: VecDeque<(u32, Lowered)>,
    copies: Vec<UnderWay<F>>,
    /// The copy of each graph in the engine, and its step.
    graphs: BTreeMap<GraphId, (usize, u32)>,
    detector: Detector,
    policy: Option<&'a mut dyn Policy>,
    /// Links whose speed may change.
    touchable: BTreeSet<LinkId>,
    /// Links that stand still.
    stopped: BTreeSet<LinkId>,
}

impl<'a, F: Fold + Clone> Watch<'a, F> {
    /// Lowers and submits the first step; `fold` takes in the steps of each copy that need not be kept.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold a task.
    pub fn begin(
        scenario: &'a Scenario,
        plan: &'a Plan,
        routing: &'a RoutingSource,
        cost: &'a dyn CostModel,
        held: (Holding, F),
    ) -> Result<Self, RunError> {
        Self::begin_under(scenario, plan, routing, cost, held, None)
    }

    /// Begins as [`Watch::begin`] does, with a policy that decides between steps.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold a task.
    pub fn begin_under(
        scenario: &'a Scenario,
        plan: &'a Plan,
        routing: &'a RoutingSource,
        cost: &'a dyn CostModel,
        (holding, fold): (Holding, F),
        policy: Option<&'a mut dyn Policy>,
    ) -> Result<Self, RunError> {
        let mut lowering = Pricer::new(scenario, plan, cost);
        let Step { shape, works, infos, parts, carries, done, .. } = lowering.step(&routing.step(0))?;
        let shape = shape.expect("the first step has the shape").build().expect("lowering makes no cycle");
        let shape = Arc::new(shape);
        let touchable = policy.as_ref().map(|policy| policy.touchable(&scenario.cluster)).unwrap_or_default();
        let (resources, paths) = machine(scenario, &lowering, &touchable);
        let mut engine = Engine::new(resources.clone(), Limits::NONE);
        for path in &paths {
            engine.add_path(path);
        }
        let variation = Variation::of(scenario);
        let copies = copies_of(plan, Arc::clone(&shape), &carries, &done);
        let is_constant = routing.is_constant() && variation.is_none() && policy.is_none();
        let n_micro_batches = u32::try_from(done.len()).expect("few micro-batches");
        let detector = Detector::new((is_constant, copies.len()), n_micro_batches, scenario.n_steps);
        let under_way = |steps| UnderWay {
            steps,
            fold: fold.clone(),
            graphs: Vec::new(),
            lowered: BTreeMap::new(),
            ended: BTreeMap::new(),
            tokens: VecDeque::new(),
        };
        let copies = copies.into_iter().map(under_way).collect();
        let first = Lowered { infos: Arc::new(infos), parts: Arc::new(parts), works: Arc::new(works) };
        let (recent, graphs) = (VecDeque::new(), BTreeMap::new());
        Ok(Self {
            lowering,
            routing,
            holding,
            resources,
            paths,
            engine,
            variation,
            shape,
            done,
            first,
            recent,
            copies,
            graphs,
            detector,
            policy,
            touchable,
            stopped: BTreeSet::new(),
        })
    }

    /// The same run, of which no step has begun, with `touchable` links whose speed may change too.
    ///
    /// # Panics
    ///
    /// When a step has begun.
    #[must_use]
    pub fn touching(mut self, touchable: BTreeSet<LinkId>) -> Self {
        assert!(self.graphs.is_empty(), "paths are settled before the first step");
        self.touchable.extend(touchable);
        self.paths = self.lowering.fabric().essential_paths(&self.touchable);
        self.engine = Engine::new(self.resources.clone(), Limits::NONE);
        for path in &self.paths {
            self.engine.add_path(path);
        }
        self
    }

    /// Sets the speed of a stream or a link from now on.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold the tasks that slow down.
    ///
    /// # Panics
    ///
    /// When the run was not told that the link may change its speed: then it may be left out of its paths.
    pub fn set_speed(&mut self, Change { resource, speed }: Change) -> Result<(), RunError> {
        if let Resource::Link(link) = resource {
            assert!(self.touchable.contains(&link), "link {} was said to keep its speed", link.0);
            if speed == Speed::ZERO {
                self.stopped.insert(link);
            } else {
                self.stopped.remove(&link);
            }
        }
        Ok(self.engine.set_speed(resource, speed)?)
    }

    /// Lets steps pass until their pace is known.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold the run.
    pub fn until_steady(&mut self) -> Result<Verdict, RunError> {
        loop {
            self.run_through(self.detector.n_seen())?;
            let tokens =
                self.copies.iter_mut().map(|copy| copy.tokens.pop_front().expect("the step has ended"));
            let tokens = tokens.collect();
            if let Some(verdict) = self.detector.see(tokens) {
                return Ok(verdict);
            }
            for copy in 0..self.copies.len() {
                self.fold(copy);
            }
        }
    }

    /// Ends the steps that had begun when the window closed, and runs the cold step.
    ///
    /// The folds have taken in the first steps of long runs; the others are kept by the run.
    ///
    /// # Errors
    ///
    /// [`RunError`] when simulated time cannot hold the run.
    pub fn finish(mut self, verdict: Verdict) -> Result<(Run, Vec<F>), RunError> {
        let Verdict { window, steady, .. } = verdict;
        let last = window.last + N_BEHIND;
        self.run_through(last)?;
        let first = self.first.clone().drawn(0, self.variation.as_ref());
        let graph =
            Graph { shape: Arc::clone(&self.shape), works: Arc::clone(&first.works), after: Vec::new() };
        let cold = first.record(run_graph(self.resources, &self.paths, graph)?);
        let mut folds = Vec::with_capacity(self.copies.len());
        let mut copies = Vec::with_capacity(self.copies.len());
        for UnderWay { mut steps, fold, .. } in self.copies {
            steps.truncate(last);
            copies.push(steps);
            folds.push(fold);
        }
        let run =
            Run { shape: self.shape, works: first.works, cold, copies, done: self.done, window, steady };
        Ok((run, folds))
    }

    /// Lets time pass until step `idx` of every copy has ended; the steps behind it are submitted before it does.
    fn run_through(&mut self, idx: u32) -> Result<(), RunError> {
        while self.copies.iter().any(|copy| copy.steps.n_ended() <= idx) {
            for copy in 0..self.copies.len() {
                let n_ahead = self.copies[copy].steps.n_ended() + self.holding.n_ahead;
                while self.copies[copy].graphs.len() < n_ahead as usize {
                    self.submit_next(copy)?;
                }
            }
            match self.engine.advance(None)? {
                Pause::Finished { graph, trace } => self.end(graph, trace)?,
                Pause::Stalled { waiting } => return Err(self.stalled(&waiting)),
                Pause::Reached => unreachable!("steps are under way"),
            }
        }
        Ok(())
    }

    fn stalled(&self, waiting: &[TaskRef]) -> RunError {
        let first = *waiting.first().expect("an engine stalls where a task has begun");
        let (copy, step) = self.graphs[&first.graph];
        let Lowered { infos, works, .. } = &self.copies[copy].lowered[&step];
        let what = (infos.as_slice(), works.as_slice(), self.paths.as_slice());
        let cluster = self.lowering.fabric().cluster();
        let at = (step, first.task, waiting.len());
        RunError::Stalled(Box::new(Stalled::of(at, what, &self.stopped, cluster)))
    }

    /// Submits the next step of a copy, which waits for the one before.
    fn submit_next(&mut self, copy: usize) -> Result<(), RunError> {
        let step = u32::try_from(self.copies[copy].graphs.len()).expect("bounded by the detector");
        let lowered = self.lower(step)?.of(&self.copies[copy].steps);
        let under_way = &mut self.copies[copy];
        let after = join(&under_way.steps.carries, under_way.graphs.last().copied());
        let works = Arc::clone(&lowered.works);
        let graph = self.engine.submit(Graph { shape: Arc::clone(&under_way.steps.shape), works, after })?;
        self.graphs.insert(graph, (copy, step));
        under_way.graphs.push(graph);
        under_way.lowered.insert(step, lowered);
        Ok(())
    }

    /// Step `step` of the whole cluster.
    fn lower(&mut self, step: u32) -> Result<Lowered, RunError> {
        if let Some((_, lowered)) = self.recent.iter().find(|(idx, _)| *idx == step) {
            return Ok(lowered.clone());
        }
        let lowered = if self.routing.is_constant() || step == 0 {
            self.first.clone()
        } else {
            let Step { works, infos, parts, .. } = self.lowering.step(&self.routing.step(step))?;
            assert_eq!(works.len(), self.shape.n_tasks() as usize, "all steps have the same tasks");
            assert_eq!(
                self.lowering.fabric().paths().len(),
                self.paths.len(),
                "all steps have the same paths"
            );
            Lowered { infos: Arc::new(infos), parts: Arc::new(parts), works: Arc::new(works) }
        };
        let lowered = lowered.drawn(step, self.variation.as_ref());
        if self.copies.len() > 1 {
            self.recent.truncate(N_LOWERED - 1);
            self.recent.push_front((step, lowered.clone()));
        }
        Ok(lowered)
    }

    /// Notes that `graph` has ended, and takes steps in that need not be kept.
    fn end(&mut self, graph: GraphId, trace: Trace) -> Result<(), RunError> {
        let (copy, step) = self.graphs.remove(&graph).expect("it was submitted");
        // A copy that is ahead of others goes on, beside them.
        let last = self.detector.end_known().map(|last| last + N_BEHIND);
        let mut changes = Vec::new();
        let under_way = &mut self.copies[copy];
        let trace = under_way.in_steps(step, trace);
        under_way.ended.insert(step, trace);
        while let Some(trace) = under_way.ended.remove(&under_way.steps.n_ended()) {
            let step = under_way.steps.n_ended();
            let lowered = under_way.lowered.remove(&step).expect("it was submitted");
            under_way
                .tokens
                .push_back(under_way.steps.done.iter().map(|&task| trace.span(task).end).collect());
            let record = lowered.record(trace);
            if let Some(policy) = &mut self.policy {
                let ended =
                    Ended { copy: &under_way.steps, idx: step, record: &record, at: self.engine.now() };
                changes.extend(policy.decide(&ended));
            }
            under_way.steps.push(record, last.is_none_or(|last| step <= last));
        }
        for change in changes {
            self.set_speed(change)?;
        }
        self.fold(copy);
        Ok(())
    }

    /// Takes in and forgets steps of `copy` that are not to be kept.
    fn fold(&mut self, copy: usize) {
        let Some((first, last)) = self.detector.first_known().zip(self.detector.last_known()) else { return };
        let (n_ahead, n_copies) = (self.holding.n_ahead, self.copies.len());
        let UnderWay { steps, fold, .. } = &mut self.copies[copy];
        while steps.n_bytes() > self.holding.n_bytes / n_copies {
            let idx = steps.n_folded();
            let (is_measured, ended) = (idx + n_ahead >= first, steps.n_ended());
            // The window goes on behind it, and whatever starts later is known to.
            if idx + 2 > last || idx + n_ahead >= ended || (is_measured && ended <= first) {
                return;
            }
            if is_measured {
                let (from, to) = (steps.end_of(first), SimTime::MAX);
                fold.take(steps, idx, &Stretch { first: Some(first), last: u32::MAX, from, to });
            }
            steps.folded(n_ahead);
        }
    }
}

impl<F> UnderWay<F> {
    /// A trace in which graphs are numbered by the steps of this copy.
    fn in_steps(&self, step: u32, mut trace: Trace) -> Trace {
        let own = GraphId(u64::from(step));
        if trace.graph == own {
            // One copy alone: every graph is the next step.
            return trace;
        }
        trace.graph = own;
        for cause in trace.spans.iter_mut().filter_map(|span| span.cause.as_mut()) {
            let at = self.graphs.binary_search(&cause.graph).expect("copies share no task");
            cause.graph = GraphId(at as u64);
        }
        trace
    }
}

/// Pairs of tasks of a step and those of the step before that they wait for, which was submitted as `earlier`.
fn join(carries: &[(TaskId, TaskId)], earlier: Option<GraphId>) -> Vec<(TaskId, TaskRef)> {
    let wait = |graph| carries.iter().map(move |&(later, task)| (later, TaskRef { graph, task })).collect();
    earlier.map(wait).unwrap_or_default()
}
