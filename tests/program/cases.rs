//! Plans of every strategy with every feature that shapes a program.

use std::sync::Arc;

use masim_core::judging::record::record;
use masim_core::plan::Plan;
use masim_core::program::RecordedProgram;
use masim_core::scenario::Scenario;
use masim_core::work::routing::RoutingPool;
use masim_tests::{decode, only_plan};

/// Strategy and further changes to `scenarios/decode.yaml` at batch 64.
const CASES: [(&str, &[(&str, &str)]); 14] = [
    (SPLIT, &[("load", "{ kind: zipf, exponent: 0.8 }")]),
    (
        "{ kind: ma_separation, n_attention_gpus: 12, n_expert_gpus: 4, n_micro_batches: 2, forward: node, attention: { heads: 1, sequences: 1, replicas: 12 }, experts: { ep: 4, tp: 1, copies: 0 } }",
        &[("load", "{ kind: uniform }")],
    ),
    (
        "{ kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8, n_micro_batches: 2, dispatch: broadcast, schedule: lockstep, attention: { heads: 2, sequences: 2, replicas: 2 }, experts: { ep: 4, tp: 2, copies: 4 } }",
        &[("load", "{ kind: zipf, exponent: 0.8 }")],
    ),
    (SPLIT, &[("overlap", "{ kind: chunks, n_chunks: 3 }"), ("load", "{ kind: zipf, exponent: 0.8 }")]),
    (SPLIT, &[("profile", "a100-sxm4-80gb-vllm"), ("launch", "eager")]),
    ("{ kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 2 }", &[("load", "{ kind: zipf, exponent: 0.8 }")]),
    ("{ kind: dp_ep, dp: 4, ep: 4, tp: 4, n_overlapped: 1 }", &[]),
    ("{ kind: tp_pp, tp: 8, pp: 2, dp: 1, n_in_flight: 3 }", &[("load", "{ kind: zipf, exponent: 0.8 }")]),
    ("{ kind: tp_pp, tp: 4, pp: 2, dp: 2, n_in_flight: 2 }", &[("collectives", "{ compressed: int8 }")]),
    (
        "{ kind: tp_pp, tp: 2, pp: 4, dp: 2, n_in_flight: 4 }",
        &[("host_overhead", "{ per_launch: 10 us, per_step: 1 ms, per_sequence: 10 us, source: test }")],
    ),
    (SPLIT, &[("workload", "{ phase: prefill, batch: 48, prompt_len: 512, chunk_len: 128 }")]),
    (
        "{ kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8, n_micro_batches: 2, attention: { heads: 1, sequences: 1, replicas: 8 }, experts: { ep: 2, tp: 4, copies: 0, reduce: none } }",
        &[("load", "{ kind: uniform }")],
    ),
    (
        "{ kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8, n_micro_batches: 2, attention: { heads: 1, sequences: 1, replicas: 8 }, experts: { ep: 2, tp: 4, copies: 0 } }",
        &[
            ("load", "{ kind: uniform }"),
            ("host_overhead", "{ per_launch: 10 us, per_step: 1 ms, per_sequence: 10 us, source: test }"),
        ],
    ),
    (
        "{ kind: dp_ep, dp: 16, tp: 1, experts: { ep: 4, tp: 4 }, n_overlapped: 1 }",
        &[("overlap", "{ kind: chunks, n_chunks: 2 }"), ("load", "{ kind: uniform }")],
    ),
];

const SPLIT: &str = "{ kind: ma_separation, n_attention_gpus: 12, n_expert_gpus: 4, n_micro_batches: 2, attention: { heads: 2, sequences: 2, replicas: 3 }, experts: { ep: 4, tp: 1, copies: 0 } }";

/// A scenario with its only plan.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) plan: Plan,
}

impl Case {
    /// The program with the sizes of `n_steps` steps.
    pub(crate) fn recorded(&self, n_steps: u32) -> RecordedProgram {
        record(&self.scenario, &self.plan, &RoutingPool::default(), n_steps)
    }
}

/// All of them.
pub(crate) fn cases() -> impl Iterator<Item = Case> {
    CASES.iter().map(|(strategy, changes)| {
        let mut all = vec![("workload.batch", "64"), ("strategy", *strategy)];
        all.extend_from_slice(changes);
        let scenario = Arc::new(decode(&all));
        let plan = only_plan(&scenario);
        Case { name: format!("{strategy} {changes:?}"), scenario, plan }
    })
}
