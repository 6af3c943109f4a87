//! What a model card means.

use super::Findings;
use crate::input::{Problem, Tree};
use crate::scenario::model_file::{AttentionFile, AttentionKindFile, FfnFile, ModelFile, MoeFile};
use crate::scenario::{AttentionSpec, Dtypes, FfnSpec, ModelSpec, MoeSpec};

/// Bounds far beyond any model; those of products of counts stand in `size`.
const N_LAYERS_MAX: u32 = 10_000;
const WIDTH_MAX: u32 = 1 << 20;
const N_HEADS_MAX: u32 = 1 << 12;
const HEAD_DIM_MAX: u32 = 1 << 12;
/// Experts are counted in 16 bits.
const N_EXPERTS_MAX: u32 = 1 << 16;
const VOCAB_MAX: u32 = 1 << 24;

/// The model that a card describes.
pub(in crate::scenario) fn model_of(file: &ModelFile) -> Result<ModelSpec, Vec<Problem>> {
    let mut findings = Findings::default();
    findings.schema(file.schema);
    if file.name.trim().is_empty() {
        findings.add("name", "is empty; expected the model's name");
    }
    findings.count("n_layers", file.n_layers, N_LAYERS_MAX);
    findings.count("hidden", file.hidden, WIDTH_MAX);
    let attention = attention_of(file.attention, &mut findings);
    let ffn = ffn_of(file.ffn, &mut findings);
    if let Some(vocab) = file.vocab {
        findings.count("vocab", vocab, VOCAB_MAX);
    }
    check_assumed(file, &mut findings);
    let dtype = file.dtype;
    findings.into_result(ModelSpec {
        name: file.name.clone(),
        n_layers: file.n_layers,
        hidden: file.hidden,
        attention,
        ffn,
        vocab: file.vocab,
        dtype: Dtypes {
            weights: dtype.weights,
            activations: dtype.activations,
            kv: dtype.kv,
            dispatch: dtype.dispatch,
            combine: dtype.combine,
        },
        assumed: file.assumed.clone(),
    })
}

fn attention_of(file: AttentionFile, findings: &mut Findings) -> AttentionSpec {
    let AttentionFile { kind, n_heads, n_kv_heads, head_dim } = file;
    findings.count("attention.n_heads", n_heads, N_HEADS_MAX);
    findings.count("attention.n_kv_heads", n_kv_heads, N_HEADS_MAX);
    findings.count("attention.head_dim", head_dim, HEAD_DIM_MAX);
    match kind {
        AttentionKindFile::Mha if n_kv_heads != n_heads => findings.add_with_hint(
            "attention.n_kv_heads",
            format_args!("{n_kv_heads} differs from the {n_heads} query heads; expected as many for `mha`"),
            "say `kind: gqa` where query heads share key/value heads",
        ),
        AttentionKindFile::Gqa if n_kv_heads > 0 && n_heads % n_kv_heads != 0 => findings.add(
            "attention.n_kv_heads",
            format_args!("{n_kv_heads} does not divide the {n_heads} query heads"),
        ),
        AttentionKindFile::Mha | AttentionKindFile::Gqa => {}
    }
    AttentionSpec { n_heads, n_kv_heads, head_dim }
}

fn ffn_of(file: FfnFile, findings: &mut Findings) -> FfnSpec {
    match file {
        FfnFile::Dense(dense) => {
            findings.count("ffn.dense_hidden", dense.dense_hidden, WIDTH_MAX);
            FfnSpec::Dense { gated: dense.gated, hidden: dense.dense_hidden }
        }
        FfnFile::Moe(moe) => {
            check_moe(moe, findings);
            FfnSpec::Moe(MoeSpec {
                gated: moe.gated,
                n_routed_experts: moe.n_routed_experts,
                experts_per_token: moe.experts_per_token,
                expert_hidden: moe.expert_hidden,
            })
        }
    }
}

fn check_moe(moe: MoeFile, findings: &mut Findings) {
    let n_experts = moe.n_routed_experts;
    findings.count("ffn.n_routed_experts", n_experts, N_EXPERTS_MAX);
    findings.count("ffn.experts_per_token", moe.experts_per_token, n_experts.clamp(1, N_EXPERTS_MAX));
    findings.count("ffn.expert_hidden", moe.expert_hidden, WIDTH_MAX);
    if moe.n_shared_experts > 0 {
        findings.add("ffn.n_shared_experts", "shared experts are not modelled yet; expected 0");
    }
    if moe.n_dense_layers > 0 {
        findings.add("ffn.n_dense_layers", "layers without experts are not modelled yet; expected 0");
    } else if moe.dense_hidden.is_some() {
        findings.add("ffn.dense_hidden", "there are no dense layers that it could describe; expected `null`");
    }
}

fn check_assumed(file: &ModelFile, findings: &mut Findings) {
    let tree = Tree::of(file);
    for (idx, path) in file.assumed.iter().enumerate() {
        let found = path.split('.').try_fold(&tree, |tree, key| tree.get(key));
        if found.is_none() {
            findings.add(&format!("assumed[{idx}]"), format_args!("the card has no key `{path}`"));
        }
    }
}
