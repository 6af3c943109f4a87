//! What passes through the layers of a pipeline at once.

use std::ops::Range;

use super::Lowering;
use crate::model::Op;
use crate::plan::HeadShare;
use crate::scenario::{Scenario, Workload};

/// Some sequences, and which of their tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// Sequences of the batch.
    pub(super) sequences: Range<u32>,
    /// The tokens of each.
    pub(super) tokens: Tokens,
    /// Rows that the layers see: those of the tokens, and those that fill a captured graph.
    n_rows: u64,
}

/// Which tokens of a sequence pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    /// The one that was made last.
    Newest,
    /// The last `q_len` of the first `kv_len` of its prompt.
    Chunk {
        /// Tokens that pass.
        q_len: u32,
        /// Tokens up to the end of the chunk.
        kv_len: u32,
        /// Whether the prompt ends here, and its first token follows.
        is_last: bool,
    },
}

impl Pass {
    /// The passes that `sequences` make in one step of `scenario`, in order.
    pub(super) fn all(scenario: &Scenario, sequences: &Range<u32>) -> Vec<Self> {
        let workload = &scenario.workload;
        if let Workload::Prefill { prompt_len, .. } = *workload {
            return Self::chunks(sequences, prompt_len, workload.tokens_at_once());
        }
        let n_rows = scenario.graph_rows(sequences.end - sequences.start);
        vec![Self { sequences: sequences.clone(), tokens: Tokens::Newest, n_rows: n_rows.into() }]
    }

    /// Prompts of `prompt_len` tokens in chunks of `chunk_len`.
    fn chunks(sequences: &Range<u32>, prompt_len: u32, chunk_len: u32) -> Vec<Self> {
        let n_sequences = u64::from(sequences.end - sequences.start);
        let starts = (0..prompt_len.div_ceil(chunk_len)).map(|idx| idx * chunk_len);
        let chunks = starts.map(|start| {
            let kv_len = (start + chunk_len).min(prompt_len);
            let q_len = kv_len - start;
            let tokens = Tokens::Chunk { q_len, kv_len, is_last: kv_len == prompt_len };
            Self { sequences: sequences.clone(), tokens, n_rows: n_sequences * u64::from(q_len) }
        });
        chunks.collect()
    }

    pub(super) fn n_sequences(&self) -> u64 {
        u64::from(self.sequences.end - self.sequences.start)
    }

    /// Rows that the layers see.
    pub(super) fn n_tokens(&self) -> u64 {
        self.n_rows
    }

    /// Positions of its tokens among those that choose experts in one step; the chunks of a prompt meet
    /// the same choices.
    pub(super) fn choosing(&self) -> Range<u32> {
        let per_sequence = self.tokens_per_sequence();
        self.sequences.start * per_sequence..self.sequences.end * per_sequence
    }

    /// Whether every sequence gets a token at its end.
    pub(super) fn makes_tokens(&self) -> bool {
        match self.tokens {
            Tokens::Newest => true,
            Tokens::Chunk { is_last, .. } => is_last,
        }
    }

    /// From the normalised residual stream to the outputs of attention, by a GPU with a share of the heads.
    pub(super) fn attention(&self, lowering: &Lowering, share: HeadShare) -> Vec<Op> {
        let (ops, n_tokens) = (lowering.ops, self.n_tokens());
        let HeadShare { n_heads, n_kv_heads } = share;
        match self.tokens {
            Tokens::Newest => {
                let mut all = ops.decode_queries(n_tokens, n_heads, n_kv_heads);
                let cached = lowering.cached(&self.sequences);
                all.push(ops.decode_attention(self.n_sequences(), cached, n_heads, n_kv_heads));
                all.extend(ops.decode_outputs(n_tokens, n_heads));
                all
            }
            Tokens::Chunk { q_len, kv_len, .. } => {
                let mut all = ops.prefill_queries(n_tokens, n_heads, n_kv_heads);
                let lens = (u64::from(q_len), u64::from(kv_len));
                all.extend(ops.prefill_attention(self.n_sequences(), lens, n_heads, n_kv_heads));
                all.push(ops.output_projection(n_tokens, n_heads));
                all
            }
        }
    }

    fn tokens_per_sequence(&self) -> u32 {
        match self.tokens {
            Tokens::Newest => 1,
            Tokens::Chunk { q_len, .. } => q_len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_of_ten_in_chunks_of_four_passes_three_times() {
        let passes = Pass::chunks(&(2..5), 10, 4);
        let lens: Vec<_> = passes.iter().map(|pass| (pass.n_tokens(), pass.tokens)).collect();
        let chunk = |q_len, kv_len, is_last| Tokens::Chunk { q_len, kv_len, is_last };
        assert_eq!(lens, [(12, chunk(4, 4, false)), (12, chunk(4, 8, false)), (6, chunk(2, 10, true))]);
        assert_eq!(passes[2].choosing(), 4..10);
    }
}
