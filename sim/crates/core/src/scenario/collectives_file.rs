//! The YAML of collectives.

use schemars::JsonSchema;
use serde::Serialize;

use super::collectives::{AlgorithmRule, CollectiveRules, Compression, ProtocolRule};
use crate::inputs::text::kind::deserialize_names;

/// Algorithm, protocol and compression of collectives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectivesFile {
    /// `auto`: NCCL's choice with a profile, the fastest on wires alone without.
    #[serde(default)]
    pub algorithm: AlgorithmFile,
    /// NCCL's protocol; without a profile there is none.
    #[serde(default)]
    pub protocol: ProtocolFile,
    /// `int8`: all-reduces send 8-bit values and their scales, and kernels quantise, sum and expand them.
    #[serde(default)]
    pub compressed: CompressionFile,
}

/// An algorithm that is forced where a group has the shape for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlgorithmFile {
    /// None.
    #[default]
    Auto,
    /// Rings, as many as the links have room for.
    Ring,
    /// Two binary trees over the nodes.
    Tree,
    /// Everyone to everyone.
    Direct,
    /// Each GPU its share over its own rail.
    Rail,
    /// One GPU of each node speaks for it.
    Leader,
}

/// A protocol that is forced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolFile {
    /// None.
    #[default]
    Auto,
    /// A flag beside every 4 bytes.
    Ll,
    /// A flag beside every 120 bytes.
    Ll128,
    /// A flag for a whole slice.
    Simple,
}

/// Number format of all-reduces on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompressionFile {
    /// The values that are summed.
    #[default]
    None,
    /// 8-bit integers.
    Int8,
}

deserialize_names!(CompressionFile {
    "none" => Self::None,
    "int8" => Self::Int8,
} planned []);

deserialize_names!(AlgorithmFile {
    "auto" => Self::Auto,
    "ring" => Self::Ring,
    "tree" => Self::Tree,
    "direct" => Self::Direct,
    "rail" => Self::Rail,
    "leader" => Self::Leader,
} planned []);

deserialize_names!(ProtocolFile {
    "auto" => Self::Auto,
    "ll" => Self::Ll,
    "ll128" => Self::Ll128,
    "simple" => Self::Simple,
} planned []);

impl From<CollectivesFile> for CollectiveRules {
    fn from(file: CollectivesFile) -> Self {
        let algorithm = match file.algorithm {
            AlgorithmFile::Auto => AlgorithmRule::Auto,
            AlgorithmFile::Ring => AlgorithmRule::Ring,
            AlgorithmFile::Tree => AlgorithmRule::Tree,
            AlgorithmFile::Direct => AlgorithmRule::Direct,
            AlgorithmFile::Rail => AlgorithmRule::Rail,
            AlgorithmFile::Leader => AlgorithmRule::Leader,
        };
        let protocol = match file.protocol {
            ProtocolFile::Auto => ProtocolRule::Auto,
            ProtocolFile::Ll => ProtocolRule::Ll,
            ProtocolFile::Ll128 => ProtocolRule::Ll128,
            ProtocolFile::Simple => ProtocolRule::Simple,
        };
        let compressed = match file.compressed {
            CompressionFile::None => Compression::None,
            CompressionFile::Int8 => Compression::Int8,
        };
        Self { algorithm, protocol, compressed }
    }
}
