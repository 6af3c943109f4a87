//! Kernels in a program file.

use serde::{Deserialize, Serialize};

use super::{GroupRowsJson, ProgramError, format_error};
use crate::program::instr::Kernel;
use crate::program::size::{Fill, GroupedIdx, RowsIdx};
use crate::timing::kernel_model::mla::Latent;
use crate::work::ops::{CacheHeads, GroupRows, Op, OpKind, OpShape};

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KernelJson {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fill: Option<FillJson>,
    shape: ShapeJson,
}

/// The size of the step that a shape takes its rows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FillJson {
    Rows(u32),
    Grouped(u32),
}

/// A shape; a size that the step fills in stands at 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ShapeJson {
    Gemm {
        m: u64,
        n: u64,
        k: u64,
    },
    GroupedGemm {
        /// The rows of the experts where no step fills them in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<GroupRowsJson>,
        n: u64,
        k: u64,
    },
    BatchedGemm {
        n_batches: u64,
        m: u64,
        n: u64,
        k: u64,
    },
    DecodeAttention {
        batch: u64,
        kv_tokens: u64,
        kv_len_max: u64,
        heads: HeadsJson,
    },
    PrefillAttention {
        batch: u64,
        q_len: u64,
        kv_len: u64,
        heads: HeadsJson,
    },
    Elementwise {
        tokens: u64,
        width: u64,
        n_read: u64,
        n_written: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HeadsJson {
    Grouped { n_heads: u64, n_kv_heads: u64, head_dim: u64 },
    Absorbed { n_heads: u64, kv_lora_rank: u64, rope_dim: u64, nope_dim: u64, v_dim: u64 },
    Expanded { n_heads: u64, kv_lora_rank: u64, rope_dim: u64, nope_dim: u64, v_dim: u64 },
}

impl HeadsJson {
    fn of(heads: CacheHeads) -> Self {
        match heads {
            CacheHeads::Grouped { n_heads, n_kv_heads, head_dim } => {
                Self::Grouped { n_heads, n_kv_heads, head_dim }
            }
            CacheHeads::Absorbed(Latent { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim }) => {
                Self::Absorbed { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim }
            }
            CacheHeads::Expanded(Latent { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim }) => {
                Self::Expanded { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim }
            }
        }
    }

    fn meaning(&self) -> CacheHeads {
        match *self {
            Self::Grouped { n_heads, n_kv_heads, head_dim } => {
                CacheHeads::Grouped { n_heads, n_kv_heads, head_dim }
            }
            Self::Absorbed { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim } => {
                CacheHeads::Absorbed(Latent { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim })
            }
            Self::Expanded { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim } => {
                CacheHeads::Expanded(Latent { n_heads, kv_lora_rank, rope_dim, nope_dim, v_dim })
            }
        }
    }
}

impl KernelJson {
    pub(super) fn of(kernel: &Kernel) -> Self {
        let shape = match kernel.op.shape {
            OpShape::Gemm { m, n, k } => ShapeJson::Gemm { m, n, k },
            OpShape::GroupedGemm { rows, n, k } => {
                let rows = (kernel.fill == Fill::Fixed).then(|| GroupRowsJson::of(&rows));
                ShapeJson::GroupedGemm { rows, n, k }
            }
            OpShape::BatchedGemm { n_batches, m, n, k } => ShapeJson::BatchedGemm { n_batches, m, n, k },
            OpShape::DecodeAttention { batch, kv_tokens, kv_len_max, heads } => {
                ShapeJson::DecodeAttention { batch, kv_tokens, kv_len_max, heads: HeadsJson::of(heads) }
            }
            OpShape::PrefillAttention { batch, q_len, kv_len, heads } => {
                ShapeJson::PrefillAttention { batch, q_len, kv_len, heads: HeadsJson::of(heads) }
            }
            OpShape::Elementwise { tokens, width, n_read, n_written } => {
                ShapeJson::Elementwise { tokens, width, n_read, n_written }
            }
        };
        let fill = match kernel.fill {
            Fill::Fixed => None,
            Fill::Rows(RowsIdx(at)) => Some(FillJson::Rows(at)),
            Fill::Grouped(GroupedIdx(at)) => Some(FillJson::Grouped(at)),
        };
        Self { kind: kernel.op.kind.name().to_owned(), fill, shape }
    }

    /// The kernel.
    ///
    /// # Errors
    ///
    /// An unknown kind, or a size that the shape does not take.
    pub(super) fn meaning(&self) -> Result<Kernel, ProgramError> {
        let unknown = || format_error("kernels.kind", format!("unknown kernel `{}`", self.kind));
        let kind = OpKind::ALL.into_iter().find(|kind| kind.name() == self.kind).ok_or_else(unknown)?;
        let shape = match &self.shape {
            &ShapeJson::Gemm { m, n, k } => OpShape::Gemm { m, n, k },
            ShapeJson::GroupedGemm { rows, n, k } => {
                let none = GroupRows::of_counts(0, []);
                let rows = rows.as_ref().map_or(Ok(none), GroupRowsJson::meaning)?;
                OpShape::GroupedGemm { rows, n: *n, k: *k }
            }
            &ShapeJson::BatchedGemm { n_batches, m, n, k } => OpShape::BatchedGemm { n_batches, m, n, k },
            ShapeJson::DecodeAttention { batch, kv_tokens, kv_len_max, heads } => OpShape::DecodeAttention {
                batch: *batch,
                kv_tokens: *kv_tokens,
                kv_len_max: *kv_len_max,
                heads: heads.meaning(),
            },
            ShapeJson::PrefillAttention { batch, q_len, kv_len, heads } => OpShape::PrefillAttention {
                batch: *batch,
                q_len: *q_len,
                kv_len: *kv_len,
                heads: heads.meaning(),
            },
            &ShapeJson::Elementwise { tokens, width, n_read, n_written } => {
                OpShape::Elementwise { tokens, width, n_read, n_written }
            }
        };
        let (fill, is_fit) = match (&self.fill, &self.shape) {
            (None, shape) => (Fill::Fixed, !matches!(shape, ShapeJson::GroupedGemm { rows: None, .. })),
            (Some(FillJson::Rows(at)), shape) => {
                let has_rows = matches!(
                    shape,
                    ShapeJson::Gemm { .. } | ShapeJson::BatchedGemm { .. } | ShapeJson::Elementwise { .. }
                );
                (Fill::Rows(RowsIdx(*at)), has_rows)
            }
            (Some(FillJson::Grouped(at)), shape) => {
                let is_product = matches!(shape, ShapeJson::Gemm { .. } | ShapeJson::GroupedGemm { .. });
                (Fill::Grouped(GroupedIdx(*at)), is_product)
            }
        };
        let kernel = Kernel { op: Op { kind, shape }, fill };
        is_fit.then_some(kernel).ok_or_else(|| {
            format_error("kernels.fill", format!("`{}` does not take its rows from there", self.kind))
        })
    }

    /// The same kernel with its sizes moved on.
    pub(super) fn shifted(&self, rows: u32, grouped: u32) -> Self {
        let fill = self.fill.as_ref().map(|fill| match fill {
            FillJson::Rows(at) => FillJson::Rows(at.saturating_add(rows)),
            FillJson::Grouped(at) => FillJson::Grouped(at.saturating_add(grouped)),
        });
        Self { fill, ..self.clone() }
    }

    /// The position of its rows and of its groups of rows.
    pub(super) fn sizes(&self) -> (Option<u32>, Option<u32>) {
        match self.fill {
            Some(FillJson::Rows(at)) => (Some(at), None),
            Some(FillJson::Grouped(at)) => (None, Some(at)),
            None => (None, None),
        }
    }
}
