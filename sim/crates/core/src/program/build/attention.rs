//! The attention half of a layer on one replica: heads x sequences.

use masim_units::Bytes;

use super::pass::Tokens;
use super::wave::Wave;
use super::{Builder, Pending, fixed};
use crate::inputs::topology::GpuIdx;
use crate::plan::{AttentionLayout, HeadShare, share};
use crate::program::instr::{Activity, Counts, Kernel, Label, Message, Need, Place};
use crate::program::size::Rows;
use crate::program::value::{Data, What};
use crate::work::collectives::CollectiveKind;

/// Bytes of the log-sum-exp that travels with each head of a partial output (one fp32).
const LOG_SUM_EXP_BYTES: u64 = 4;

/// Kernels of one rank that wait to become an instruction.
struct Member {
    gpu: GpuIdx,
    /// Tokens whose residual stream lives here.
    owned: u64,
    kernels: Vec<Kernel>,
    needs: Vec<Need>,
}

/// One replica at work on one layer of one micro-batch.
pub(super) struct AttentionBlock<'s, 'a> {
    pub(super) builder: &'s mut Builder<'a>,
    pub(super) layout: &'s AttentionLayout,
    pub(super) wave: &'s Wave,
    pub(super) replica: usize,
    pub(super) place: Place,
}

impl AttentionBlock<'_, '_> {
    /// Adds the block; `inputs[member]` are the kernels to begin with and their needs,
    /// `outputs(member, tokens)` the kernels that follow the block there.
    ///
    /// The result is the last value of each member.
    pub(super) fn add(
        mut self,
        inputs: Vec<Pending>,
        outputs: impl Fn(usize, u64) -> Vec<Kernel>,
    ) -> Vec<Need> {
        let heads = self.layout.heads;
        let gpus = &self.layout.replicas[self.replica].gpus;
        let owned = &self.wave.batch.owned[self.replica];
        let pending = inputs.into_iter().zip(gpus.iter().zip(owned));
        let mut members: Vec<Member> = pending
            .map(|((kernels, needs), (&gpu, tokens))| Member {
                gpu,
                owned: u64::from(tokens.end - tokens.start),
                kernels,
                needs,
            })
            .collect();
        let rank_tokens: Vec<u64> = members
            .chunks(heads as usize)
            .map(|group| group.iter().map(|member| member.owned).sum())
            .collect();

        self.over_heads(CollectiveKind::AllGather, &mut members, &rank_tokens);
        let ops = self.builder.ops;
        for (at, member) in members.iter_mut().enumerate() {
            let (sequence_rank, share) = (at / heads as usize, self.layout.head_shares[at % heads as usize]);
            let tokens = rank_tokens[sequence_rank];
            member.kernels.extend(fixed(match self.wave.tokens {
                Tokens::Newest => ops.decode_queries(tokens, share.n_heads, share.n_kv_heads),
                Tokens::Chunk { .. } => ops.prefill_queries(tokens, share.n_heads, share.n_kv_heads),
            }));
        }
        match self.wave.tokens {
            Tokens::Newest => self.over_cache(&mut members, &rank_tokens),
            Tokens::Chunk { q_len, kv_len, .. } => self.over_prompt(&mut members, (q_len, kv_len)),
        }
        for (at, member) in members.iter_mut().enumerate() {
            let (tokens, share) =
                (rank_tokens[at / heads as usize], self.layout.head_shares[at % heads as usize]);
            match self.wave.tokens {
                Tokens::Newest => member.kernels.extend(fixed(ops.decode_outputs(tokens, share.n_heads))),
                Tokens::Chunk { .. } => {
                    member.kernels.push(ops.output_projection(tokens, share.n_heads).into());
                }
            }
        }
        self.over_heads(CollectiveKind::ReduceScatter, &mut members, &rank_tokens);
        let mut last = Vec::with_capacity(members.len());
        for (at, mut member) in members.into_iter().enumerate() {
            member.kernels.extend(outputs(at, member.owned));
            let data = self.builder.stream(member.owned);
            last.push(self.flush(&mut member, data));
        }
        last
    }

