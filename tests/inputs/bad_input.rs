//! Mistakes in a scenario are reported with place, finding and expectation.

use masim_core::inputs::text::SourceText;
use masim_core::scenario::load_scenario;
use masim_tests::Shipped;

const GOOD: &str = "\
cluster: a100-4x4
model: paper-4l
workload: { phase: decode, batch: 1024, context_len: 2048 }
strategy:
  kind: ma_separation
  n_attention_gpus: 12
  n_expert_gpus: 4
load: { kind: balanced }
";

/// Messages on `text`, hints included.
fn finding(text: &str) -> String {
    let source = SourceText { path: "x.yaml".to_owned(), text: text.to_owned() };
    let error = load_scenario(&source, &Shipped::default()).expect_err(text);
    let hints = error.problems.iter().filter_map(|problem| problem.hint.clone());
    std::iter::once(error.to_string()).chain(hints).collect::<Vec<_>>().join("\nhint: ")
}

/// Asserts what is said of the good scenario with `from` replaced by `to`.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    assert_eq!(finding(&GOOD.replace(from, to)), expected);
}

#[test]
fn the_good_scenario_is_good() {
    let source = SourceText { path: "x.yaml".to_owned(), text: GOOD.to_owned() };
    load_scenario(&source, &Shipped::default()).unwrap();
}

#[test]
fn a_file_that_is_no_mapping_is_told_so() {
    assert_eq!(finding(""), "x.yaml: the file is empty; expected a mapping");
    assert_eq!(finding("- 1\n- 2\n"), "x.yaml: the file holds a list; expected a mapping");
    assert_eq!(finding("hello"), "x.yaml: the file holds one value; expected a mapping");
    assert_eq!(finding("a: 1\n---\nb: 1\n"), "x.yaml:3:1: the file holds several documents; expected one");
}

#[test]
fn a_syntax_error_stands_alone() {
    check("{ kind: balanced }", "{ kind: balanced", "x.yaml:8:7: unclosed bracket '{'");
    check("\nload:", "\nmodel: x\nload:", "x.yaml:8:1: the key `model` stands twice");
}

#[test]
fn a_missing_key_is_named_at_the_mapping_that_lacks_it() {
    let missing = "this key is required, but missing";
    check("  n_expert_gpus: 4\n", "", &format!("x.yaml:4:1: `strategy.n_expert_gpus`: {missing}"));
    check("model: paper-4l\n", "", &format!("x.yaml:1:1: `model`: {missing}"));
    check("  kind: ma_separation\n", "", &format!("x.yaml:4:1: `strategy.kind`: {missing}"));
    check("kind: balanced", "kind: zipf", &format!("x.yaml:8:1: `load.exponent`: {missing}"));
}

#[test]
fn an_unknown_key_is_told_which_exist_and_which_was_meant() {
    check(
        "n_expert_gpus",
        "n_expert_gpu",
        "x.yaml:7:3: `strategy.n_expert_gpu`: there is no such key; expected one of `n_attention_gpus`, `n_expert_gpus`, \
         `attention`, `experts`, `dispatch`, `forward`, `placement`, `schedule`, `n_micro_batches`\n\
         hint: did you mean `n_expert_gpus`?",
    );
    check(
        "kind: balanced",
        "kind: balanced, exponent: 3",
        "x.yaml:8:25: `load.exponent`: there is no such key; expected none",
    );
}

#[test]
fn an_unknown_name_is_told_which_exist_and_which_was_meant() {
    check(
        "kind: ma_separation",
        "kind: ma_seperation",
        "x.yaml:5:9: `strategy.kind`: found `ma_seperation`; expected one of `ma_separation`, `tp_pp`, `dp_ep`\n\
         hint: did you mean `ma_separation`?",
    );
    check(
        "\nload:",
        "\n  placement: bloked\nload:",
        "x.yaml:8:14: `strategy.placement`: found `bloked`; expected one of `blocked`, `interleaved`\n\
         hint: did you mean `blocked`?",
    );
}

