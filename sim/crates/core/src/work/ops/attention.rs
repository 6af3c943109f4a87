//! The operations of the attention half of a layer, with keys and values or with a latent.

use super::{CacheHeads, LayerOps, Op, OpKind, OpShape};
use crate::scenario::{LatentSpec, Position};
use crate::timing::kernel_model::mla::Latent;

impl LayerOps<'_> {
    /// Hidden states of `tokens` to what decode attention begins with.
    pub fn decode_queries(self, tokens: u64, n_heads: u32, n_kv_heads: u32) -> Vec<Op> {
        let mut all = self.prefill_queries(tokens, n_heads, n_kv_heads);
        if let Some(LatentSpec { nope_dim, kv_lora_rank, .. }) = self.attention().latent {
            all.push(absorb(tokens, n_heads, (nope_dim, kv_lora_rank)));
        }
        all
    }

    /// Hidden states of `tokens` to queries, and to keys and values or the latent that they come from.
    pub fn prefill_queries(self, tokens: u64, n_heads: u32, n_kv_heads: u32) -> Vec<Op> {
        let Some(latent) = self.attention().latent else {
            let mut all = vec![self.qkv_projection(tokens, n_heads, n_kv_heads)];
            all.extend(self.rope(tokens, u64::from(n_heads + n_kv_heads) * self.head_dim()));
            return all;
        };
        let kept = u64::from(latent.kv_lora_rank) + u64::from(latent.rope_dim);
        let queries = u64::from(n_heads) * self.head_dim();
        let project = |width, depth| Op::gemm(OpKind::QkvProjection, tokens, width, depth);
        let norm = |width: u32| Op::elementwise(OpKind::Norm, tokens, width.into(), 1, 1);
        let mut all = match latent.q_lora_rank {
            Some(rank) => {
                let both = u64::from(rank) + kept;
                vec![project(both, self.hidden()), norm(rank), project(queries, rank.into())]
            }
            None => vec![project(queries, self.hidden()), project(kept, self.hidden())],
        };
        all.push(norm(latent.kv_lora_rank));
        all.extend(self.rope(tokens, u64::from(n_heads + 1) * u64::from(latent.rope_dim)));
        all
    }

    /// One query of each of `batch` sequences against `kv_tokens` cached tokens in all, of which one sequence has `kv_len_max`.
    pub fn decode_attention(
        self,
        batch: u64,
        (kv_tokens, kv_len_max): (u64, u64),
        n_heads: u32,
        n_kv_heads: u32,
    ) -> Op {
        let heads = self.decode_heads(n_heads, n_kv_heads);
        let shape = OpShape::DecodeAttention { batch, kv_tokens, kv_len_max, heads };
        Op { kind: OpKind::DecodeAttention, shape }
    }

    /// The last `q_len` of `kv_len` tokens of each of `batch` prompts, after keys and values were expanded from a latent.
    pub fn prefill_attention(
        self,
        batch: u64,
        (q_len, kv_len): (u64, u64),
        n_heads: u32,
        n_kv_heads: u32,
    ) -> Vec<Op> {
        let of = |heads| {
            let shape = OpShape::PrefillAttention { batch, q_len, kv_len, heads };
            Op { kind: OpKind::PrefillAttention, shape }
        };
        let Some(latent) = self.latent(n_heads) else { return vec![of(self.grouped(n_heads, n_kv_heads))] };
        vec![
            Op::gemm(OpKind::Expand, batch * kv_len, self.n_expanded(n_heads), latent.kv_lora_rank),
            of(CacheHeads::Expanded(latent)),
        ]
    }

    /// `n_partials` partial outputs of `tokens` become one, weighted by their log-sum-exp.
    pub fn merge_partials(self, tokens: u64, n_heads: u32, n_partials: u64) -> Op {
        let width = self.decode_heads(n_heads, 1).value_dim() * u64::from(n_heads);
        Op::elementwise(OpKind::MergePartials, tokens, width, n_partials, 1)
    }

    /// Outputs of decode attention back to the residual stream.
    pub fn decode_outputs(self, tokens: u64, n_heads: u32) -> Vec<Op> {
        let latent = self.attention().latent;
        let back = latent.map(|latent| absorb(tokens, n_heads, (latent.kv_lora_rank, latent.v_dim)));
        back.into_iter().chain([self.output_projection(tokens, n_heads)]).collect()
    }

    /// `[tokens, n_heads value_dim] -> [tokens, hidden]`
    pub fn output_projection(self, tokens: u64, n_heads: u32) -> Op {
        let spec = self.attention();
        let width = spec.latent.map_or(spec.head_dim, |latent| latent.v_dim);
        Op::gemm(OpKind::OutputProjection, tokens, self.hidden(), u64::from(n_heads) * u64::from(width))
    }

    /// The heads of decode attention on a GPU with such a share of them.
    pub fn decode_heads(self, n_heads: u32, n_kv_heads: u32) -> CacheHeads {
        self.latent(n_heads).map_or_else(|| self.grouped(n_heads, n_kv_heads), CacheHeads::Absorbed)
    }

    /// The heads of prefill attention on a GPU with such a share of them.
    pub fn prefill_heads(self, n_heads: u32, n_kv_heads: u32) -> CacheHeads {
        self.latent(n_heads).map_or_else(|| self.grouped(n_heads, n_kv_heads), CacheHeads::Expanded)
    }

    /// Elements of the keys and values of one token that are expanded from its latent before attention; 0 without latents.
    pub fn n_expanded(self, n_heads: u32) -> u64 {
        self.latent(n_heads).map_or(0, |latent| latent.n_heads * (latent.nope_dim + latent.v_dim))
    }

    /// `[tokens, hidden] -> [tokens, (n_heads + 2 n_kv_heads) head_dim]`
    fn qkv_projection(self, tokens: u64, n_heads: u32, n_kv_heads: u32) -> Op {
        let width = u64::from(n_heads + 2 * n_kv_heads) * self.head_dim();
        Op::gemm(OpKind::QkvProjection, tokens, width, self.hidden())
    }

    /// Queries and keys of `width` elements, rotated in place.
    fn rope(self, tokens: u64, width: u64) -> Option<Op> {
        match self.attention().position {
            Position::Rope => Some(Op::elementwise(OpKind::Rope, tokens, width, 1, 1)),
            Position::Alibi | Position::None => None,
        }
    }

    fn head_dim(self) -> u64 {
        u64::from(self.attention().head_dim)
    }

    fn grouped(self, n_heads: u32, n_kv_heads: u32) -> CacheHeads {
        let head_dim = self.head_dim();
        CacheHeads::Grouped { n_heads: n_heads.into(), n_kv_heads: n_kv_heads.into(), head_dim }
    }

    fn latent(self, n_heads: u32) -> Option<Latent> {
        let LatentSpec { kv_lora_rank, rope_dim, nope_dim, v_dim, .. } = self.attention().latent?;
        Some(Latent {
            n_heads: n_heads.into(),
            kv_lora_rank: kv_lora_rank.into(),
            rope_dim: rope_dim.into(),
            nope_dim: nope_dim.into(),
            v_dim: v_dim.into(),
        })
    }
}

/// The rows of each head times a matrix of that head, `[tokens, from] -> [tokens, to]`.
fn absorb(tokens: u64, n_heads: u32, (from, to): (u32, u32)) -> Op {
    let shape = OpShape::BatchedGemm { n_batches: n_heads.into(), m: tokens, n: to.into(), k: from.into() };
    Op { kind: OpKind::Absorb, shape }
}
