//! The model cards that ship: their sizes, and the names by which measurement sets find them.

use std::collections::BTreeMap;

use masim_core::inputs::text::{SourceText, parse_yaml};
use masim_core::scenario::{ModelFile, ModelSpec, read_model};
use masim_tests::Shipped;

/// Published parameters in billions, where embedding and LM head share their weights once for both.
const PUBLISHED: [(&str, f64, Tables); 20] = [
    ("llama-2-7b", 6.738, Tables::Two),
    ("llama-2-13b", 13.016, Tables::Two),
    ("llama-2-70b", 68.977, Tables::Two),
    ("llama-3-70b", 70.554, Tables::Two),
    ("llama-3.1-405b", 405.85, Tables::Two),
    ("bloom-176b", 176.247, Tables::One),
    ("mixtral-8x22b", 140.63, Tables::Two),
    ("mistral-large-123b", 122.61, Tables::Two),
    ("qwen-72b", 72.288, Tables::Two),
    ("qwen2.5-14b", 14.770, Tables::Two),
    ("qwen3-235b-a22b", 235.09, Tables::Two),
    ("internlm-20b", 20.09, Tables::Two),
    ("phi-2", 2.780, Tables::Two),
    ("phi-3-small", 7.392, Tables::One),
    ("codellama-34b", 33.744, Tables::Two),
    ("gemma-2-27b", 27.227, Tables::One),
    ("codegemma-7b", 8.538, Tables::One),
    ("starcoder2-15b", 15.958, Tables::Two),
    ("falcon-180b", 179.52, Tables::Two),
    ("dbrx-132b", 131.60, Tables::Two),
];

/// Tables of the vocabulary that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tables {
    One,
    Two,
}

/// Names by which sets of other laboratories call their models.
const NAMES_IN_SETS: [&str; 29] = [
    "google/codegemma-7b",
    "google/codegemma-1.1-2b",
    "codellama/CodeLlama-7b-hf",
    "codellama/CodeLlama-13b-hf",
    "codellama/CodeLlama-34b-hf",
    "codellama/CodeLlama-34b-Instruct-hf",
    "codellama/CodeLlama-70b-hf",
    "bigcode/starcoder2-3b",
    "bigcode/starcoder2-7b",
    "bigcode/starcoder2-15b",
    "microsoft/Phi-3-mini-4k-instruct",
    "microsoft/Phi-3-small-8k-instruct",
    "microsoft/Phi-3-medium-4k-instruct",
    "meta-llama/Meta-Llama-3.1-8B-Instruct",
    "google/gemma-2-2b-it",
    "google/gemma-2-9b-it",
    "google/gemma-2-27b-it",
    "mistralai/Mistral-7B-Instruct-v0.3",
    "mistralai/Mistral-Nemo-Instruct-2407",
    "mistralai/Mistral-Large-Instruct-2407",
    "mistralai/Mixtral-8x22B-Instruct-v0.1",
    "bloom-176b",
    "llama2-70b",
    "Qwen-72B",
    "Llama-2-7b-hf",
    "Llama-2-70b-hf",
    "Meta-Llama-3-8B",
    "internlm/internlm-20b",
    "microsoft/phi-2",
];

fn cards() -> Vec<(String, SourceText)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/models");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut stems: Vec<String> =
        entries.map(|name| name.to_str().unwrap().strip_suffix(".yaml").unwrap().to_owned()).collect();
    stems.sort_unstable();
    let text = |stem: &str| Shipped::default().text(&format!("scenarios/models/{stem}.yaml")).unwrap();
    stems.into_iter().map(|stem| (stem.clone(), text(&stem))).collect()
}

/// Billions of parameters without norms and biases.
fn billions(model: &ModelSpec, tables: Tables) -> f64 {
    let (moe, attention) = (model.ffn.as_moe(), model.attention);
    let width = attention.n_weights(1, attention.n_heads, attention.n_kv_heads) as f64;
    let experts = f64::from(moe.n_routed_experts * moe.n_matrices()) * f64::from(moe.expert_hidden);
    let gate = if moe.has_gate() { f64::from(moe.n_routed_experts) } else { 0.0 };
    let n_tables = if tables == Tables::One { 1.0 } else { 2.0 };
    let vocabulary = n_tables * f64::from(model.vocab.unwrap_or(0));
    let per_width = f64::from(model.n_layers) * (width + experts + gate) + vocabulary;
    f64::from(model.hidden) * per_width / 1e9
}

#[test]
fn every_card_is_sound_and_named_after_its_file() {
    for (stem, text) in cards() {
        assert_eq!(read_model(&text).unwrap().name, stem);
    }
}

/// Norms and biases, which no card counts, are below a thousandth of each.
#[test]
fn cards_have_the_published_number_of_parameters() {
    let all: BTreeMap<_, _> = cards().into_iter().collect();
    for (stem, published, tables) in PUBLISHED {
        let found = billions(&read_model(&all[stem]).unwrap(), tables);
        assert!((found / published - 1.0).abs() < 1e-3, "{stem}: {found} against {published}");
    }
}

#[test]
fn no_name_means_two_models() {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for (stem, text) in cards() {
        let card: ModelFile = parse_yaml(&text).unwrap();
        for name in card.aliases.iter().chain([&card.name]) {
            let bare = name.rsplit('/').next().unwrap().to_ascii_lowercase();
            let first = owners.entry(bare).or_insert_with(|| stem.clone());
            assert_eq!(*first, stem, "`{name}` is both");
        }
    }
}

#[test]
fn sets_find_their_models() {
    let cards: Vec<ModelFile> = cards().iter().map(|(_, text)| parse_yaml(text).unwrap()).collect();
    for name in NAMES_IN_SETS {
        assert_eq!(cards.iter().filter(|card| card.is_named(name)).count(), 1, "{name}");
    }
}