    /// One query of each sequence; where the cache is split, queries go to its holders and partial outputs come back.
    fn over_cache(&mut self, members: &mut [Member], rank_tokens: &[u64]) {
        let (ops, heads, sequences) = (self.builder.ops, self.layout.heads as usize, self.layout.sequences);
        let replica_tokens: u64 = members.iter().map(|member| member.owned).sum();
        let (cached, longest) = self.builder.cached(&self.wave.sequences[self.replica]);
        self.exchange_queries(members, rank_tokens);
        for (at, member) in members.iter_mut().enumerate() {
            let share = self.layout.head_shares[at % heads];
            let here = |tokens: u64| tokens.div_ceil(u64::from(sequences));
            let cached_here = (here(cached), here(longest));
            let (n_heads, n_kv_heads) = (share.n_heads, share.n_kv_heads);
            let attention = ops.decode_attention(replica_tokens, cached_here, n_heads, n_kv_heads);
            member.kernels.push(attention.into());
        }
        self.exchange_partials(members, rank_tokens);
        if sequences > 1 {
            for (at, member) in members.iter_mut().enumerate() {
                let (tokens, share) = (rank_tokens[at / heads], self.layout.head_shares[at % heads]);
                let merge = ops.merge_partials(tokens, share.n_heads, u64::from(sequences));
                member.kernels.push(merge.into());
            }
        }
    }

    /// The queries of a chunk against all tokens up to their own.
    ///
    /// Sequence ranks gather the keys and values of each other, then each takes one piece from the front and one from
    /// the back (a zig-zag), so that all meet equally many.
    ///
    /// # Source
    ///
    /// Zig-zag shares of causal attention: Brandon et al., "Striped Attention", arXiv 2311.09431; Llama 3, section 3.3.2.
    fn over_prompt(&mut self, members: &mut [Member], (q_len, kv_len): (u32, u32)) {
        let (ops, heads, n_ranks) = (self.builder.ops, self.layout.heads as usize, self.layout.sequences);
        let sequences = &self.wave.sequences[self.replica];
        let n_sequences = u64::from(sequences.end - sequences.start);
        if n_ranks > 1 {
            self.gather_keys(members, n_sequences * u64::from(kv_len));
        }
        let n_pieces = if n_ranks == 1 { 1 } else { 2 * n_ranks };
        let pieces: Vec<_> = share::split(&(0..q_len), n_pieces).collect();
        for (at, member) in members.iter_mut().enumerate() {
            let (rank, share) = (at / heads, self.layout.head_shares[at % heads]);
            let mirrored = pieces.len() - 1 - rank;
            let mine = [Some(rank), Some(mirrored).filter(|&at| at != rank)];
            for at in mine.into_iter().flatten() {
                let piece = &pieces[at];
                let lens = (u64::from(piece.end - piece.start), u64::from(kv_len - q_len + piece.end));
                let mut of_piece = ops.prefill_attention(n_sequences, lens, share.n_heads, share.n_kv_heads);
                // Latents are expanded once, for the piece of this rank that meets more of them.
                let n_before = if at == mirrored { 0 } else { of_piece.len() - 1 };
                member.kernels.extend(fixed(of_piece.drain(n_before..)));
            }
        }
    }

    /// Keys and values of `tokens` come to every sequence rank, for its own heads.
    fn gather_keys(&mut self, members: &mut [Member], tokens: u64) {
        let model = &self.builder.scenario.model;
        let (spec, kv) = (model.attention, model.dtype.kv.bytes());
        let heads = self.layout.heads as usize;
        for head_rank in 0..heads {
            let row_bytes = spec.n_kept(self.layout.head_shares[head_rank].n_kv_heads) * kv;
            let data = Data { what: What::KeysValues, rows: Rows::Fixed(tokens), row_bytes };
            let ranks: Vec<usize> = (head_rank..members.len()).step_by(heads).collect();
            let own = Data { rows: Rows::Fixed(tokens.div_ceil(ranks.len() as u64)), ..data };
            let after: Vec<Need> = ranks.iter().map(|&at| self.flush(&mut members[at], own)).collect();
            let gpus: Vec<GpuIdx> = ranks.iter().map(|&at| members[at].gpu).collect();
            let (kind, bytes) = (CollectiveKind::AllGather, Bytes(tokens * row_bytes));
            let done = self.builder.collective(kind, self.place, &gpus, (bytes, data), &after);
            for at in ranks {
                members[at].needs = vec![done];
            }
        }
    }

    /// Turns the waiting kernels of a member into an instruction that makes `data`.
    fn flush(&mut self, member: &mut Member, data: Data) -> Need {
        let label = Label::new(Activity::Attention, self.place);
        let made = self.builder.kernels(label, member.gpu, &member.kernels, &member.needs, data);
        member.kernels.clear();
        member.needs = vec![made];
        made
    }

