//! Bytes between attention and experts are those of the routing of the tokens.

use std::collections::BTreeSet;
use std::ops::Range;

use masim_core::inputs::topology::GpuIdx;
use masim_core::plan::RoutedPlan;
use masim_core::program::Activity;
use masim_core::running::run::Run;
use masim_core::scenario::{Dispatch, Forward, Scenario};
use masim_core::work::routing::RoutingSource;

/// Counts by hand the rows that leave and return in each layer of the first steps.
///
/// A token goes once to each GPU that hosts one of its experts (to all of them by broadcast) unless it is there,
/// and a sum returns from each that computed something for it.
pub(crate) fn assert_bytes_are_those_of_the_routing(
    scenario: &Scenario,
    plan: &RoutedPlan,
    run: &Run,
    routing: &RoutingSource,
    what: &str,
) {
    for (idx, step) in run.copies[0].records().iter().take(3) {
        let routing = routing.step(idx);
        for layer in 0..scenario.model.n_layers {
            let bytes = |activity| {
                let of_layer = |info: &&masim_core::running::price::TaskInfo| {
                    info.activity == activity && info.place.layer == layer
                };
                step.infos.iter().filter(of_layer).map(|info| info.bytes.0).sum::<u64>()
            };
            let (mut n_out, mut n_back) = (0, 0);
            let n_shares = u64::from(plan.n_shares());
            let map = plan.experts.map(layer);
            for (owner, tokens) in owners(scenario, plan) {
                let mut rows = vec![0_u64; plan.experts.groups.len()];
                for token in tokens {
                    let experts = routing[layer as usize].experts_of(token);
                    let groups: BTreeSet<u32> =
                        experts.iter().map(|&expert| map.group(expert, token)).collect();
                    for &group in &groups {
                        rows[group as usize] += 1;
                    }
                    for (group, _) in plan.experts.members().filter(|(_, gpu)| *gpu != owner) {
                        n_out += u64::from(groups.contains(&group) || plan.dispatch == Dispatch::Broadcast);
                    }
                }
                // Each member sends its share of the rows, all of them where they are not summed inside.
                let ranks = (0..n_shares).cycle();
                for (rank, (group, _)) in
                    ranks.zip(plan.experts.members()).filter(|(_, (_, gpu))| *gpu != owner)
                {
                    let all = rows[group as usize];
                    n_back += all / n_shares + u64::from(rank < all % n_shares);
                }
            }
            if plan.gathers_inside() {
                n_out /= n_shares;
            }
            let row = u64::from(scenario.model.hidden) * 2;
            assert_eq!(bytes(Activity::Combine), n_back * row, "layer {layer}: {what}");
            let dispatched = bytes(Activity::Dispatch);
            match plan.forward {
                // A copy for the node that the entry does not need itself comes on top.
                Forward::Node => {
                    assert!(dispatched >= n_out * row && dispatched <= 2 * n_out * row, "{what}");
                }
                Forward::None => assert_eq!(dispatched, n_out * row, "layer {layer}: {what}"),
            }
        }
    }
}

/// Every GPU of the attention pool with its tokens, micro-batch after micro-batch; each token stands once.
fn owners(scenario: &Scenario, plan: &RoutedPlan) -> Vec<(GpuIdx, Range<u32>)> {
    let batch = scenario.workload.batch();
    let micro_batches = plan.attention.micro_batches(batch, plan.n_micro_batches);
    let mut owners = Vec::new();
    for micro_batch in &micro_batches {
        for (replica, member, gpu) in plan.attention.members() {
            owners.push((gpu, micro_batch.owned[replica][member].clone()));
        }
    }
    let tokens: BTreeSet<u32> = owners.iter().flat_map(|(_, tokens)| tokens.clone()).collect();
    assert_eq!(tokens, (0..batch).collect(), "every token has an owner");
    assert_eq!(owners.iter().map(|(_, tokens)| tokens.len()).sum::<usize>(), tokens.len(), "and only one");
    owners
}
