//! Runs a plan step after step until it repeats.
//!
//! Steps are submitted ahead of time, so that the pipeline never drains between them. A step's time is
//! measured where its last micro-batch has its token.

pub mod steady;

pub use steady::{Steady, Window};

use std::sync::Arc;

use masim_engine::{
    Engine, EngineError, Graph, GraphId, Limits, Pause, Resources, Shape, Span, TaskId, TaskRef, Trace, Work,
    run_graph,
};
use masim_units::SimTime;

use crate::cost::{CostModel, TooLong};
use crate::load::RoutingSource;
use crate::lower::{Lowering, Part, Step, TaskInfo, n_streams};
use crate::plan::Plan;
use crate::scenario::{Choice, Scenario};

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

    /// When step `idx` had its last token.
    pub fn end_of(&self, idx: u32) -> SimTime {
        let trace = &self.steps[idx as usize].trace;
        self.done.iter().map(|&task| trace.span(task).end).max().expect("a step has a micro-batch")
    }
}

/// What stays the same in all steps of a run.
struct Runner<'a> {
    lowering: Lowering<'a>,
    routing: &'a RoutingSource,
    shape: Arc<Shape>,
    carries: Vec<(TaskId, TaskId)>,
    n_paths: usize,
    /// Kept where every step has the same work.
    constant: Option<Lowered>,
}

/// The work of one step.
#[derive(Clone)]
struct Lowered {
    works: Arc<Vec<Work>>,
    infos: Arc<Vec<TaskInfo>>,
    parts: Arc<Vec<Part>>,
}

impl Lowered {
    fn record(&self, trace: Trace) -> StepRecord {
        StepRecord { infos: Arc::clone(&self.infos), parts: Arc::clone(&self.parts), trace }
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
    let mut lowering = Lowering::new(scenario, plan, cost);
    let Step { shape, works, infos, parts, carries, done } = lowering.step(&routing.step(0))?;
    let shape = shape.expect("the first step has the shape").build().expect("lowering makes no cycle");
    let shape = Arc::new(shape);
    let first = Lowered { works: Arc::new(works), infos: Arc::new(infos), parts: Arc::new(parts) };
    let resources = Resources {
        n_streams: n_streams(scenario.cluster.n_gpus()),
        links: scenario.cluster.links.iter().map(|link| link.bandwidth).collect(),
    };
    let graph = Graph { shape: Arc::clone(&shape), works: Arc::clone(&first.works), after: Vec::new() };
    let cold = first.record(run_graph(resources.clone(), lowering.wires().paths(), graph)?);
    let constant = routing.is_constant().then(|| first.clone());
    let mut runner = Runner { lowering, routing, shape, carries, n_paths: 0, constant };
    let engine = Engine::new(resources, Limits::NONE);
    let (steps, window, steady) = runner.run(engine, first.clone(), &done, scenario.n_steps)?;
    Ok(Run { shape: runner.shape, works: first.works, cold, steps, done, window, steady })
}

impl Runner<'_> {
    fn run(
        &mut self,
        mut engine: Engine,
        first: Lowered,
        done: &[TaskId],
        n_steps: Choice,
    ) -> Result<(Vec<StepRecord>, Window, Steady), RunError> {
        let mut submitted = vec![first];
        self.submit(&mut engine, &submitted)?;
        let mut traces: Vec<Option<Trace>> = vec![None];
        let n_micro_batches = u32::try_from(done.len()).expect("few micro-batches");
        let mut detector = steady::Detector::new(self.routing.is_constant(), n_micro_batches, n_steps);
        let mut verdict: Option<(Window, Steady)> = None;
        loop {
            let n_ended = traces.iter().take_while(|trace| trace.is_some()).count();
            if let Some((window, steady)) = verdict {
                // The steps that had begun before the window closed must have ended, too.
                if n_ended > window.last as usize + N_AHEAD as usize - 1 {
                    let records = traces.into_iter().zip(&submitted);
                    let steps =
                        records.map_while(|(trace, lowered)| trace.map(|trace| lowered.record(trace)));
                    return Ok((steps.collect(), window, steady));
                }
            } else if n_ended > detector.n_seen() {
                let trace = traces[detector.n_seen()].as_ref().expect("counted as ended");
                verdict = detector.see(done.iter().map(|&task| trace.span(task).end).collect());
                continue;
            }
            while submitted.len() < n_ended + N_AHEAD as usize {
                let step = u32::try_from(submitted.len()).expect("bounded by the detector");
                submitted.push(self.lower(step)?);
                traces.push(None);
                self.submit(&mut engine, &submitted)?;
            }
            match engine.advance(None)? {
                Pause::Finished { graph, trace } => {
                    traces[usize::try_from(graph.0).expect("few graphs")] = Some(trace);
                }
                Pause::Reached | Pause::Stalled { .. } => unreachable!("links and streams never stop here"),
            }
        }
    }

    fn lower(&mut self, step: u32) -> Result<Lowered, TooLong> {
        if let Some(constant) = &self.constant {
            return Ok(constant.clone());
        }
        let Step { works, infos, parts, .. } = self.lowering.step(&self.routing.step(step))?;
        assert_eq!(works.len(), self.shape.n_tasks() as usize, "all steps have the same tasks");
        Ok(Lowered { works: Arc::new(works), infos: Arc::new(infos), parts: Arc::new(parts) })
    }

    /// Submits the last of `steps`, which waits for tokens of the one before.
    fn submit(&mut self, engine: &mut Engine, steps: &[Lowered]) -> Result<(), EngineError> {
        let paths = self.lowering.wires().paths();
        for path in &paths[self.n_paths..] {
            engine.add_path(path);
        }
        self.n_paths = paths.len();
        let works = Arc::clone(&steps.last().expect("something to submit").works);
        let earlier = steps.len().checked_sub(2).map(|graph| GraphId(graph as u64));
        let waits = earlier.map(|graph| {
            self.carries.iter().map(move |&(later, task)| (later, TaskRef { graph, task })).collect()
        });
        engine
            .submit(Graph { shape: Arc::clone(&self.shape), works, after: waits.unwrap_or_default() })
            .map(|_| ())
    }
}