    /// A collective of the residual stream in every head group; nothing where heads are not split.
    fn over_heads(&mut self, kind: CollectiveKind, members: &mut [Member], tokens: &[u64]) {
        let heads = self.layout.heads as usize;
        if heads == 1 {
            return;
        }
        for (group, &n_tokens) in members.chunks_mut(heads).zip(tokens) {
            let gpus: Vec<GpuIdx> = group.iter().map(|member| member.gpu).collect();
            let data = self.builder.stream(n_tokens);
            let bytes = Bytes(n_tokens * data.row_bytes);
            let work: Vec<Pending> = group
                .iter_mut()
                .map(|member| (std::mem::take(&mut member.kernels), std::mem::take(&mut member.needs)))
                .collect();
            let label = Label::new(Activity::Attention, self.place);
            let done = self.builder.compute_and_share((label, kind), &gpus, (bytes, data), &work);
            for member in group {
                member.needs = vec![done];
            }
        }
    }

    /// Queries go to every holder of a part of the cache; the new key and value rows to one of them,
    /// which on average is each of them equally often.
    fn exchange_queries(&mut self, members: &mut [Member], tokens: &[u64]) {
        let model = &self.builder.scenario.model;
        let (activation, kv) = (model.dtype.activations.bytes(), model.dtype.kv.bytes());
        let (ops, sequences) = (self.builder.ops, u64::from(self.layout.sequences));
        self.over_sequences(What::Queries, members, |share, src, _| {
            let heads = ops.decode_heads(share.n_heads, share.n_kv_heads);
            let queries = tokens[src] * heads.n_heads() * heads.score_dim() * activation;
            let rows = tokens[src] * heads.n_kept() * kv;
            queries + rows.div_ceil(sequences)
        });
    }

    /// Partial outputs go back to the owner of the query.
    fn exchange_partials(&mut self, members: &mut [Member], tokens: &[u64]) {
        let model = &self.builder.scenario.model;
        let width = self.builder.ops.decode_heads(1, 1).value_dim();
        let head = width * model.dtype.activations.bytes() + LOG_SUM_EXP_BYTES;
        let bytes = |share: HeadShare, _: usize, dst: usize| tokens[dst] * u64::from(share.n_heads) * head;
        self.over_sequences(What::Partials, members, bytes);
    }

    /// Everyone sends `bytes(heads, from rank, to rank)` to everyone with the same heads.
    fn over_sequences(
        &mut self,
        what: What,
        members: &mut [Member],
        bytes: impl Fn(HeadShare, usize, usize) -> u64,
    ) {
        let heads = self.layout.heads as usize;
        if self.layout.sequences == 1 {
            return;
        }
        for head_rank in 0..heads {
            let share = self.layout.head_shares[head_rank];
            let ranks: Vec<usize> = (head_rank..members.len()).step_by(heads).collect();
            let pairs = || (0..ranks.len()).flat_map(|src| (0..ranks.len()).map(move |dst| (src, dst)));
            let all: u64 = pairs().map(|(src, dst)| bytes(share, src, dst)).sum();
            let data = Data { what, rows: Rows::Fixed(1), row_bytes: all.div_ceil(ranks.len() as u64) };
            let needs: Vec<Need> = ranks.iter().map(|&at| self.flush(&mut members[at], data)).collect();
            let gpus: Vec<GpuIdx> = ranks.iter().map(|&at| members[at].gpu).collect();
            let message = |(src, dst): (usize, usize)| Message {
                from: gpus[src],
                to: gpus[dst],
                rows: Rows::Fixed(1),
                row_bytes: bytes(share, src, dst),
                writes: None,
            };
            let messages: Vec<Message> = pairs().filter(|(src, dst)| src != dst).map(message).collect();
            let label = Label::new(Activity::CacheExchange, self.place);
            let done = self.builder.by_pair(label, &gpus, &messages, &needs, data);
            for at in ranks {
                members[at].needs = vec![done];
            }
        }
    }
}

impl Builder<'_> {
    /// Messages among the members of `group`, which all go on when the last has arrived.
    fn by_pair(
        &mut self,
        label: Label,
        group: &[GpuIdx],
        messages: &[Message],
        needs: &[Need],
        data: Data,
    ) -> Need {
        let counts = Counts::ByPair(self.post(messages));
        self.among(label, CollectiveKind::AllToAll, group, (counts, data), needs)
    }
}
