//! The operations of one layer, by the share of tokens, heads and experts that a GPU has.

use masim_units::Bytes;

use super::{GroupRows, Op, OpKind, OpShape};
use crate::scenario::{AttentionSpec, FfnSpec, Logits, ModelSpec, MoeSpec, Norm};

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

    pub(super) fn hidden(self) -> u64 {
        u64::from(self.model.hidden)
    }

    pub(super) fn attention(self) -> AttentionSpec {
        self.model.attention
    }

    /// Rows of the embedding table for `tokens`.
    pub fn embedding(self, tokens: u64) -> Op {
        Op::elementwise(OpKind::Embedding, tokens, self.hidden(), 1, 1)
    }

    /// Normalisation of a stream that was not changed since it was read.
    pub fn norm(self, tokens: u64) -> Op {
        Op::elementwise(OpKind::Norm, tokens, self.hidden(), 1, 1)
    }

    /// Sum with the residual stream and normalisation: in one kernel, or where norms take mean and variance in two,
    /// between which the sum crosses memory once more.
    ///
    /// # Source
    ///
    /// vLLM: `fused_add_rms_norm` in the models with RMS norms; `nn.LayerNorm` and a plain sum in BLOOM, OPT, Falcon and the like.
    pub fn residual_norm(self, tokens: u64) -> Op {
        let n_read = match self.model.norm {
            Norm::Rms => 2,
            Norm::Layer => 3,
        };
        Op::elementwise(OpKind::Norm, tokens, self.hidden(), n_read, 2)
    }

    /// Sum with the residual stream alone.
    pub fn residual(self, tokens: u64) -> Op {
        Op::elementwise(OpKind::Residual, tokens, self.hidden(), 2, 1)
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

    /// The experts that every token passes, at `width` of their hidden width together; nothing where there are none.
    pub fn shared_experts(self, tokens: u64, width: u64) -> Vec<Op> {
        let n_up = u64::from(self.moe().n_matrices() - 1);
        if width == 0 {
            return Vec::new();
        }
        vec![
            Op::gemm(OpKind::ExpertUp, tokens, n_up * width, self.hidden()),
            Op::elementwise(OpKind::Activation, tokens, width, n_up, 1),
            Op::gemm(OpKind::ExpertDown, tokens, self.hidden(), width),
            self.residual(tokens),
        ]
    }

    /// `rows` expert outputs weighted and summed to `tokens` rows.
    pub fn combine_sum(self, rows: u64, tokens: u64) -> Op {
        // Reads every row and writes every token: one array of (rows + tokens) x hidden in all.
        Op::elementwise(OpKind::CombineSum, rows + tokens, self.hidden(), 1, 0)
    }

    /// `[tokens, hidden] -> [tokens, vocab]` over a share of the vocabulary.
    pub fn lm_head(self, tokens: u64, vocab: u64) -> Op {
        Op::gemm(OpKind::LmHead, tokens, vocab, self.hidden())
    }

    /// The choice of a token among `vocab` scores of each.
    ///
    /// # Source
    ///
    /// Over gathered scores as in vLLM's sampler: `softmax` and `log_softmax` read the scores and write numbers of twice
    /// their width, which the choice then reads. A share of them is searched by one kernel.
    pub fn sampling(self, tokens: u64, vocab: u64, logits: Logits) -> Op {
        let (n_read, n_written) = match logits {
            Logits::Local => (1, 0),
            Logits::Gathered => (4, 4),
        };
        Op::elementwise(OpKind::Sampling, tokens, vocab, n_read, n_written)
    }

    /// A kernel around a compressed collective that reads and writes `bytes` together.
    pub fn quantise(self, bytes: Bytes) -> Op {
        let values = bytes.0.div_ceil(self.model.dtype.activations.bytes());
        Op::elementwise(OpKind::Quantise, values, 1, 1, 0)
    }
}
