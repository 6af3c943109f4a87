//! What work a layer is: the operations of a transformer, each with its FLOPs and its memory traffic.
//!
//! How long an operation takes is the business of `cost`.

mod attention;
mod cache_heads;
mod group_rows;
pub mod layer;

pub use cache_heads::CacheHeads;
pub use group_rows::GroupRows;
pub use layer::LayerOps;

use masim_units::{Bytes, Flops};

use crate::inputs::topology::Dtype;
use crate::scenario::Dtypes;

/// Bytes that say which token a GPU would choose from its share of the vocabulary: a score (fp32) and an id.
pub const CANDIDATE_BYTES: u64 = 8;

/// What an operation is for; the unit in which times are explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    /// Token ids to rows of the embedding table.
    Embedding,
    /// RMS or layer normalisation.
    Norm,
    /// Hidden states to queries, keys and values, or to the latents that they come from.
    QkvProjection,
    /// Queries and keys rotated by the positions of their tokens.
    Rope,
    /// Queries of each head into the space of the latents, or outputs of each head out of it.
    Absorb,
    /// Keys and values of each head from the latents.
    Expand,
    /// One query per sequence against its cache.
    DecodeAttention,
    /// The queries of a part of a prompt against all tokens up to their own.
    PrefillAttention,
    /// Partial attention outputs merged by their log-sum-exp.
    MergePartials,
    /// Heads back to the residual stream.
    OutputProjection,
    /// Sum with the residual stream.
    Residual,
    /// Scores of the experts, and the choice of the best.
    Gate,
    /// Rows gathered by expert.
    Permute,
    /// Hidden to expert width (with the gating matrix where there is one).
    ExpertUp,
    /// Activation function between the two expert products.
    Activation,
    /// Expert width back to hidden.
    ExpertDown,
    /// Expert outputs weighted and summed by token.
    CombineSum,
    /// Hidden states to scores of the vocabulary.
    LmHead,
    /// Choice of the next token.
    Sampling,
    /// To 8 bits and back, around a compressed collective.
    Quantise,
}

impl OpKind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Embedding,
        Self::Norm,
        Self::QkvProjection,
        Self::Rope,
        Self::Absorb,
        Self::Expand,
        Self::DecodeAttention,
        Self::PrefillAttention,
        Self::MergePartials,
        Self::OutputProjection,
        Self::Residual,
        Self::Gate,
        Self::Permute,
        Self::ExpertUp,
        Self::Activation,
        Self::ExpertDown,
        Self::CombineSum,
        Self::LmHead,
        Self::Sampling,
        Self::Quantise,
    ];

    /// The name in reports and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Norm => "norm",
            Self::QkvProjection => "qkv_projection",
            Self::Rope => "rope",
            Self::Absorb => "absorb",
            Self::Expand => "expand",
            Self::DecodeAttention => "attention",
            Self::PrefillAttention => "prefill_attention",
            Self::MergePartials => "merge_partials",
            Self::OutputProjection => "output_projection",
            Self::Residual => "residual",
            Self::Gate => "gate",
            Self::Permute => "permute",
            Self::ExpertUp => "expert_up",
            Self::Activation => "activation",
            Self::ExpertDown => "expert_down",
            Self::CombineSum => "combine_sum",
            Self::LmHead => "lm_head",
            Self::Sampling => "sampling",
            Self::Quantise => "quantise",
        }
    }
}

/// One kernel: its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Op {
    /// What it is for.
    pub kind: OpKind,
    /// Its shape.
    pub shape: OpShape,
}

