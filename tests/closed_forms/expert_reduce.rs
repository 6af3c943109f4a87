//! The sum over the GPUs that split an expert: inside their group, or on the attention GPU.

use masim_core::program::Activity;
use masim_core::running::price::{Pricer, TaskInfo};
use masim_core::scenario::Scenario;
use masim_core::search::routing_of;
use masim_core::work::cost::cost_of;
use masim_core::work::routing::RoutingPool;
use masim_tests::{decode, only_plan};

fn split(reduce: &str, dispatch: &str) -> Scenario {
    let strategy = format!(
        "{{ kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8, n_micro_batches: 1, dispatch: {dispatch}, \
         attention: {{ heads: 1, sequences: 1, replicas: 8 }}, \
         experts: {{ ep: 2, tp: 4, copies: 0, reduce: {reduce} }} }}"
    );
    decode(&[("strategy", &strategy), ("workload.batch", "256")])
}

/// Bytes that tasks of `activity` move in one step.
fn bytes(scenario: &Scenario, activity: Activity) -> u64 {
    let cost = cost_of(scenario);
    let mut pricer = Pricer::new(scenario, &only_plan(scenario), &*cost);
    let step = pricer.step(&routing_of(scenario, &RoutingPool::default()).step(0)).unwrap();
    let of_activity = |info: &&TaskInfo| info.activity == activity;
    step.infos.iter().filter(of_activity).map(|info| info.bytes.0).sum()
}

/// 256 tokens with 2 of 16 experts that lie 8 apart, so that each meets both groups of 8 experts: 512 rows of 4,096 x 2 B
/// come back in each of 4 layers = 16,777,216 B; from each of the 4 GPUs that split an expert, four times as many.
#[test]
fn summed_rows_come_back_once() {
    assert_eq!(bytes(&split("inside", "m2n"), Activity::Combine), 16_777_216);
    assert_eq!(bytes(&split("none", "m2n"), Activity::Combine), 4 * 16_777_216);
}

/// All 256 tokens go to both groups: 512 rows in each of 4 layers, a share to each of the 4 GPUs of a group, or all of them.
#[test]
fn a_broadcast_reaches_a_group_once() {
    assert_eq!(bytes(&split("inside", "broadcast"), Activity::Dispatch), 16_777_216);
    assert_eq!(bytes(&split("none", "broadcast"), Activity::Dispatch), 4 * 16_777_216);
}
