//! From the YAML of a model card to its meaning.

use super::Findings;
use crate::inputs::text::{Problem, Tree};
use crate::scenario::attention_file::{AttentionFile, HeadsFile, LatentFile, PositionFile};
use crate::scenario::model_file::{FfnFile, ModelFile, MoeFile, NormFile};
use crate::scenario::{AttentionSpec, Dtypes, FfnSpec, LatentSpec, ModelSpec, MoeSpec, Norm, Position};

/// Bounds far beyond any model; those of products of counts stand in `size`.
const N_LAYERS_MAX: u32 = 10_000;
const WIDTH_MAX: u32 = 1 << 20;
const N_HEADS_MAX: u32 = 1 << 12;
const HEAD_DIM_MAX: u32 = 1 << 12;
/// Experts are counted in 16 bits.
const N_EXPERTS_MAX: u32 = 1 << 16;
/// Every token passes all of them; no model has more than a few.
const N_SHARED_EXPERTS_MAX: u32 = 64;
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
    check_paths(file, &mut findings);
    let dtype = file.dtype;
    findings.into_result(ModelSpec {
        name: file.name.clone(),
        n_layers: file.n_layers,
        hidden: file.hidden,
        attention,
        ffn,
        norm: match file.norm {
            NormFile::Rms => Norm::Rms,
            NormFile::Layer => Norm::Layer,
        },
        vocab: file.vocab,
        dtype: Dtypes {
            weights: dtype.weights,
            activations: dtype.activations,
            kv: dtype.kv,
            dispatch: dtype.dispatch,
            combine: dtype.combine,
        },
        assumed: file.assumed.clone(),
        simplified: file.simplified.clone(),
    })
}

fn attention_of(file: AttentionFile, findings: &mut Findings) -> AttentionSpec {
    match file {
        AttentionFile::Mha(heads) => {
            let HeadsFile { n_heads, n_kv_heads, .. } = heads;
            if n_kv_heads != n_heads {
                findings.add_with_hint(
                    "attention.n_kv_heads",
                    format_args!(
                        "{n_kv_heads} differs from the {n_heads} query heads; expected as many for `mha`"
                    ),
                    "say `kind: gqa` where query heads share key/value heads",
                );
            }
            heads_of(heads, findings)
        }
        AttentionFile::Gqa(heads) => {
            let HeadsFile { n_heads, n_kv_heads, .. } = heads;
            if n_kv_heads > 0 && n_heads % n_kv_heads != 0 {
                findings.add(
                    "attention.n_kv_heads",
                    format_args!("{n_kv_heads} does not divide the {n_heads} query heads"),
                );
            }
            heads_of(heads, findings)
        }
        AttentionFile::Mla(latent) => latent_of(latent, findings),
    }
}

fn heads_of(file: HeadsFile, findings: &mut Findings) -> AttentionSpec {
    let HeadsFile { n_heads, n_kv_heads, head_dim, position } = file;
    findings.count("attention.n_heads", n_heads, N_HEADS_MAX);
    findings.count("attention.n_kv_heads", n_kv_heads, N_HEADS_MAX);
    findings.count("attention.head_dim", head_dim, HEAD_DIM_MAX);
    let position = match position {
        PositionFile::Rope => Position::Rope,
        PositionFile::Alibi => Position::Alibi,
        PositionFile::None => Position::None,
    };
    AttentionSpec { n_heads, n_kv_heads, head_dim, position, latent: None }
}

/// Latent attention: one latent stands for the keys and values of all heads.
fn latent_of(file: LatentFile, findings: &mut Findings) -> AttentionSpec {
    let LatentFile { n_heads, q_lora_rank, kv_lora_rank, rope_dim, nope_dim, v_dim } = file;
    findings.count("attention.n_heads", n_heads, N_HEADS_MAX);
    if let Some(rank) = q_lora_rank {
        findings.count("attention.q_lora_rank", rank, WIDTH_MAX);
    }
    findings.count("attention.kv_lora_rank", kv_lora_rank, WIDTH_MAX);
    for (key, width) in [("rope_dim", rope_dim), ("nope_dim", nope_dim), ("v_dim", v_dim)] {
        findings.count(&format!("attention.{key}"), width, HEAD_DIM_MAX);
    }
    let latent = LatentSpec { q_lora_rank, kv_lora_rank, rope_dim, nope_dim, v_dim };
    let head_dim = nope_dim.saturating_add(rope_dim);
    AttentionSpec { n_heads, n_kv_heads: 1, head_dim, position: Position::Rope, latent: Some(latent) }
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
                n_shared_experts: moe.n_shared_experts,
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
    if moe.n_shared_experts > N_SHARED_EXPERTS_MAX {
        let found = moe.n_shared_experts;
        findings.add(
            "ffn.n_shared_experts",
            format_args!("{found} is out of range; expected 0 to {N_SHARED_EXPERTS_MAX}"),
        );
    }
    if moe.n_dense_layers > 0 {
        findings.add("ffn.n_dense_layers", "layers without experts are not modelled yet; expected 0");
    } else if moe.dense_hidden.is_some() {
        findings.add("ffn.dense_hidden", "there are no dense layers that it could describe; expected `null`");
    }
}

/// Keys that the card says something of must be there.
fn check_paths(file: &ModelFile, findings: &mut Findings) {
    let tree = Tree::of(file);
    for (list, paths) in [("assumed", &file.assumed), ("simplified", &file.simplified)] {
        for (idx, path) in paths.iter().enumerate() {
            let found = path.split('.').try_fold(&tree, |tree, key| tree.get(key));
            if found.is_none() {
                findings.add(&format!("{list}[{idx}]"), format_args!("the card has no key `{path}`"));
            }
        }
    }
}
