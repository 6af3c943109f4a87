//! Runs a plan step after step until it repeats.
//!
//! Steps are submitted ahead of time, so that the pipeline never drains between them. A step's time is
//! measured where its last micro-batch has its token.

mod stalled;
pub mod steady;
pub mod steps;
pub mod fold;
pub mod policy;
mod copies;
pub mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;

use masim_engine::{EngineError, Graph, Hop, LinkId, Resources, Shape, TaskId, Work, run_graph};
use masim_units::SimTime;

use crate::plan::Plan;
use crate::running::jitter::Variation;
use crate::running::price::{Pricer, Step, n_streams};
use crate::scenario::Scenario;
use crate::work::cost::{CostModel, TooLong};
use crate::work::routing::RoutingSource;
pub use fold::{Fold, Stretch};
pub use policy::{Change, Ended, Policy};
pub use stalled::Stalled;
pub use steady::{Steady, Verdict, Window};
pub(crate) use steps::number_of;
pub use steps::{CopySteps, Records, StepRecord};
pub use watch::{Holding, Watch};

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

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Tasks, streams and edges of a step of the whole cluster.
    pub shape: Arc<Shape>,
    /// Works of the tasks of the first step.
    pub works: Arc<Vec<Work>>,
    /// The first step alone, begun cold.
    pub cold: StepRecord,
    /// Steps of each copy of the model that has a clock of its own.
    pub copies: Vec<CopySteps>,
    /// Tasks at which micro-batches have their tokens, in the step of the whole cluster.
    pub done: Vec<TaskId>,
    /// The steps that were measured.
    pub window: Window,
    /// Outcome of the measurement.
    pub steady: Steady,
}

impl Run {
    /// The measured stretch of `copy`: steady steps, or the whole of a run without any.
    pub fn stretch(&self, copy: &CopySteps) -> Stretch {
        match self.steady {
            Steady::Once => Stretch { first: None, last: 0, from: SimTime::ZERO, to: self.cold_end() },
            Steady::Repeats { .. } | Steady::Settled { .. } | Steady::Unsettled { .. } => {
                let Window { first, last } = self.window;
                Stretch { first: Some(first), last, from: copy.end_of(first), to: copy.end_of(last) }
            }
        }
    }

    /// The time in which all copies are measured; empty where they have drifted too far apart.
    pub fn measured(&self) -> (SimTime, SimTime) {
        let stretches = || self.copies.iter().map(|copy| self.stretch(copy));
        let from = stretches().map(|stretch| stretch.from).max().unwrap_or(SimTime::ZERO);
        (from, stretches().map(|stretch| stretch.to).min().unwrap_or(from).max(from))
    }

    /// Time of a measured step in microseconds, mean over copies.
    pub fn period_us(&self) -> f64 {
        self.copies.iter().map(|copy| self.period_of_us(copy)).sum::<f64>() / self.copies.len() as f64
    }

    /// Time of a measured step of `copy` in microseconds.
    pub fn period_of_us(&self, copy: &CopySteps) -> f64 {
        let stretch = self.stretch(copy);
        stretch.to.since(stretch.from).as_us() / f64::from(self.n_measured())
    }

    /// The part of [`Run::measured`] of which all steps are kept.
    pub fn kept(&self) -> (SimTime, SimTime) {
        let (from, to) = self.measured();
        // Tasks of the step before the first that is kept may end after that one's last token, but before the next one's.
        let forgets = self.copies.iter().filter(|copy| copy.records().first() > 0);
        let kept = forgets.map(|copy| copy.end_of(copy.records().first() + 1)).max().unwrap_or(from);
        (kept.max(from), to.max(kept))
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

    /// When the last task of the cold step ended.
    pub fn cold_end(&self) -> SimTime {
        self.cold.end()
    }
}

/// Runs `plan` until its steps repeat or their mean is known well enough, and keeps all of them.
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
    run_plan_with(scenario, plan, routing, cost, (Holding::ALL, ())).map(|(run, _)| run)
}

/// Runs as [`run_plan`] does; copies of `fold` take in the steps of each copy that need not be kept.
///
/// # Errors
///
/// [`RunError`] when simulated time cannot hold the run.
pub fn run_plan_with<F: Fold + Clone>(
    scenario: &Scenario,
    plan: &Plan,
    routing: &RoutingSource,
    cost: &dyn CostModel,
    held: (Holding, F),
) -> Result<(Run, Vec<F>), RunError> {
    let mut watch = Watch::begin(scenario, plan, routing, cost, held)?;
    let verdict = watch.until_steady()?;
    watch.finish(verdict)
}

/// Runs as [`run_plan`] does; `policy` decides between steps.
///
/// # Errors
///
/// [`RunError`] when simulated time cannot hold the run, or the policy stops it.
pub fn run_under(
    scenario: &Scenario,
    plan: &Plan,
    routing: &RoutingSource,
    cost: &dyn CostModel,
    policy: &mut dyn Policy,
) -> Result<Run, RunError> {
    let mut watch = Watch::begin_under(scenario, plan, routing, cost, (Holding::ALL, ()), Some(policy))?;
    let verdict = watch.until_steady()?;
    watch.finish(verdict).map(|(run, _)| run)
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
    let Step { shape, mut works, infos, mut parts, done, .. } = lowering.step(&routing.step(0))?;
    let shape = shape.expect("the first step has the shape").build().expect("lowering makes no cycle");
    let (resources, paths) = machine(scenario, &lowering, &BTreeSet::new());
    let shape = Arc::new(shape);
    if let Some(variation) = Variation::of(scenario) {
        (works, parts) = variation.vary(0, &infos, &works, &parts);
    }
    let works = Arc::new(works);
    let graph = Graph { shape: Arc::clone(&shape), works: Arc::clone(&works), after: Vec::new() };
    let trace = run_graph(resources, &paths, graph)?;
    let cold = StepRecord { infos: Arc::new(infos), parts: Arc::new(parts), trace };
    let gpus = plan.roles().into_iter().map(|(gpu, _)| gpu).collect();
    let copies = vec![CopySteps::alone(Arc::clone(&shape), done.clone(), gpus, cold.clone())];
    Ok(Run { shape, works, cold, copies, done, window: Window { first: 0, last: 0 }, steady: Steady::Once })
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