/// The shape of one kernel; everything that FLOPs and traffic follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpShape {
    /// `C[m, n] = A[m, k] B[k, n]` with weights `B`.
    Gemm {
        /// Rows (tokens).
        m: u64,
        /// Columns of the weights.
        n: u64,
        /// Depth.
        k: u64,
    },
    /// One product per expert with weights `[k, n]`.
    GroupedGemm {
        /// The rows of each expert.
        rows: GroupRows,
        /// Columns of the weights of one expert.
        n: u64,
        /// Depth.
        k: u64,
    },
    /// One product for each head, with weights `[k, n]` of its own.
    BatchedGemm {
        /// Heads.
        n_batches: u64,
        /// Rows (tokens).
        m: u64,
        /// Columns of the weights of one head.
        n: u64,
        /// Depth.
        k: u64,
    },
    /// One query token per sequence.
    DecodeAttention {
        /// Sequences.
        batch: u64,
        /// Cached tokens, summed over the sequences.
        kv_tokens: u64,
        /// Those of the sequence that has most.
        kv_len_max: u64,
        /// The heads on this GPU.
        heads: CacheHeads,
    },
    /// The last `q_len` of `kv_len` tokens of each sequence; every query meets the tokens up to its own.
    PrefillAttention {
        /// Sequences.
        batch: u64,
        /// Query tokens of each.
        q_len: u64,
        /// Tokens of each, cached ones and queries together.
        kv_len: u64,
        /// The heads on this GPU.
        heads: CacheHeads,
    },
    /// Element by element over `[tokens, width]`.
    Elementwise {
        /// Rows.
        tokens: u64,
        /// Columns.
        width: u64,
        /// Arrays of that size that are read.
        n_read: u64,
        /// Arrays of that size that are written.
        n_written: u64,
    },
}

impl Op {
    /// A matrix product with weights.
    pub fn gemm(kind: OpKind, m: u64, n: u64, k: u64) -> Self {
        Self { kind, shape: OpShape::Gemm { m, n, k } }
    }

    /// An element-wise kernel that reads and writes so many arrays of `[tokens, width]`.
    pub fn elementwise(kind: OpKind, tokens: u64, width: u64, n_read: u64, n_written: u64) -> Self {
        Self { kind, shape: OpShape::Elementwise { tokens, width, n_read, n_written } }
    }

    /// True if there is nothing to do: no kernel is launched.
    pub fn is_empty(&self) -> bool {
        match self.shape {
            OpShape::Gemm { m, n, k } => m == 0 || n == 0 || k == 0,
            OpShape::GroupedGemm { rows, .. } => rows.rows == 0,
            OpShape::BatchedGemm { n_batches, m, .. } => n_batches == 0 || m == 0,
            OpShape::DecodeAttention { batch, heads, .. } => batch == 0 || heads.n_heads() == 0,
            OpShape::PrefillAttention { batch, q_len, heads, .. } => {
                batch * q_len == 0 || heads.n_heads() == 0
            }
            OpShape::Elementwise { tokens, width, .. } => tokens == 0 || width == 0,
        }
    }

    /// True if it multiplies with weights, column by column.
    pub fn is_product(&self) -> bool {
        match self.shape {
            OpShape::Gemm { .. } | OpShape::GroupedGemm { .. } => true,
            OpShape::BatchedGemm { .. }
            | OpShape::DecodeAttention { .. }
            | OpShape::PrefillAttention { .. }
            | OpShape::Elementwise { .. } => false,
        }
    }

    /// The same work for `columns(n)` of its `n` columns of output.
    ///
    /// # Panics
    ///
    /// For attention, whose output has heads and no columns of their own.
    #[must_use]
    pub fn with_columns(mut self, columns: impl Fn(u64) -> u64) -> Self {
        match &mut self.shape {
            OpShape::Gemm { n, .. } | OpShape::GroupedGemm { n, .. } => *n = columns(*n),
            OpShape::Elementwise { width, .. } => *width = columns(*width),
            OpShape::BatchedGemm { .. }
            | OpShape::DecodeAttention { .. }
            | OpShape::PrefillAttention { .. } => {
                unreachable!("attention is not cut by columns")
            }
        }
        self
    }

