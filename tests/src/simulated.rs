//! Runs of one plan, and the two times that matter.

use std::sync::Arc;

use masim_core::plan::Plan;
use masim_core::running::run::{CopySteps, Run};
use masim_core::scenario::Scenario;
use masim_core::search::{candidates, routing_of};
use masim_core::work::routing::{RoutingPool, RoutingSource};
use masim_units::{SimDuration, SimTime};

/// The plan of a scenario that leaves nothing open.
///
/// # Panics
///
/// When it leaves something open, or nothing possible.
pub fn only_plan(scenario: &Scenario) -> Plan {
    let mut plans = candidates(scenario);
    assert_eq!(plans.len(), 1, "every choice is made: {:?}", scenario.strategy);
    plans.remove(0)
}

/// The tokens of a scenario.
pub fn routing(scenario: &Scenario) -> Arc<RoutingSource> {
    routing_of(scenario, &RoutingPool::default())
}

/// The measured window of a run of one copy, and the steps in it: time per token is their quotient.
///
/// # Panics
///
/// When there are several copies.
pub fn steady_time(run: &Run) -> (SimDuration, u64) {
    let [copy] = &run.copies[..] else { panic!("there are {} copies", run.copies.len()) };
    let window = copy.end_of(run.window.last).since(copy.end_of(run.window.first));
    (window, u64::from(run.window.n_steps()))
}

/// The measured windows of all copies, added up.
pub fn windows(run: &Run) -> SimDuration {
    let window = |copy: &CopySteps| {
        let stretch = run.stretch(copy);
        stretch.to.since(stretch.from)
    };
    run.copies.iter().map(window).sum()
}

/// The makespan of the cold step.
pub fn cold_time(run: &Run) -> SimDuration {
    let end = run.cold.trace.spans.iter().map(|span| span.end).max();
    end.expect("a step has tasks").since(SimTime::ZERO)
}
