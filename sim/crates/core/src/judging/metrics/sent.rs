//! The flows of a finished run, as they were sent.

use std::sync::Arc;

use masim_engine::{TaskId, Work};

use super::network::{NetworkUse, Traffic};
use crate::plan::Plan;
use crate::running::jitter::Variation;
use crate::running::price::{Pricer, Step};
use crate::running::replay::Sent;
use crate::running::run::Run;
use crate::scenario::Scenario;
use crate::work::cost::CostModel;
use crate::work::routing::RoutingSource;

/// What the network did in the measured stretch of `run`, a run of `plan`.
///
/// A run keeps spans alone; its flows are lowered again and replayed with the starts that they had, which takes about
/// as long as the run did.
///
/// # Panics
///
/// When `run` is not a run of this plan.
pub fn network_use(
    scenario: &Scenario,
    plan: &Plan,
    run: &Run,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> NetworkUse {
    NetworkUse::of(&traffic(scenario, plan, run, routing, cost))
        .expect("a run that has ended can be replayed")
}

/// All flows of all steps of `run` that are kept.
fn traffic(
    scenario: &Scenario,
    plan: &Plan,
    run: &Run,
    routing: &RoutingSource,
    cost: &dyn CostModel,
) -> Traffic {
    let mut lowering = Pricer::new(scenario, plan, cost);
    let (mut flows, mut bytes, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    let variation = Variation::of(scenario);
    let mut same: Option<Arc<Step>> = None;
    for (copy, (idx, step)) in
        run.copies.iter().flat_map(|copy| copy.records().iter().map(move |it| (copy, it)))
    {
        let lowered = match &same {
            Some(same) if routing.is_constant() => Arc::clone(same),
            _ => {
                let step = lowering.step(&routing.step(idx)).expect("it was lowered for the run");
                Arc::clone(same.insert(Arc::new(step)))
            }
        };
        let varied =
            variation.as_ref().map(|it| it.vary(idx, &lowered.infos, &lowered.works, &lowered.parts).0);
        let works = varied.as_ref().unwrap_or(&lowered.works);
        for (info, (span, task)) in step.infos.iter().zip(step.trace.spans.iter().zip((0..).map(TaskId))) {
            let whole = copy.in_whole(task).0 as usize;
            if let Work::Transfer { flows: sent, .. } = &lowered.works[whole] {
                bytes.extend(sent.iter().map(|flow| flow.bytes));
            }
            let Work::Transfer { flows: sent, .. } = &works[whole] else { continue };
            for flow in sent {
                let start = span.start.checked_add(flow.latency).expect("its task ends later");
                let (path, bytes, rate_cap) = (flow.path.0, flow.bytes, flow.rate_cap);
                flows.push(Sent { start, path, bytes, rate_cap });
                kinds.push(info.activity.name());
            }
        }
    }
    let fabric = lowering.fabric();
    Traffic {
        rates: fabric.rates_in_run(),
        bandwidths: fabric.bandwidths_in_run(),
        paths: fabric.paths().to_vec(),
        steps: fabric.steps(),
        flows,
        bytes,
        kinds,
        window: run.kept(),
    }
}