    /// The same kernel over `rows` rows.
    ///
    /// # Panics
    ///
    /// For attention and grouped products, whose rows are of several sequences or experts.
    #[must_use]
    pub fn with_rows(mut self, rows: u64) -> Self {
        match &mut self.shape {
            OpShape::Gemm { m, .. } | OpShape::BatchedGemm { m, .. } => *m = rows,
            OpShape::Elementwise { tokens, .. } => *tokens = rows,
            OpShape::GroupedGemm { .. }
            | OpShape::DecodeAttention { .. }
            | OpShape::PrefillAttention { .. } => {
                unreachable!("its rows are of several sequences or experts")
            }
        }
        self
    }

    /// The same products over the rows of each expert; a product that has no experts apart takes all rows.
    ///
    /// # Panics
    ///
    /// For kernels that are no products.
    #[must_use]
    pub fn with_group_rows(mut self, group_rows: GroupRows) -> Self {
        match &mut self.shape {
            OpShape::GroupedGemm { rows, .. } => *rows = group_rows,
            OpShape::Gemm { m, .. } => *m = group_rows.rows,
            OpShape::BatchedGemm { .. }
            | OpShape::DecodeAttention { .. }
            | OpShape::PrefillAttention { .. }
            | OpShape::Elementwise { .. } => unreachable!("no product over experts"),
        }
        self
    }

    /// Arithmetic on matrix units; element-wise work counts as free beside its traffic.
    ///
    /// Attention multiplies each query with the key, and its weight with the value, of every token that it meets:
    /// `2 n_heads (score_dim + value_dim)` per pair. In a prompt, `q` queries at the end of `n` tokens meet `q (n - q) + q (q + 1) / 2` of them.
    pub fn flops(&self) -> Flops {
        let product = |a: u64, b: u64, c: u64| Flops(2.0 * a as f64 * b as f64 * c as f64);
        match self.shape {
            OpShape::Gemm { m, n, k } => product(m, n, k),
            OpShape::GroupedGemm { rows, n, k } => product(rows.rows, n, k),
            OpShape::BatchedGemm { n_batches, m, n, k } => product(n_batches * m, n, k),
            OpShape::DecodeAttention { kv_tokens, heads, .. } => product(kv_tokens, heads.n_query(), 1),
            OpShape::PrefillAttention { batch, q_len, kv_len, heads } => {
                let pairs = q_len * kv_len.saturating_sub(q_len) + q_len * (q_len + 1) / 2;
                product(batch * pairs, heads.n_query(), 1)
            }
            OpShape::Elementwise { .. } => Flops::ZERO,
        }
    }

    /// Device-memory traffic: inputs, weights and outputs once each.
    ///
    /// # Panics
    ///
    /// Beyond 16 EiB, which input validation excludes.
    pub fn traffic(&self, dtypes: &Dtypes) -> Bytes {
        let (weight, activation, kv) =
            (dtypes.weights.bytes(), dtypes.activations.bytes(), dtypes.kv.bytes());
        Bytes(match self.shape {
            OpShape::Gemm { m, n, k } => k * n * weight + (m * k + m * n) * activation,
            OpShape::GroupedGemm { rows, n, k } => {
                rows.n_activated * k * n * weight + rows.rows * (k + n) * activation
            }
            OpShape::BatchedGemm { n_batches, m, n, k } => {
                n_batches * (k * n * weight + (m * k + m * n) * activation)
            }
            OpShape::DecodeAttention { batch, kv_tokens, heads, .. } => {
                // Keys and values of the cache are read, those of the new token written; queries in, outputs out.
                (kv_tokens * heads.n_read() + batch * heads.n_kept()) * kv
                    + batch * heads.n_query() * activation
            }
            OpShape::PrefillAttention { batch, q_len, kv_len, heads } => {
                // As in decode: keys and values of all tokens are read, those of the new ones written.
                batch * (kv_len * heads.n_read() + q_len * heads.n_kept()) * kv
                    + batch * q_len * heads.n_query() * activation
            }
            OpShape::Elementwise { tokens, width, n_read, n_written } => {
                tokens * width * (n_read + n_written) * activation
            }
        })
    }

