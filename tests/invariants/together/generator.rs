//! Scenarios drawn at random with every feature, as changes to `scenarios/decode.yaml`.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_pcg::Pcg64;

use super::n_drawn;
use crate::drawn::{colocated, one_of, pipeline, separated};

const HOST: &str = "{ per_launch: 10 us, per_step: 1 ms, per_sequence: 10 us, source: made up }";
const HANDED_OVER: &str = "{ per_launch: 20 us, per_step: 300 us, per_sequence: 5 us, graph_batch: 8, \
                           hand_over: { per_step: 100 us, per_sequence: 2 us }, source: made up }";
const JITTERS: [&str; 4] = [
    "none",
    "{ kernels: 0.05, communication: 0.05, source: made up }",
    "{ kernels: 0.3, communication: 0, source: made up }",
    "{ kernels: 0.5, communication: 1, source: made up }",
];
const OVERLAPS: [&str; 5] = [
    "{ kind: none }",
    "{ kind: none }",
    "{ kind: chunks, n_chunks: 2 }",
    "{ kind: chunks, n_chunks: 3 }",
    "{ kind: literal, exposed: 0.25 }",
];
const LOADS: [&str; 4] = [
    "{ kind: balanced }",
    "{ kind: uniform }",
    "{ kind: zipf, exponent: 0.8 }",
    "{ kind: power_law, exponent: 2.5 }",
];

/// The changes of `seed`, in the order in which they are undone to find the shortest failure.
pub(super) fn drawn(seed: u64) -> Vec<(String, String)> {
    let mut rng = Pcg64::new(u128::from(seed), 1);
    // Half are pipelines, which alone have hosts, copies and compressed sums.
    let kind = *["tp_pp", "tp_pp", "ma_separation", "dp_ep"].choose(&mut rng).unwrap();
    let models: &[(&str, u32)] = if kind == "tp_pp" {
        &[("paper-4l", 16), ("mixtral-8x7b", 8), ("deepseek-v2-lite", 64), ("llama-3.1-8b", 1)]
    } else {
        &[("paper-4l", 16), ("paper-4l-hd128", 16), ("mixtral-8x7b", 8), ("deepseek-v2-lite", 64)]
    };
    let (model, n_experts) = *models.choose(&mut rng).unwrap();
    let strategy = match kind {
        "tp_pp" => pipeline(&mut rng),
        "dp_ep" => colocated(&mut rng, n_experts),
        _ => separated(&mut rng, n_experts),
    };
    let cluster = one_of(&mut rng, &["a100-4x4", "a100-4x4-nic1", "a100-2x8", "h100-2x8"]);
    let mut profile = one_of(&mut rng, &["none", "a100-sxm4-80gb-vllm", "a100-sxm4-80gb-sglang"]);
    if cluster.starts_with("h100") && profile != "none" {
        // Without the name of the card the stem must be of the same one.
        profile = format!("{{ h100-sxm: {profile} }}");
    }
    let mut changes = vec![
        ("n_steps", "4".to_owned()),
        ("seed", rng.random_range(1..1_000_000_u64).to_string()),
        ("workload", workload(&mut rng)),
        ("model", model.to_owned()),
        // Four layers, one for each of four stages: more take longer and show nothing else.
        ("model.n_layers", "4".to_owned()),
        ("load", one_of(&mut rng, &LOADS)),
        ("cluster", cluster),
        ("launch", one_of(&mut rng, &["graph", "eager"])),
        ("profile", profile),
        ("jitter", one_of(&mut rng, &JITTERS)),
    ];
    let overlap = one_of(&mut rng, &OVERLAPS);
    // Compressed sums are not modelled in chunks.
    if !overlap.contains("chunks") {
        changes.push(("collectives.compressed", one_of(&mut rng, &["none", "int8"])));
    }
    changes.push(("overlap", overlap));
    changes.push(("vocabulary.logits", one_of(&mut rng, &["local", "gathered"])));
    if kind == "tp_pp" {
        changes.push(("vocabulary.embedding", one_of(&mut rng, &["replicated", "sharded"])));
        if let Some(&host) = [None, Some(HOST), Some(HANDED_OVER)].choose(&mut rng).unwrap().as_ref() {
            changes.push(("host_overhead", host.to_owned()));
        }
    }
    changes.push(("strategy", strategy));
    changes.into_iter().map(|(path, value)| (path.to_owned(), value)).collect()
}

fn workload(rng: &mut Pcg64) -> String {
    // 53 is prime: nothing divides it.
    let batch = *[53, 64, 100].choose(rng).unwrap();
    let contexts = [
        "1",
        "2048",
        "{ kind: lognormal, mean: 1000, sigma: 0.7 }",
        "{ kind: list, values: [1, 5000, 300] }",
    ];
    let context = one_of(rng, &contexts);
    let prompts = format!(
        "phase: prefill, batch: {batch}, prompt_len: {}, chunk_len: {}",
        rng.random_range(90..300),
        one_of(rng, &["auto", "40", "64"])
    );
    let decode = format!("phase: decode, batch: {batch}, context_len: {context}");
    let inference = format!("phase: inference, batch: {batch}, prompt_len: 128, output_len: 5");
    format!("{{ {} }}", *[&decode, &decode, &prompts, &inference].choose(rng).unwrap())
}

/// The command line that runs these changes.
pub(super) fn command(changes: &[(String, String)]) -> String {
    let settings: Vec<String> =
        changes.iter().map(|(path, value)| format!(" --set '{path}={value}'")).collect();
    format!("masim run scenarios/decode.yaml{}", settings.concat())
}

/// A set that misses a feature, or two that must meet, would hold nothing of them.
#[test]
fn the_drawn_scenarios_have_everything_together() {
    let all: Vec<String> = (0..n_drawn()).map(|seed| command(&drawn(seed))).collect();
    let together: [&[&str]; 12] = [
        &["dp: 2", "host_overhead", "kernels:", "a100-sxm4"],
        &["deepseek", "host_overhead", "kernels:"],
        &["deepseek", "ma_separation", "a100-sxm4"],
        &["deepseek", "dp_ep"],
        &["dp: 4", "kernels:"],
        &["prefill", "host_overhead"],
        &["inference", "kernels:"],
        &["chunks", "a100-sxm4"],
        &["literal", "kernels:"],
        &["int8", "host_overhead"],
        &["lockstep"],
        &["h100-sxm: a100-sxm4"],
    ];
    for features in together {
        let has = |what: &&String| features.iter().all(|feature| what.contains(feature));
        assert!(all.iter().any(|what| has(&what)), "no scenario with {features:?}");
    }
}
