//! The operations of one layer, by the share of tokens, heads and experts that a GPU has.

use masim_units::Bytes;

use super::{GroupRows, Op, OpKind, OpShape};
use crate::scenario::{FfnSpec, ModelSpec, MoeSpec};

/// Makes the operations of a model.
#[derive(Clone, Copy, Debug)]
pub struct LayerOps<'a> {
    model: &'a ModelSpec,
}

impl<'a> LayerOps<'a> {
    /// The operations of `model`.
    pub fn new(model: &'a ModelSpec) -> Self {
        Self { model }
    }

    /// The feed-forward half as experts.
    pub fn moe(self) -> MoeSpec {
        self.model.ffn.as_moe()
    }

    fn hidden(self) -> u64 {
        u64::from(self.model.hidden)
    }

    fn head_dim(self) -> u64 {
        u64::from(self.model.attention.head_dim)
    }

    /// Rows of the embedding table for `tokens`.
    pub fn embedding(self, tokens: u64) -> Op {
        Op::elementwise(OpKind::Embedding, tokens, self.hidden(), 1, 1)
    }

    /// Normalisation of a stream that was not changed since it was read.
    pub fn norm(self, tokens: u64) -> Op {
        Op::elementwise(OpKind::Norm, tokens, self.hidden(), 1, 1)
    }

    /// Sum with the residual stream and normalisation in one kernel, as serving stacks fuse them.
    pub fn residual_norm(self, tokens: u64) -> Op {
        Op::elementwise(OpKind::Norm, tokens, self.hidden(), 2, 2)
    }

    /// Sum with the residual stream alone.
    pub fn residual(self, tokens: u64) -> Op {
        Op::elementwise(OpKind::Residual, tokens, self.hidden(), 2, 1)
    }

    /// `[tokens, hidden] -> [tokens, (n_heads + 2 n_kv_heads) head_dim]`
    pub fn qkv_projection(self, tokens: u64, n_heads: u32, n_kv_heads: u32) -> Op {
        let width = u64::from(n_heads + 2 * n_kv_heads) * self.head_dim();
        Op::gemm(OpKind::QkvProjection, tokens, width, self.hidden())
    }

    /// One query of each of `batch` sequences against `kv_tokens` cached tokens in all.
    pub fn decode_attention(self, batch: u64, kv_tokens: u64, n_heads: u32, n_kv_heads: u32) -> Op {
        let shape = OpShape::DecodeAttention {
            batch,
            kv_tokens,
            n_heads: u64::from(n_heads),
            n_kv_heads: u64::from(n_kv_heads),
            head_dim: self.head_dim(),
        };
        Op { kind: OpKind::DecodeAttention, shape }
    }

    /// The last `q_len` of `kv_len` tokens of each of `batch` prompts.
    pub fn prefill_attention(
        self,
        batch: u64,
        (q_len, kv_len): (u64, u64),
        n_heads: u32,
        n_kv_heads: u32,
    ) -> Op {
        let shape = OpShape::PrefillAttention {
            batch,
            q_len,
            kv_len,
            n_heads: u64::from(n_heads),
            n_kv_heads: u64::from(n_kv_heads),
            head_dim: self.head_dim(),
        };
        Op { kind: OpKind::PrefillAttention, shape }
    }

    /// `n_partials` partial outputs of `tokens` become one, weighted by their log-sum-exp.
    pub fn merge_partials(self, tokens: u64, n_heads: u32, n_partials: u64) -> Op {
        Op::elementwise(OpKind::MergePartials, tokens, u64::from(n_heads) * self.head_dim(), n_partials, 1)
    }

    /// `[tokens, n_heads head_dim] -> [tokens, hidden]`
    pub fn output_projection(self, tokens: u64, n_heads: u32) -> Op {
        Op::gemm(OpKind::OutputProjection, tokens, self.hidden(), u64::from(n_heads) * self.head_dim())
    }

    /// Scores of all experts and the choice of the best; nothing where there is no choice.
    pub fn gate(self, tokens: u64) -> Vec<Op> {
        let n_experts = u64::from(self.moe().n_routed_experts);
        if !self.moe().has_gate() {
            return Vec::new();
        }
        let scores = Op::gemm(OpKind::Gate, tokens, n_experts, self.hidden());
        vec![scores, Op::elementwise(OpKind::Gate, tokens, n_experts, 1, 1)]
    }

    /// `rows` token rows gathered into another order; a dense layer keeps its order.
    pub fn permute(self, rows: u64) -> Option<Op> {
        matches!(self.model.ffn, FfnSpec::Moe(_))
            .then(|| Op::elementwise(OpKind::Permute, rows, self.hidden(), 1, 1))
    }

    /// The products of experts over their `rows`, at `width` of their hidden width; without a choice, plain products.
    pub fn experts(self, rows: GroupRows, width: u64) -> [Op; 3] {
        let n_up = u64::from(self.moe().n_matrices() - 1);
        let hidden = self.hidden();
        let product = |kind, n, k| match self.model.ffn {
            FfnSpec::Moe(_) => Op { kind, shape: OpShape::GroupedGemm { rows, n, k } },
            FfnSpec::Dense { .. } => Op::gemm(kind, rows.rows, n, k),
        };
        [
            product(OpKind::ExpertUp, n_up * width, hidden),
            Op::elementwise(OpKind::Activation, rows.rows, width, n_up, 1),
            product(OpKind::ExpertDown, hidden, width),
        ]
    }

    /// `rows` expert outputs weighted and summed to `tokens` rows.
    pub fn combine_sum(self, rows: u64, tokens: u64) -> Op {
        // Reads every row and writes every token: one array of (rows + tokens) x hidden in all.
        Op::elementwise(OpKind::CombineSum, rows + tokens, self.hidden(), 1, 0)
    }

    /// A kernel around a compressed collective that reads and writes `bytes` together.
    pub fn quantise(self, bytes: Bytes) -> Op {
        let values = bytes.0.div_ceil(self.model.dtype.activations.bytes());
        Op::elementwise(OpKind::Quantise, values, 1, 1, 0)
    }

    /// `[tokens, hidden] -> [tokens, vocab]` and the choice of a token, over a share of the vocabulary.
    pub fn lm_head(self, tokens: u64, vocab: u64) -> [Op; 2] {
        [
            Op::gemm(OpKind::LmHead, tokens, vocab, self.hidden()),
            Op::elementwise(OpKind::Sampling, tokens, vocab, 1, 0),
        ]
    }
}
