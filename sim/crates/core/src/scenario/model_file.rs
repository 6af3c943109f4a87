//! The YAML of a model card, word for word.

use schemars::JsonSchema;
use serde::de::MapAccess;
use serde::{Deserialize, Serialize};

use super::attention_file::AttentionFile;
use crate::inputs::text::kind::{Kinds, deserialize_kinds, deserialize_names, rest_of};
use crate::inputs::topology::Dtype;

/// A model card, `scenarios/models/<name>.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Version of the format; 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The model's name, also the stem of its file.
    pub name: String,
    /// Names that measurement sets use.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Transformer layers.
    pub n_layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// The attention half of each layer.
    pub attention: AttentionFile,
    /// The other half.
    pub ffn: FfnFile,
    /// Normalisation of the residual stream in each half.
    #[serde(default)]
    pub norm: NormFile,
    /// Vocabulary; `null` leaves out embedding and LM head.
    #[serde(default)]
    pub vocab: Option<u32>,
    /// Number formats.
    pub dtype: DtypesFile,
    /// Keys that the source of the card does not state.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// Keys of which the source states another value, because what it states is not modelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub simplified: Vec<String>,
}

impl ModelFile {
    /// True if `name` means this model: its name or one of its aliases, in letters of either case, with the
    /// organisation before the `/` or without it.
    pub fn is_named(&self, name: &str) -> bool {
        let bare = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let wanted = bare(name);
        bare(&self.name) == wanted || self.aliases.iter().any(|alias| bare(alias) == wanted)
    }
}

/// Normalisation of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormFile {
    /// By the root of the mean square.
    #[default]
    Rms,
    /// By mean and variance.
    Layer,
}

deserialize_names!(NormFile { "rms" => Self::Rms, "layer" => Self::Layer } planned []);

/// The feed-forward half of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FfnFile {
    /// A mixture of experts.
    Moe(MoeFile),
    /// Every token passes the same matrices.
    Dense(DenseFile),
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoeFile {
    /// A third, gating matrix beside up and down in each expert.
    pub gated: bool,
    /// Experts that the gate chooses from.
    pub n_routed_experts: u32,
    /// Experts that every token passes, on the GPU where its residual stream is.
    #[serde(default)]
    pub n_shared_experts: u32,
    /// Experts chosen per token.
    pub experts_per_token: u32,
    /// Width between up and down projection of one expert.
    pub expert_hidden: u32,
    /// First layers without experts; only 0 is modelled yet.
    #[serde(default)]
    pub n_dense_layers: u32,
    /// Width of those layers.
    #[serde(default)]
    pub dense_hidden: Option<u32>,
}

/// A feed-forward half without experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenseFile {
    /// A third, gating matrix beside up and down.
    pub gated: bool,
    /// Width between up and down projection.
    pub dense_hidden: u32,
}

impl Kinds for FfnFile {
    const KINDS: &'static [&'static str] = &["moe", "dense"];

    fn read<'de, A: MapAccess<'de>>(kind: &str, rest: A) -> Result<Self, A::Error> {
        match kind {
            "moe" => rest_of(rest).map(Self::Moe),
            _ => rest_of(rest).map(Self::Dense),
        }
    }
}

deserialize_kinds!(FfnFile);

/// Number formats by use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DtypesFile {
    /// Weights.
    pub weights: Dtype,
    /// Activations.
    pub activations: Dtype,
    /// Key/value cache.
    pub kv: Dtype,
    /// Tokens on their way to the experts.
    pub dispatch: Dtype,
    /// Expert outputs on their way back.
    pub combine: Dtype,
}
