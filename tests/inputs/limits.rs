//! Scenarios that are too large to simulate are refused before they take hours, gigabytes or more than 64 bits.

use masim_core::inputs::text::SourceText;
use masim_core::scenario::load_scenario;
use masim_tests::Shipped;

const MODEL: &str = "\
model:
  name: x
  n_layers: 4
  hidden: 4096
  attention: { kind: gqa, n_heads: 32, n_kv_heads: 32, head_dim: 64 }
  ffn: { kind: moe, gated: false, n_routed_experts: 16, experts_per_token: 2, expert_hidden: 16384 }
  dtype: { weights: bf16, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 }
";

const REST: &str = "\
cluster: a100-4x4
workload: { phase: decode, batch: 1024, context_len: 2048 }
strategy: { kind: ma_separation, n_attention_gpus: 12, n_expert_gpus: 4, n_micro_batches: auto }
load: { kind: balanced }
";

/// Messages on the scenario with `changes` made, each `from -> to`.
fn findings(changes: &[(&str, &str)]) -> Vec<String> {
    let good = format!("{MODEL}{REST}");
    let text = changes.iter().fold(good, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    let source = SourceText { path: "x.yaml".to_owned(), text };
    match load_scenario(&source, &Shipped::default()) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.key, problem.message))
            .collect(),
    }
}

#[track_caller]
fn check(changes: &[(&str, &str)], expected: &str) {
    assert_eq!(findings(changes), [expected]);
}

#[test]
fn the_good_scenario_is_good() {
    assert_eq!(findings(&[]), Vec::<String>::new());
}

#[test]
fn each_count_has_a_range() {
    let range = |from: &str, to: &str, key: &str, max: u32| {
        let n = to.rsplit(' ').next().unwrap();
        check(&[(from, to)], &format!("{key}: {n} is out of range; expected 1 to {max}"));
    };
    range("batch: 1024", "batch: 4000000000", "workload.batch", 1 << 20);
    range("context_len: 2048", "context_len: 4000000000", "workload.context_len", 1 << 24);
    range("n_layers: 4", "n_layers: 1000000000", "model.n_layers", 10_000);
    range("hidden: 4096", "hidden: 1000000000", "model.hidden", 1 << 20);
    range("expert_hidden: 16384", "expert_hidden: 4000000000", "model.ffn.expert_hidden", 1 << 20);
    range("head_dim: 64", "head_dim: 65536", "model.attention.head_dim", 1 << 12);
    range("n_routed_experts: 16", "n_routed_experts: 70000", "model.ffn.n_routed_experts", 1 << 16);
    range("n_micro_batches: auto", "n_micro_batches: 0", "strategy.n_micro_batches", 1024);
    range("load: { kind: balanced }", "n_steps: 0", "n_steps", 1000);
    range("load: { kind: balanced }", "n_steps: 4000000000", "n_steps", 1000);
    let heads = ("n_heads: 32, n_kv_heads: 32", "n_heads: 70000, n_kv_heads: 1");
    check(&[heads], "model.attention.n_heads: 70000 is out of range; expected 1 to 4096");
}

/// 2 x 1,048,576 x 16,777,217 tokens x 32 heads x 64 x 2 B x 4 layers are 2^44 x 2^15 B: half an exbibyte, and
/// with 4096 heads of 64, 64 EiB.
#[test]
fn a_cache_beyond_an_exbibyte_is_refused() {
    let batch = ("batch: 1024", "batch: 1048576");
    let context = ("context_len: 2048", "context_len: 16777216");
    assert_eq!(findings(&[batch, context]), Vec::<String>::new());
    let heads = ("n_heads: 32, n_kv_heads: 32", "n_heads: 4096, n_kv_heads: 4096");
    check(
        &[batch, context, heads],
        "workload: the key/value cache of all sequences is 65536 PiB; expected at most 1024 PiB",
    );
}

/// 65,536 experts x 2 matrices x 4096 x 1,048,576 x 2 B x 4 layers = 2^52 B and a little for attention.
#[test]
fn weights_beyond_any_machine_are_refused() {
    let experts = ("n_routed_experts: 16", "n_routed_experts: 65536");
    let width = ("expert_hidden: 16384", "expert_hidden: 1048576");
    check(&[experts, width], "model: its weights are 4096 TiB; expected at most 256 TiB");
}

/// Balanced: 1,048,576 tokens x 4 layers x 16 choices are 2^26, the most. At random, each of the 2^23 choices
/// of two weighs all experts, and 2^9 of them are the most.
#[test]
fn more_choices_than_can_be_drawn_are_refused() {
    let batch = ("batch: 1024", "batch: 1048576");
    let choices = |experts: &str, k: u32| {
        format!(
            "workload.batch: 1048576 tokens that choose {k} of {experts} experts in 4 layers are too many to simulate one by one"
        )
    };
    assert_eq!(findings(&[batch, ("experts_per_token: 2", "experts_per_token: 16")]), Vec::<String>::new());
    let (n_experts, k) = (
        ("n_routed_experts: 16", "n_routed_experts: 1024"),
        ("experts_per_token: 2", "experts_per_token: 17"),
    );
    check(&[batch, n_experts, k], &choices("1024", 17));
    let random = ("kind: balanced", "kind: uniform");
    assert_eq!(
        findings(&[batch, ("n_routed_experts: 16", "n_routed_experts: 512"), random]),
        Vec::<String>::new()
    );
    check(&[batch, ("n_routed_experts: 16", "n_routed_experts: 1024"), random], &choices("1024", 2));
}

/// 12 x 4 pairs there and back in 4 layers are 384 messages a micro-batch.
#[test]
fn more_messages_than_memory_holds_are_refused() {
    check(
        &[("batch: 1024", "batch: 8192"), ("n_micro_batches: auto", "n_micro_batches: 8192")],
        "strategy: a step would have about 3145728 messages; expected at most 1048576",
    );
    check(
        &[("n_layers: 4", "n_layers: 10000")],
        "strategy: a step would have about 3840000 messages; expected at most 1048576",
    );
}