#[test]
fn what_is_planned_is_told_apart_from_what_is_wrong() {
    check(
        "decode",
        "training",
        "x.yaml:3:20: `workload.phase`: `training` is not modelled yet; expected one of `decode`, `prefill`, `inference`",
    );
    check(
        "\nload:",
        "\n  dispatch: all_to_all\nload:",
        "x.yaml:8:13: `strategy.dispatch`: `all_to_all` is not modelled yet; expected one of `m2n`, `broadcast`",
    );
    check(
        "\nload:",
        "\n  attention: { replica_mode: mirror }\nload:",
        "x.yaml:8:30: `strategy.attention.replica_mode`: `mirror` is not modelled yet; expected `data`",
    );
    check(
        "\nload:",
        "\nfaults: [{ at: 2 s, resource: n0, speed: 0.5 }]\nload:",
        "x.yaml:8:1: `faults`: faults are not modelled yet; expected `[]`",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_told_the_right_one() {
    let check = |to: &str, found: &str| {
        let expected = "expected a whole number from 0 to 4294967295";
        check("1024", to, &format!("x.yaml:3:35: `workload.batch`: found {found}; {expected}"));
    };
    check("many", "the text `many`");
    check("2.5", "the number 2.5");
    check("-1", "the number -1");
    check("[1, 2]", "a list");
    check("5000000000", "the number 5000000000");
    check("99999999999999999999999", "the number 1e23");
}

#[test]
fn a_number_out_of_range_is_told_the_range() {
    let range = "expected 1 to 1048576";
    check("1024", "0", &format!("x.yaml:3:35: `workload.batch`: 0 is out of range; {range}"));
    check(
        "1024",
        "4000000000",
        &format!("x.yaml:3:35: `workload.batch`: 4000000000 is out of range; {range}"),
    );
    check("1024", ".nan", "x.yaml:3:35: `.nan` is not a finite number; expected at most 1.8e308");
    check(
        "kind: balanced",
        "kind: zipf, exponent: -1",
        "x.yaml:8:31: `load.exponent`: -1.0 is out of range; expected 0 to 20",
    );
}

#[test]
fn a_quantity_needs_a_unit_and_the_right_one() {
    let fault = |at: &str| format!("\nfaults: [{{ at: {at}, resource: n0, speed: 0.5 }}]\nload:");
    check(
        "\nload:",
        &fault("2"),
        "x.yaml:8:16: `faults[0].at`: `2` is not a quantity; expected a number and a unit, such as `1.5 us`",
    );
    check(
        "\nload:",
        &fault("2 GB"),
        "x.yaml:8:16: `faults[0].at`: unknown unit `GB` in `2 GB`; expected one of ps, ns, us, ms, s, min, h",
    );
}

#[test]
fn pools_must_add_up_and_all_problems_come_at_once() {
    check(
        "n_expert_gpus: 4",
        "n_expert_gpus: 5\n  n_micro_batches: 0\n  attention: { heads: 5 }",
        "x.yaml:6:21: `strategy.n_attention_gpus`: 12 attention GPUs and 5 expert GPUs make 17, but cluster `a100-4x4` has 16\n\
         x.yaml:9:3: `strategy.attention`: `heads` is 5, which does not divide the 12 attention GPUs\n\
         x.yaml:8:20: `strategy.n_micro_batches`: 0 is out of range; expected 1 to 1024",
    );
}

#[test]
fn a_split_that_is_impossible_is_told_why() {
    const SPLIT: &str = "  kind: ma_separation\n  n_attention_gpus: 12\n  n_expert_gpus: 4\n";
    check(
        SPLIT,
        "  { kind: tp_pp, tp: 3, pp: 8, dp: 1, n_in_flight: 2000 }\n",
        "x.yaml:5:22: `strategy.tp`: `tp x pp x dp` is 24, but cluster `a100-4x4` has 16 GPUs\n\
         x.yaml:5:29: `strategy.pp`: 8 is out of range; expected 1 to 4\n\
         x.yaml:5:52: `strategy.n_in_flight`: 2000 is out of range; expected 1 to 1024",
    );
    check(
        SPLIT,
        "  { kind: dp_ep, dp: 4, ep: 5, tp: 4 }\n",
        "x.yaml:5:29: `strategy.ep`: 5 does not divide the 16 GPUs of `dp x tp`",
    );
    check(
        "\nload:",
        "\n  attention: { heads: 4, sequences: 1, replicas: 2 }\n  experts: { ep: 3 }\nload:",
        "x.yaml:8:3: `strategy.attention`: `heads x sequences x replicas` is 8, which is not the 12 attention GPUs\n\
         x.yaml:9:3: `strategy.experts`: `ep` is 3, which does not divide the 4 expert GPUs",
    );
}

#[test]
fn a_list_of_gpus_must_name_each_once() {
    check(
        "\nload:",
        "\n  placement:\n    attention: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, n2.g2]\n    expert: [12, 13, 14, 99]\nload:",
        "x.yaml:9:51: `strategy.placement.attention[11]`: GPU `n2.g2` already stands in `attention[10]`\n\
         x.yaml:10:26: `strategy.placement.expert[3]`: there is no GPU 99; cluster `a100-4x4` has GPUs 0 to 15\n\
         x.yaml:8:3: `strategy.placement`: no role for n2.g3, n3.g3; expected every GPU once",
    );
}

#[test]
fn lists_and_distributions_must_make_sense() {
    check(
        "2048",
        "{ kind: list, values: [] }",
        "x.yaml:3:68: `workload.context_len.values`: the list is empty; expected a length for each sequence",
    );
    check(
        "2048",
        "{ kind: uniform, min: 5, max: 2 }",
        "x.yaml:3:76: `workload.context_len.min`: 5 is above `max`, which is 2",
    );
    check(
        "kind: balanced",
        "kind: histogram, tokens: [1, 2]",
        "x.yaml:8:26: `load.tokens`: there are 2 counts, but model `paper-4l` has 16 experts; expected one each",
    );
}

#[test]
fn a_reference_must_lead_somewhere() {
    check("a100-4x4", "a100-4x5", "x.yaml:1:10: `cluster`: there is no file `topologies/a100-4x5.yaml`");
    check(
        "cluster",
        "base: x\ncluster",
        "x.yaml:1:7: `base`: a sweep was found where a scenario was expected; only sweeps have a `base`",
    );
}

#[test]
fn a_model_in_place_is_checked_like_a_card() {
    let model = "{ name: x, n_layers: 0, hidden: 64, attention: { kind: mha, n_heads: 5, n_kv_heads: 2, head_dim: 3 },\n  \
                 ffn: { kind: moe, gated: true, n_routed_experts: 4, n_shared_experts: 70, experts_per_token: 5, expert_hidden: 4 },\n  \
                 dtype: { weights: bf16, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 }, assumed: [nothing], simplified: [ffn.some] }";
    check(
        "paper-4l",
        model,
        "x.yaml:2:29: `model.n_layers`: 0 is out of range; expected 1 to 10000\n\
         x.yaml:2:92: `model.attention.n_kv_heads`: 2 differs from the 5 query heads; expected as many for `mha`\n\
         x.yaml:3:96: `model.ffn.experts_per_token`: 5 is out of range; expected 1 to 4\n\
         x.yaml:3:73: `model.ffn.n_shared_experts`: 70 is out of range; expected 0 to 64\n\
         x.yaml:4:99: `model.assumed[0]`: the card has no key `nothing`\n\
         x.yaml:4:122: `model.simplified[0]`: the card has no key `ffn.some`\n\
         hint: say `kind: gqa` where query heads share key/value heads",
    );
    let dense = "{ name: x, n_layers: 1, hidden: 64, attention: { kind: gqa, n_heads: 4, n_kv_heads: 2, head_dim: 16 }, \
                 ffn: { kind: dense, gated: true, dense_hidden: 64 }, \
                 dtype: { weights: fp8, activations: bf16, kv: bf16, dispatch: bf16, combine: bf16 } }";
    check(
        "paper-4l",
        dense,
        "x.yaml:2:1: `model`: its weights are fp8, for which GPU card `a100-sxm4-80gb` has no peak rate; it has bf16, fp16, fp32, int8",
    );
}

#[test]
fn a_profile_must_exist_and_belong_to_the_cards() {
    check(
        "\nload:",
        "\nprofile: a100\nload:",
        "x.yaml:8:10: `profile`: there is no file `topologies/profiles/a100.yaml`",
    );
    check(
        "\nload:",
        "\nprofile: a100-sxm4-40gb-abci\nload:",
        "x.yaml:8:10: `profile`: `a100-sxm4-40gb-abci` is for card `a100-sxm4-40gb`; the cluster has a100-sxm4-80gb",
    );
    check(
        "\nload:",
        "\nprofile: { a100-sxm4-40gb: a100-sxm4-80gb-generic }\nload:",
        "x.yaml:8:28: `profile.a100-sxm4-40gb`: `a100-sxm4-80gb-generic` is for card `a100-sxm4-40gb`; the cluster has a100-sxm4-80gb",
    );
}

#[test]
fn jitter_is_given_or_held_by_a_profile() {
    let with = |jitter: &str| finding(&format!("{GOOD}jitter: {jitter}\n"));
    let shares = "{ kernels: 0.02, communication: 0.05, source: ... }";
    assert_eq!(
        with("profile"),
        format!(
            "x.yaml:9:9: `jitter`: `profile` takes what a profile holds, and the scenario names none\nhint: name a `profile`, or give shares: {shares}"
        )
    );
    assert_eq!(
        with("{ kernels: 1.5, communication: 0, source: ' ' }"),
        "x.yaml:9:51: `jitter.source`: is empty; expected where the shares come from\n\
         x.yaml:9:20: `jitter.kernels`: 1.5 is out of range; expected 0 to 1.0"
    );
    assert!(with("{ kernels: 0.1 }").contains("`jitter.communication`"), "{}", with("{ kernels: 0.1 }"));
    assert!(with("often").contains("`none`"), "{}", with("often"));
}

/// A trace that is missing, and one whose third line holds no number.
#[test]
fn a_broken_trace_is_named_with_its_line() {
    let trace = "{ kind: trace, path: t.csv, output: tokens }";
    let text = GOOD.replace("context_len: 2048", &format!("context_len: {trace}"));
    assert_eq!(finding(&text), "x.yaml:3:75: `workload.context_len.path`: there is no file `t.csv`");
    let mut shipped = Shipped::default();
    shipped.replaced.insert("t.csv".to_owned(), "prompt_len,tokens\n5,2\n6,x\n".to_owned());
    let source = SourceText { path: "x.yaml".to_owned(), text };
    let error = load_scenario(&source, &shipped).unwrap_err();
    assert_eq!(error.to_string(), "t.csv:3:1: `tokens` is `x`; expected a whole number from 1 to 16777216");
}

#[test]
fn chunks_and_shares_have_ranges() {
    check(
        "\nload:",
        "\noverlap: { kind: chunks, n_chunks: 1 }\nload:",
        "x.yaml:8:36: `overlap.n_chunks`: 1 is out of range; expected 2 to 64\n\
         hint: `overlap: { kind: none }` cuts nothing",
    );
    check(
        "\nload:",
        "\noverlap: { kind: literal, exposed: 0 }\nload:",
        "x.yaml:8:36: `overlap.exposed`: 0.0 is out of range; expected 0.001 to 1",
    );
}

#[test]
fn compressed_sums_have_no_chunks() {
    check(
        "\nload:",
        "\noverlap: { kind: chunks, n_chunks: 2 }\ncollectives: { compressed: int8 }\nload:",
        "x.yaml:9:28: `collectives.compressed`: `int8` is not modelled in chunks yet; expected `none`, or `overlap: { kind: none }`",
    );
}

/// `ep x tp` of `dp_ep` is the cluster of 16; `ep` stands in `experts`, or for short beside it.
#[test]
fn experts_of_dp_ep_must_fill_the_cluster() {
    const SPLIT: &str = "kind: ma_separation\n  n_attention_gpus: 12\n  n_expert_gpus: 4";
    let told = |experts: &str, expected: &str| {
        let strategy = format!("kind: dp_ep\n  dp: 16\n  tp: 1\n  {experts}");
        let found = finding(&GOOD.replace(SPLIT, &strategy));
        assert!(found.contains(expected), "{experts}: {found}");
    };
    told("n_overlapped: 1", "`strategy.experts.ep`: this key is required, but missing");
    told("experts: { tp: 3 }", "`strategy.experts.tp`: 3 does not divide the 16 GPUs of the cluster");
    told("experts: { ep: 4, tp: 2 }", "`strategy.experts`: `ep x tp` is 8, but the cluster has 16 GPUs");
    told("ep: 8\n  experts: { ep: 4 }", "`strategy.ep`: is 8, but `experts.ep` is 4; expected one of them");
    told("ep: 4\n  experts: { reduce: outside }", "found `outside`; expected one of `inside`, `none`");
}