    /// Kernels that a host launches for it.
    ///
    /// # Source
    ///
    /// vLLM: attention writes new keys and values in a kernel of its own (`reshape_and_cache`), a residual stream that is
    /// not added inside a norm is added before it, and a token is chosen from gathered scores by two normalisations and a search.
    pub fn n_launches(&self) -> u32 {
        match (self.kind, self.shape) {
            (OpKind::DecodeAttention | OpKind::PrefillAttention, _)
            | (OpKind::Norm, OpShape::Elementwise { n_read: 3, .. }) => 2,
            (OpKind::Sampling, OpShape::Elementwise { n_written: 1.., .. }) => 3,
            _ => 1,
        }
    }

    /// The format in which the matrix units work.
    pub fn compute_dtype(dtypes: &Dtypes) -> Dtype {
        dtypes.activations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BF16: Dtypes = Dtypes {
        weights: Dtype::Bf16,
        activations: Dtype::Bf16,
        kv: Dtype::Bf16,
        dispatch: Dtype::Bf16,
        combine: Dtype::Bf16,
    };

    /// traffic = (7168 + 7168 x 2048 + 2048) x 2 B = 29 378 560 B; 2 x 7168 x 2048 FLOP = 29 360 128
    #[test]
    fn a_one_token_gemm_reads_its_weights() {
        let op = Op::gemm(OpKind::LmHead, 1, 2048, 7168);
        assert_eq!(op.traffic(&BF16), Bytes(29_378_560));
        assert_eq!(op.flops(), Flops(29_360_128.0));
    }

    /// 1,024 sequences x 2,048 tokens x 2 (K and V) x 32 heads x 64 x 2 B = 17.18 GB of cache, beside
    /// 2 x 1024 x 2048 x 2 B of new rows and as much of queries and outputs (8.4 MB each).
    #[test]
    fn decode_attention_reads_the_cache() {
        let shape = OpShape::DecodeAttention {
            batch: 1024,
            kv_tokens: 1024 * 2048,
            kv_len_max: 2048,
            heads: CacheHeads::Grouped { n_heads: 32, n_kv_heads: 32, head_dim: 64 },
        };
        let op = Op { kind: OpKind::DecodeAttention, shape };
        assert_eq!(op.traffic(&BF16), Bytes(17_179_869_184 + 8_388_608 + 8_388_608));
        assert_eq!(op.flops(), Flops(4.0 * 1024.0 * 2048.0 * 2048.0));
    }

    fn prompt(q_len: u64, kv_len: u64) -> Op {
        let heads = CacheHeads::Grouped { n_heads: 8, n_kv_heads: 2, head_dim: 64 };
        let shape = OpShape::PrefillAttention { batch: 2, q_len, kv_len, heads };
        Op { kind: OpKind::PrefillAttention, shape }
    }

    /// 4 tokens: 1 + 2 + 3 + 4 = 10 pairs; 4 x 2 sequences x 10 x 8 heads x 64 = 40,960 FLOPs.
    /// K and V: 2 x 2 x (4 + 4) x 2 heads x 64 x 2 B = 8,192 B; queries and outputs: 2 x 2 x 4 x 8 x 64 x 2 B = 16,384 B.
    #[test]
    fn a_prompt_meets_itself_up_to_the_diagonal() {
        assert_eq!(prompt(4, 4).flops(), Flops(40_960.0));
        assert_eq!(prompt(4, 4).traffic(&BF16), Bytes(8_192 + 16_384));
    }

    #[test]
    fn the_chunks_of_a_prompt_multiply_as_much_as_the_whole() {
        let parts = prompt(3, 3).flops() + prompt(3, 6).flops() + prompt(1, 7).flops();
        assert_eq!(parts, prompt(7, 7).flops());
    }
}
