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
    let exactly = ("load: { kind: balanced }", "n_steps: { exactly: 1000001 }");
    check(&[exactly], "n_steps.exactly: 1000001 is out of range; expected 1 to 1000000");
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

/// 1,048,576 tokens x 10,000 layers x 2 choices of 8 bytes are 156 GiB. At random, 1,048,576 tokens x 1,000 layers x 2 choices that
/// weigh 8,192 experts, each a nanosecond, and take 30 more are 4.8 hours, eight times in a run.
#[test]
fn more_choices_than_memory_holds_or_a_day_draws_are_refused() {
    let batch = ("batch: 1024", "batch: 1048576");
    let choices = |experts: &str, layers: u32| {
        format!("workload.batch: 1048576 tokens that choose 2 of {experts} experts in {layers} layers")
    };
    let layers = |n: &'static str| ("n_layers: 4", n);
    assert_eq!(findings(&[batch, ("experts_per_token: 2", "experts_per_token: 16")]), Vec::<String>::new());
    let few_messages = ("n_attention_gpus: 12, n_expert_gpus: 4", "n_attention_gpus: 15, n_expert_gpus: 1");
    check(
        &[batch, layers("n_layers: 10000"), few_messages],
        &format!("{} need 156 GiB; expected at most 64 GiB", choices("16", 10_000)),
    );
    let random = ("kind: balanced", "kind: zipf, exponent: 0.8");
    let experts = ("n_routed_experts: 16", "n_routed_experts: 8192");
    assert_eq!(findings(&[batch, experts, random]), Vec::<String>::new());
    check(
        &[batch, experts, layers("n_layers: 1000"), ("expert_hidden: 16384", "expert_hidden: 1024"), random],
        &format!("{} take 38 h to draw; expected at most 24 h", choices("8192", 1000)),
    );
}

#[test]
fn tokens_have_positions_of_32_bits() {
    let prompts = (
        "phase: decode, batch: 1024, context_len: 2048",
        "phase: prefill, batch: 1024, prompt_len: 16777216",
    );
    check(
        &[prompts],
        "workload.batch: 17179869184 tokens that choose 2 of 16 experts in 4 layers are too many; expected at most 2^31 tokens",
    );
}

/// 12 x 4 pairs there and back in 10,000 layers and 1,024 micro-batches are 983,040,000 messages of 2,000 bytes.
#[test]
fn more_messages_than_memory_holds_are_refused() {
    check(
        &[("n_layers: 4", "n_layers: 10000"), ("n_micro_batches: auto", "n_micro_batches: 1024")],
        "strategy: a step would have about 983040000 messages, which need 1831 GiB; expected at most 64 GiB",
    );
    assert_eq!(findings(&[("n_layers: 4", "n_layers: 10000")]), Vec::<String>::new());
}

/// 61 layers, 16 x 16 pairs there and back, are 31,232 messages of 2,000 + 256 x 17 ns in each of 1,000 steps: 198 s. 1,024 tokens
/// make 124,928 choices of 30 ns in each: 4 s.
#[test]
fn a_long_run_says_so_before_it_begins() {
    let text = |n_steps: &str| {
        format!("{MODEL}{REST}n_steps: {n_steps}\n")
            .replace("n_layers: 4", "n_layers: 61")
            .replace("kind: balanced", "kind: uniform")
            .replace(
                "kind: ma_separation, n_attention_gpus: 12, n_expert_gpus: 4, n_micro_batches: auto",
                "kind: dp_ep, dp: 16, tp: 1, ep: 16",
            )
    };
    let warnings = |n_steps| masim_tests::scenario(&text(n_steps)).warnings();
    assert_eq!(warnings("1000"), Vec::<String>::new(), "at most: it may end after a few");
    assert_eq!(
        warnings("{ exactly: 1000 }"),
        ["a step has about 31232 messages: a run takes at least 3 min and up to 1 GiB"]
    );
}
