//! Scenarios drawn at random from what is shipped, with every choice made.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_pcg::Pcg64;

use masim_core::scenario::Scenario;
use masim_tests::decode;

/// Number of drawn scenarios.
pub(crate) const N_SCENARIOS: u64 = 48;

/// The scenario of `seed`, and what was drawn.
pub(crate) fn drawn(seed: u64) -> (Scenario, String) {
    let mut rng = Pcg64::new(u128::from(seed), 0);
    // Sixteen experts, or eight in 32 layers: the larger model is rarer, because it takes longer.
    let (model, n_experts) =
        *[("paper-4l", 16), ("paper-4l", 16), ("paper-4l-hd128", 16), ("mixtral-8x7b", 8)]
            .choose(&mut rng)
            .unwrap();
    let mut changes = vec![
        ("model".to_owned(), model.to_owned()),
        ("seed".to_owned(), seed.to_string()),
        ("n_steps".to_owned(), "6".to_owned()),
        ("launch".to_owned(), one_of(&mut rng, &["graph", "graph", "eager"])),
        ("cluster".to_owned(), one_of(&mut rng, &["a100-4x4", "a100-4x4-nic1", "a100-2x8", "h100-2x8"])),
    ];
    // 53 is prime: nothing divides it.
    let batch = *[53, 64, 100, 256].choose(&mut rng).unwrap();
    let context = one_of(
        &mut rng,
        &[
            "512",
            "2048",
            "{ kind: uniform, min: 100, max: 3000 }",
            "{ kind: lognormal, mean: 1000, sigma: 0.7 }",
            "{ kind: list, values: [1, 5000, 300] }",
        ],
    );
    changes.push((
        "workload".to_owned(),
        format!("{{ phase: decode, batch: {batch}, context_len: {context} }}"),
    ));
    let histogram: Vec<u32> = (0..n_experts).map(|expert| expert * expert % 7).collect();
    let histogram = format!("{{ kind: histogram, tokens: {histogram:?} }}");
    let loads = [
        "{ kind: balanced }",
        "{ kind: balanced }",
        "{ kind: uniform }",
        "{ kind: zipf, exponent: 0.8 }",
        "{ kind: power_law, exponent: 2.5 }",
        histogram.as_str(),
    ];
    changes.push(("load".to_owned(), one_of(&mut rng, &loads)));
    let strategy = match seed % 4 {
        0 | 1 => separated(&mut rng, n_experts),
        2 => pipeline(&mut rng),
        _ => colocated(&mut rng, n_experts),
    };
    changes.push(("strategy".to_owned(), strategy));
    let overlaps = [
        "{ kind: none }",
        "{ kind: chunks, n_chunks: 2 }",
        "{ kind: chunks, n_chunks: 3 }",
        "{ kind: literal, exposed: 0.25 }",
    ];
    let overlap = one_of(&mut rng, &overlaps);
    // Compressed sums are not modelled in chunks.
    let compressed =
        if overlap.contains("chunks") { "none".to_owned() } else { one_of(&mut rng, &["none", "int8"]) };
    changes.push(("overlap".to_owned(), overlap));
    changes.push(("collectives.compressed".to_owned(), compressed));
    changes.push(("vocabulary.logits".to_owned(), one_of(&mut rng, &["local", "gathered"])));
    let changes: Vec<(&str, &str)> =
        changes.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
    (decode(&changes), format!("seed {seed}: {changes:?}"))
}

pub(crate) fn one_of(rng: &mut Pcg64, among: &[&str]) -> String {
    (*among.choose(rng).unwrap()).to_owned()
}

/// A divisor of `n`, at most `max`.
fn divisor(rng: &mut Pcg64, n: u32, max: u32) -> u32 {
    let all: Vec<u32> = (1..=n.min(max)).filter(|divisor| n.is_multiple_of(*divisor)).collect();
    *all.choose(rng).unwrap()
}

pub(crate) fn separated(rng: &mut Pcg64, n_experts: u32) -> String {
    let n_attention = rng.random_range(1..=15);
    let n_expert = 16 - n_attention;
    let heads = divisor(rng, n_attention, 32);
    let sequences = divisor(rng, n_attention / heads, 32);
    let copies = *[0, 0, 3, 4].choose(rng).unwrap();
    let ep = divisor(rng, n_expert, n_experts);
    let by_turns: (Vec<u32>, Vec<u32>) =
        ((0..n_attention).map(|at| at * 5 % 16).collect(), (n_attention..16).map(|at| at * 5 % 16).collect());
    let list = format!("{{ attention: {:?}, expert: {:?} }}", by_turns.0, by_turns.1);
    format!(
        "{{ kind: ma_separation, n_attention_gpus: {n_attention}, n_expert_gpus: {n_expert}, \
         attention: {{ heads: {heads}, sequences: {sequences}, replicas: {} }}, \
         experts: {{ ep: {ep}, tp: {}, copies: {copies} }}, dispatch: {}, forward: {}, placement: {}, \
         schedule: {}, n_micro_batches: {} }}",
        n_attention / heads / sequences,
        n_expert / ep,
        one_of(rng, &["m2n", "m2n", "broadcast"]),
        one_of(rng, &["none", "none", "node"]),
        one_of(rng, &["blocked", "interleaved", &list]),
        one_of(rng, &["dataflow", "dataflow", "lockstep"]),
        rng.random_range(1..=3),
    )
}

pub(crate) fn pipeline(rng: &mut Pcg64) -> String {
    let (tp, pp, dp) =
        *[(8, 2, 1), (4, 4, 1), (4, 2, 2), (2, 4, 2), (16, 1, 1), (1, 4, 4)].choose(rng).unwrap();
    format!("{{ kind: tp_pp, tp: {tp}, pp: {pp}, dp: {dp}, n_in_flight: {} }}", rng.random_range(1..=2 * pp))
}

pub(crate) fn colocated(rng: &mut Pcg64, n_experts: u32) -> String {
    let (dp, tp) = *[(16, 1), (4, 4), (8, 2), (2, 8)].choose(rng).unwrap();
    let ep = divisor(rng, 16, n_experts);
    format!("{{ kind: dp_ep, dp: {dp}, ep: {ep}, tp: {tp}, n_overlapped: {} }}", rng.random_range(1..=2))
}

/// A set that misses a feature would hold nothing of it.
#[test]
fn the_set_has_everything() {
    let all: Vec<String> = (0..N_SCENARIOS).map(|seed| drawn(seed).1).collect();
    let features = [
        "ma_separation",
        "tp_pp",
        "dp_ep",
        "broadcast",
        "forward: node",
        "lockstep",
        "interleaved",
        "attention: [",
        "copies: 3",
        "copies: 4",
        "eager",
        "uniform, min",
        "lognormal",
        "list",
        "zipf",
        "power_law",
        "histogram",
        "balanced",
        "batch: 53",
        "batch: 100",
        "sequences: 2",
        "heads: 3",
        "replicas: 3",
        "n_overlapped: 2",
        "mixtral",
        "hd128",
        "nic1",
        "2x8",
        "h100",
        "dp: 2",
        "n_chunks: 2",
        "n_chunks: 3",
        "literal",
        "int8",
        "gathered",
    ];
    for feature in features {
        assert!(all.iter().any(|what| what.contains(feature)), "no scenario with `{feature}`");
    }
}
