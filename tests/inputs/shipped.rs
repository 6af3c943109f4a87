//! Every shipped file means something.

use masim_core::inputs::text::Library;
use masim_core::inputs::text::{RefKind, SourceText, Tree};
use masim_core::scenario::{
    Choice, ContextLen, FfnSpec, Loader, Patcher, StepCount, Strategy, Workload, load_scenario, read_model,
    read_scenario, resolved_yaml, scenario_file_of,
};
use masim_core::work::routing::context_lens;
use masim_tests::Shipped;

#[test]
fn the_decode_scenario_is_the_papers_split() {
    let shipped = Shipped::default();
    let scenario = load_scenario(&shipped.text("scenarios/decode.yaml").unwrap(), &shipped).unwrap();
    assert_eq!(scenario.cluster.n_gpus(), 16);
    assert_eq!(scenario.workload, Workload::Decode { batch: 1024, context_len: ContextLen::Fixed(2048) });
    let Strategy::MaSeparation(split) = &scenario.strategy else { panic!("a split") };
    assert_eq!((split.n_attention_gpus, split.n_expert_gpus), (12, 4));
    assert_eq!(split.n_micro_batches, Choice::Auto);
    assert_eq!((scenario.seed, scenario.n_steps), (1, StepCount::Auto));
}

/// Published sizes: Mixtral 46.7 B, Llama 8.03 B, both with untied embedding and LM head. The paper
/// gives none: 4 layers x (4 x 4096 x 2048 + 16 x 2 x 4096 x 16384 + 16 x 4096) + 2 x 32000 x 4096 = 8.99 B.
#[test]
fn the_model_cards_have_the_published_number_of_parameters() {
    for (name, published) in [
        ("paper-4l", 8.986e9),
        ("paper-4l-hd128", 9.120e9),
        ("mixtral-8x7b", 46.70e9),
        ("llama-3.1-8b", 8.030e9),
    ] {
        let model = read_model(&Shipped::default().load(RefKind::Model, name, "").unwrap()).unwrap();
        assert_eq!(model.name, name);
        let moe = model.ffn.as_moe();
        let hidden = f64::from(model.hidden);
        let attention = &model.attention;
        let attention_width = 2 * (attention.n_heads + attention.n_kv_heads) * attention.head_dim;
        let experts = f64::from(moe.n_routed_experts * moe.n_matrices()) * f64::from(moe.expert_hidden);
        let gate = if moe.has_gate() { moe.n_routed_experts } else { 0 };
        let layer = hidden * (f64::from(attention_width) + experts + f64::from(gate));
        let total = f64::from(model.n_layers) * layer + 2.0 * f64::from(model.vocab.unwrap()) * hidden;
        assert!((total / published - 1.0).abs() < 1e-3, "{name}: {total:e} against {published:e}");
        assert_eq!(matches!(model.ffn, FfnSpec::Dense { .. }), name.starts_with("llama"));
    }
}

#[test]
fn a_scenario_written_back_has_every_default_and_means_the_same() {
    let shipped = Shipped::default();
    let text = "cluster: a100-4x4\nmodel: paper-4l\nworkload: { phase: decode, batch: 64, context_len: 512 }\n\
                strategy: { kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8 }\n";
    let source = SourceText { path: "scenarios/x.yaml".to_owned(), text: text.to_owned() };
    let file = read_scenario(&source).unwrap();
    let written = resolved_yaml(&file);
    assert_eq!(
        written,
        "cluster: a100-4x4\nprofile: none\nmodel: paper-4l\nworkload:\n  phase: decode\n  batch: 64\n  context_len: 512\n\
         strategy:\n  kind: ma_separation\n  n_attention_gpus: 8\n  n_expert_gpus: 8\n  attention:\n    heads: auto\n    \
         sequences: auto\n    replicas: auto\n    replica_mode: data\n  experts:\n    ep: auto\n    tp: auto\n    copies: 0\n    reduce: inside\n  \
         dispatch: m2n\n  forward: none\n  placement: blocked\n  schedule: dataflow\n  n_micro_batches: auto\nload:\n  \
         kind: balanced\nlaunch: graph\ncollectives:\n  algorithm: auto\n  protocol: auto\n  compressed: none\nvocabulary:\n  embedding: replicated\n  logits: local\noverlap:\n  kind: none\njitter: none\nseed: 1\nfaults: []\nn_steps: auto\n"
    );
    let again = SourceText { text: written, ..source.clone() };
    assert_eq!(read_scenario(&again).unwrap(), file);
    Loader::new(&shipped).scenario(&file, &source).unwrap();
}

/// In steady state a request of p prompt and o output tokens is met o - 1 times, with p to p + o - 2 tokens in its cache.
#[test]
fn contexts_of_a_trace_are_those_of_requests_that_decode() {
    let shipped = Shipped::default();
    let source = shipped.text("scenarios/decode-trace.yaml").unwrap();
    let trace = shipped.text("scenarios/traces/invented.csv").unwrap().text;
    let (mut steps, mut tokens) = (0.0, 0.0);
    for row in trace.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let [prompt, output] = [cells[1], cells[2]].map(|cell| cell.parse::<f64>().unwrap());
        steps += output - 1.0;
        tokens += (output - 1.0) * (prompt + (output - 2.0) / 2.0);
    }
    let scenario = Loader::new(&shipped).scenario(&read_scenario(&source).unwrap(), &source).unwrap();
    let context = scenario.workload.decode_context().unwrap();
    let n = 100_000;
    let lens = context_lens(&context, n, 1);
    let mean = lens.iter().map(|&len| f64::from(len)).sum::<f64>() / f64::from(n);
    // Contexts stray by about their mean: 0.3 % of it for so many.
    assert!((mean / (tokens / steps) - 1.0).abs() < 0.015, "{mean} {}", tokens / steps);
    assert_eq!(lens[..64], context_lens(&context, 64, 1)[..]);
    assert_ne!(lens[..64], context_lens(&context, 64, 2)[..]);
}

/// The path of a trace is that from the current folder once defaults are filled in, so that reports can hold it.
#[test]
fn a_scenario_with_a_trace_can_move() {
    let shipped = Shipped::default();
    let source = shipped.text("scenarios/decode-trace.yaml").unwrap();
    let tree = Tree::parse(&source).unwrap();
    let filled = Patcher::new(&shipped, &source.path).filled(&tree, &source).unwrap();
    let path = filled.get("workload").and_then(|it| it.get("context_len")).and_then(|it| it.get("path"));
    assert_eq!(path.and_then(Tree::as_text), Some("scenarios/traces/invented.csv"));
    let moved = SourceText { path: "reports/x/sweep.yaml".to_owned(), text: String::new() };
    let file = scenario_file_of(&filled, &moved).unwrap();
    let here = Loader::new(&shipped).scenario(&read_scenario(&source).unwrap(), &source).unwrap();
    assert_eq!(Loader::new(&shipped).scenario(&file, &moved).unwrap().workload, here.workload);
}
