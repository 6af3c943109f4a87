//! Sequences that pass through the layers of a pipeline together.

use std::ops::Range;

use super::Builder;
use crate::plan::HeadShare;
use crate::scenario::{Scenario, Workload};
use crate::work::ops::Op;

/// Some sequences, and which of their tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// Sequences of the batch.
    pub(super) sequences: Range<u32>,
    /// The tokens of each.
    pub(super) tokens: Tokens,
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
        /// True if the prompt ends here, and its first token follows.
        is_last: bool,
    },
}

impl Pass {
    /// The passes that `sequences` make in one step of `workload`, in order.
    pub(super) fn all(workload: &Workload, sequences: &Range<u32>) -> Vec<Self> {
        let pass = |tokens| Self { sequences: sequences.clone(), tokens };
        let Workload::Prefill { prompt_len, .. } = *workload else { return vec![pass(Tokens::Newest)] };
        let chunk = workload.tokens_at_once();
        let starts = (0..workload.n_chunks()).map(|idx| idx * chunk);
        let chunks = starts.map(|start| {
            let kv_len = (start + chunk).min(prompt_len);
            pass(Tokens::Chunk { q_len: kv_len - start, kv_len, is_last: kv_len == prompt_len })
        });
        chunks.collect()
    }

    pub(super) fn n_sequences(&self) -> u64 {
        u64::from(self.sequences.end - self.sequences.start)
    }

    /// Tokens of all sequences.
    pub(super) fn n_tokens(&self) -> u64 {
        self.n_sequences() * u64::from(self.tokens_per_sequence())
    }

    /// Positions of its tokens among those that choose experts in one step; the chunks of a prompt meet
    /// the same choices.
    pub(super) fn choosing(&self) -> Range<u32> {
        let per_sequence = self.tokens_per_sequence();
        self.sequences.start * per_sequence..self.sequences.end * per_sequence
    }

    /// True if every sequence gets a token at its end.
    pub(super) fn makes_tokens(&self) -> bool {
        match self.tokens {
            Tokens::Newest => true,
            Tokens::Chunk { is_last, .. } => is_last,
        }
    }

    /// From the normalised residual stream of `n_rows` rows to that of attention, by a GPU with a share of the heads.
    pub(super) fn attention(&self, builder: &Builder, share: HeadShare, n_rows: u64) -> Vec<Op> {
        let ops = builder.ops;
        let HeadShare { n_heads, n_kv_heads } = share;
        match self.tokens {
            Tokens::Newest => {
                let mut all = ops.decode_queries(n_rows, n_heads, n_kv_heads);
                let cached = builder.cached(&self.sequences);
                all.push(ops.decode_attention(self.n_sequences(), cached, n_heads, n_kv_heads));
                all.extend(ops.decode_outputs(n_rows, n_heads));
                all
            }
            Tokens::Chunk { q_len, kv_len, .. } => {
                let mut all = ops.prefill_queries(n_rows, n_heads, n_kv_heads);
                let lens = (u64::from(q_len), u64::from(kv_len));
                all.extend(ops.prefill_attention(self.n_sequences(), lens, n_heads, n_kv_heads));
                all.push(ops.output_projection(n_rows, n_heads));
                all
            }
        }
    }

    /// Rows that the layers see: those of its tokens, and those that fill a captured graph.
    pub(super) fn n_rows(&self, scenario: &Scenario) -> u64 {
        match self.tokens {
            Tokens::Newest => scenario.graph_rows(self.sequences.end - self.sequences.start).into(),
            Tokens::Chunk { .. } => self.n_tokens(),
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
    use crate::scenario::Choice;

    #[test]
    fn a_prompt_of_ten_in_chunks_of_four_passes_three_times() {
        let workload = Workload::Prefill { batch: 8, prompt_len: 10, chunk_len: Choice::Fixed(4) };
        let passes = Pass::all(&workload, &(2..5));
        let lens: Vec<_> = passes.iter().map(|pass| (pass.n_tokens(), pass.tokens)).collect();
        let chunk = |q_len, kv_len, is_last| Tokens::Chunk { q_len, kv_len, is_last };
        assert_eq!(lens, [(12, chunk(4, 4, false)), (12, chunk(4, 8, false)), (6, chunk(2, 10, true))]);
        assert_eq!(passes[2].choosing(), 4..10);
    }
}
