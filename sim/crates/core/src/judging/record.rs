//! A program with what an executor needs to run it: sizes and choices of some steps, and weights.

use crate::plan::Plan;
use crate::program::weights::weights;
use crate::program::{RecordedProgram, Sizes};
use crate::running::price::Pricer;
use crate::scenario::Scenario;
use crate::search::routing_of;
use crate::work::cost::cost_of;
use crate::work::routing::{LayerRouting, RoutingPool};

/// The program of `plan`, and the first `n_steps` steps of it.
pub fn record(scenario: &Scenario, plan: &Plan, pool: &RoutingPool, n_steps: u32) -> RecordedProgram {
    let (source, cost) = (routing_of(scenario, pool), cost_of(scenario));
    let pricer = Pricer::new(scenario, plan, &*cost);
    let (mut sizes, mut routing) = (Vec::new(), Vec::new());
    let mut of_step = Sizes::default();
    for step in 0..n_steps {
        let choices = source.step(step);
        pricer.size(&choices, &mut of_step);
        sizes.push(of_step.clone());
        routing.push(choices.iter().map(experts).collect());
    }
    let program = pricer.program().clone();
    RecordedProgram { program, sizes, routing, weights: weights(scenario, plan), seed: scenario.seed }
}

/// `[token][choice]`
fn experts(layer: &LayerRouting) -> Vec<Vec<u16>> {
    (0..layer.n_tokens()).map(|token| layer.experts_of(token).to_vec()).collect()
}
