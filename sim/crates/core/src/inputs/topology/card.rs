//! One kind of GPU: what its datasheet says.

use std::collections::BTreeMap;

use masim_units::{Bandwidth, Bytes, FlopsPerSec, SimDuration, Watts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number format of weights, activations or caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 16-bit brain float.
    Bf16,
    /// IEEE 16-bit float.
    Fp16,
    /// IEEE 32-bit float.
    Fp32,
    /// 8-bit float.
    Fp8,
    /// 8-bit integer.
    Int8,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Bf16, Self::Fp16, Self::Fp32, Self::Fp8, Self::Int8];

    /// Bytes of one element.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Bf16 | Self::Fp16 => 2,
            Self::Fp32 => 4,
            Self::Fp8 | Self::Int8 => 1,
        }
    }

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
        }
    }
}

/// One kind of GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuCard {
    /// Its name, which is also the stem of its file.
    pub name: String,
    /// Source of the figures.
    pub source: String,
    /// Dense peak rate of matrix arithmetic for each format that the card has.
    pub peak: BTreeMap<Dtype, FlopsPerSec>,
    /// Size of the device memory.
    pub memory_size: Bytes,
    /// Rate of the device memory.
    pub memory_bandwidth: Bandwidth,
    /// Streaming multiprocessors.
    pub n_sms: u32,
    /// Size of the L2 cache.
    pub l2: Bytes,
    /// Power without work.
    pub power_idle: Watts,
    /// Power limit.
    pub power_tdp: Watts,
    /// Power that work draws between the two.
    pub power_model: PowerModel,
    /// Assumptions where no calibrated model covers an operation.
    pub roofline: Roofline,
    /// Keys of its file that the source does not state.
    pub assumed: Vec<String>,
}

/// Efficiencies and launch costs that turn a datasheet into times.
#[derive(Clone, Debug, PartialEq)]
pub struct Roofline {
    /// Share of the memory bandwidth that kernels reach, in (0, 1].
    pub memory: f64,
    /// Share of the matrix peak that kernels reach, in (0, 1].
    pub matrix: f64,
    /// Cost of a kernel launched by the host one by one.
    pub launch_eager: SimDuration,
    /// Cost of a kernel replayed from a captured graph.
    pub launch_graph: SimDuration,
    /// Source of these figures.
    pub source: String,
}

/// Power of a GPU beside `power_idle`, from the use of its units.
///
/// With `headroom = power_tdp - power_idle - context`, a kernel draws
/// `min(1, matrix x MFU + memory x MBU) x headroom`, and waiting inside a communication kernel `link x headroom`.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerModel {
    /// An open context, with or without work.
    pub context: Watts,
    /// Share of the headroom per share of the matrix peak.
    pub matrix: f64,
    /// Share of the headroom per share of the memory bandwidth.
    pub memory: f64,
    /// Share of the headroom while a communication kernel is resident.
    pub link: f64,
    /// Source of these figures.
    pub source: String,
}
