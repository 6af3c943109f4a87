//! Sizes that follow from routing.

use masim_core::program::{Fill, Sizes};
use masim_core::running::price::Pricer;
use masim_core::search::routing_of;
use masim_core::work::cost::cost_of;
use masim_core::work::ops::OpKind;
use masim_core::work::routing::RoutingPool;

use crate::cases::cases;

/// Outputs of the last layer arrive in one step and are summed in the next: the first sums of a step, one for each owner and
/// micro-batch, have the rows of the last sums that the step before prepared.
#[test]
fn a_step_sums_the_rows_that_arrived_in_the_step_before() {
    let case = cases().next().unwrap();
    let (scenario, pool) = (&case.scenario, RoutingPool::default());
    let cost = cost_of(scenario);
    let pricer = Pricer::new(scenario, &case.plan, &*cost);
    let source = routing_of(scenario, &pool);
    let skeleton = &pricer.program().skeleton;
    let sums: Vec<usize> = skeleton
        .kernels
        .iter()
        .filter(|kernel| kernel.op.kind == OpKind::CombineSum)
        .filter_map(|kernel| if let Fill::Rows(at) = kernel.fill { Some(at.0 as usize) } else { None })
        .collect();
    let n_carried = pricer.program().ins.len();
    let (n_rows, _) = skeleton.n_sizes();
    let carried: Vec<usize> = sums.iter().copied().filter(|at| at + n_carried >= n_rows).collect();
    assert_eq!(carried.len(), n_carried, "a sum for each owner and micro-batch: {sums:?}");
    let mut steps = vec![Sizes::default()];
    for idx in 0..3 {
        let mut sizes = steps[idx].clone();
        pricer.size(&source.step(u32::try_from(idx).unwrap()), &mut sizes);
        steps.push(sizes);
    }
    let rows = |step: usize| -> Vec<u64> { carried.iter().map(|&at| steps[step].rows[at]).collect() };
    // Nothing came before the first step, which takes its own.
    assert_eq!(rows(1), rows(2), "the second step sums the rows of the first");
    assert_ne!(rows(2), rows(3), "the third those of the second, which chose otherwise");
}
