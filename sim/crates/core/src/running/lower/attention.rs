//! The attention half of a layer on one replica: heads x sequences.

use masim_engine::TaskId;
use masim_units::Bytes;

use super::movement::Message;
use super::movement::Movement;
use super::pass::Tokens;
use super::step::{Activity, Place, Step};
use super::wave::Wave;
use super::{Lowering, collective_stream};
use crate::inputs::topology::GpuIdx;
use crate::plan::{AttentionLayout, share};
use crate::running::collective::CollectiveKind;
use crate::work::cost::TooLong;
use crate::work::ops::Op;

/// Bytes of the log-sum-exp that travels with each head of a partial output (one fp32).
const LOG_SUM_EXP_BYTES: u64 = 4;

/// Kernels of one GPU that wait to become a task.
struct Pending {
    gpu: GpuIdx,
    /// Tokens whose residual stream lives here.
    owned: u64,
    ops: Vec<Op>,
    after: Vec<TaskId>,
}

/// One replica at work on one layer of one micro-batch.
pub(super) struct AttentionBlock<'s, 'a> {
    pub(super) lowering: &'s mut Lowering<'a>,
    pub(super) step: &'s mut Step,
    pub(super) layout: &'s AttentionLayout,
    pub(super) wave: &'s Wave,
    pub(super) replica: usize,
    pub(super) place: Place,
}

impl AttentionBlock<'_, '_> {
    /// Emits the block; `inputs[member]` are the kernels to begin with and the tasks to wait for,
    /// `outputs(member, tokens)` the kernels that follow the block there.
    ///
    /// The result is the last task of each member.
    pub(super) fn emit(
        mut self,
        inputs: Vec<(Vec<Op>, Vec<TaskId>)>,
        outputs: impl Fn(usize, u64) -> Vec<Op>,
    ) -> Result<Vec<TaskId>, TooLong> {
        let heads = self.layout.heads;
        let gpus = &self.layout.replicas[self.replica].gpus;
        let owned = &self.wave.batch.owned[self.replica];
        let pending = inputs.into_iter().zip(gpus.iter().zip(owned));
        let mut members: Vec<Pending> = pending
            .map(|((ops, after), (&gpu, tokens))| Pending {
                gpu,
                owned: u64::from(tokens.end - tokens.start),
                ops,
                after,
            })
            .collect();
        let rank_tokens: Vec<u64> = members
            .chunks(heads as usize)
            .map(|group| group.iter().map(|member| member.owned).sum())
            .collect();

        self.over_heads(CollectiveKind::AllGather, &mut members, &rank_tokens)?;
        let ops = self.lowering.ops;
        for (at, member) in members.iter_mut().enumerate() {
            let (sequence_rank, share) = (at / heads as usize, self.layout.head_shares[at % heads as usize]);
            let tokens = rank_tokens[sequence_rank];
            member.ops.extend(match self.wave.tokens {
                Tokens::Newest => ops.decode_queries(tokens, share.n_heads, share.n_kv_heads),
                Tokens::Chunk { .. } => ops.prefill_queries(tokens, share.n_heads, share.n_kv_heads),
            });
        }
        match self.wave.tokens {
            Tokens::Newest => self.over_cache(&mut members, &rank_tokens)?,
            Tokens::Chunk { q_len, kv_len, .. } => self.over_prompt(&mut members, (q_len, kv_len))?,
        }
        for (at, member) in members.iter_mut().enumerate() {
            let (tokens, share) =
                (rank_tokens[at / heads as usize], self.layout.head_shares[at % heads as usize]);
            match self.wave.tokens {
                Tokens::Newest => member.ops.extend(ops.decode_outputs(tokens, share.n_heads)),
                Tokens::Chunk { .. } => member.ops.push(ops.output_projection(tokens, share.n_heads)),
            }
        }
        self.over_heads(CollectiveKind::ReduceScatter, &mut members, &rank_tokens)?;
        let mut last = Vec::with_capacity(members.len());
        for (at, mut member) in members.into_iter().enumerate() {
            member.ops.extend(outputs(at, member.owned));
            last.push(self.flush(&mut member)?);
        }
        Ok(last)
    }

    /// One query of each sequence; where the cache is split, queries go to its holders and partial outputs come back.
    fn over_cache(&mut self, members: &mut [Pending], rank_tokens: &[u64]) -> Result<(), TooLong> {
        let (ops, heads, sequences) = (self.lowering.ops, self.layout.heads as usize, self.layout.sequences);
        let replica_tokens: u64 = members.iter().map(|member| member.owned).sum();
        let (cached, longest) = self.lowering.cached(&self.wave.sequences[self.replica]);
        self.exchange_queries(members, rank_tokens)?;
        for (at, member) in members.iter_mut().enumerate() {
            let share = self.layout.head_shares[at % heads];
            let here = |tokens: u64| tokens.div_ceil(u64::from(sequences));
            let cached_here = (here(cached), here(longest));
            let (n_heads, n_kv_heads) = (share.n_heads, share.n_kv_heads);
            member.ops.push(ops.decode_attention(replica_tokens, cached_here, n_heads, n_kv_heads));
        }
        self.exchange_partials(members, rank_tokens)?;
        if sequences > 1 {
            for (at, member) in members.iter_mut().enumerate() {
                let (tokens, share) = (rank_tokens[at / heads], self.layout.head_shares[at % heads]);
                member.ops.push(ops.merge_partials(tokens, share.n_heads, u64::from(sequences)));
            }
        }
        Ok(())
    }

    /// The queries of a chunk against all tokens up to their own.
    ///
    /// Sequence ranks gather the keys and values of each other, then each takes one piece from the front and one from
    /// the back (a zig-zag), so that all meet equally many.
    ///
    /// # Source
    ///
    /// Zig-zag shares of causal attention: Brandon et al., "Striped Attention", arXiv 2311.09431; Llama 3, section 3.3.2.
    fn over_prompt(&mut self, members: &mut [Pending], (q_len, kv_len): (u32, u32)) -> Result<(), TooLong> {
        let (ops, heads, n_ranks) = (self.lowering.ops, self.layout.heads as usize, self.layout.sequences);
        let sequences = &self.wave.sequences[self.replica];
        let n_sequences = u64::from(sequences.end - sequences.start);
        if n_ranks > 1 {
            self.gather_keys(members, n_sequences * u64::from(kv_len))?;
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
                member.ops.extend(of_piece.drain(n_before..));
            }
        }
        Ok(())
    }

    /// Keys and values of `tokens` come to every sequence rank, for its own heads.
    fn gather_keys(&mut self, members: &mut [Pending], tokens: u64) -> Result<(), TooLong> {
        let model = &self.lowering.scenario.model;
        let (spec, kv) = (model.attention, model.dtype.kv.bytes());
        let heads = self.layout.heads as usize;
        for head_rank in 0..heads {
            let bytes = Bytes(tokens * spec.n_kept(self.layout.head_shares[head_rank].n_kv_heads) * kv);
            let ranks: Vec<usize> = (head_rank..members.len()).step_by(heads).collect();
            let after =
                ranks.iter().map(|&at| self.flush(&mut members[at])).collect::<Result<Vec<_>, _>>()?;
            let gpus: Vec<GpuIdx> = ranks.iter().map(|&at| members[at].gpu).collect();
            let kind = CollectiveKind::AllGather;
            let done = self.step.collective(self.lowering, kind, self.place, &gpus, bytes, &after)?;
            for at in ranks {
                members[at].after = vec![done];
            }
        }
        Ok(())
    }

    /// Turns the waiting kernels of a member into a task.
    fn flush(&mut self, member: &mut Pending) -> Result<TaskId, TooLong> {
        let what = (Activity::Attention, self.place);
        let task = self.step.compute(self.lowering, what, member.gpu, &member.ops, &member.after)?;
        member.ops.clear();
        member.after = vec![task];
        Ok(task)
    }

    /// A collective of the residual stream in every head group; nothing where heads are not split.
    fn over_heads(
        &mut self,
        kind: CollectiveKind,
        members: &mut [Pending],
        tokens: &[u64],
    ) -> Result<(), TooLong> {
        let heads = self.layout.heads as usize;
        if heads == 1 {
            return Ok(());
        }
        let model = &self.lowering.scenario.model;
        let row = u64::from(model.hidden) * model.dtype.activations.bytes();
        for (group, &n_tokens) in members.chunks_mut(heads).zip(tokens) {
            let gpus: Vec<GpuIdx> = group.iter().map(|member| member.gpu).collect();
            let bytes = Bytes(n_tokens * row);
            let work: Vec<_> = group
                .iter_mut()
                .map(|member| (std::mem::take(&mut member.ops), std::mem::take(&mut member.after)))
                .collect();
            let what = ((Activity::Attention, self.place), kind);
            let done = self.step.compute_and_share(self.lowering, what, &gpus, bytes, &work)?;
            for member in group {
                member.after = vec![done];
            }
        }
        Ok(())
    }

    /// Queries go to every holder of a part of the cache; the new key and value rows to one of them,
    /// which on average is each of them equally often.
    fn exchange_queries(&mut self, members: &mut [Pending], tokens: &[u64]) -> Result<(), TooLong> {
        let model = &self.lowering.scenario.model;
        let (activation, kv) = (model.dtype.activations.bytes(), model.dtype.kv.bytes());
        let (ops, sequences) = (self.lowering.ops, u64::from(self.layout.sequences));
        self.over_sequences(members, |share, src, _| {
            let heads = ops.decode_heads(share.n_heads, share.n_kv_heads);
            let queries = tokens[src] * heads.n_heads() * heads.score_dim() * activation;
            let rows = tokens[src] * heads.n_kept() * kv;
            queries + rows.div_ceil(sequences)
        })
    }

    /// Partial outputs go back to the owner of the query.
    fn exchange_partials(&mut self, members: &mut [Pending], tokens: &[u64]) -> Result<(), TooLong> {
        let model = &self.lowering.scenario.model;
        let width = self.lowering.ops.decode_heads(1, 1).value_dim();
        let head = width * model.dtype.activations.bytes() + LOG_SUM_EXP_BYTES;
        self.over_sequences(members, |share, _, dst| tokens[dst] * u64::from(share.n_heads) * head)
    }

    /// Everyone sends `bytes(heads, from rank, to rank)` to everyone with the same heads.
    fn over_sequences(
        &mut self,
        members: &mut [Pending],
        bytes: impl Fn(crate::plan::HeadShare, usize, usize) -> u64,
    ) -> Result<(), TooLong> {
        let heads = self.layout.heads as usize;
        if self.layout.sequences == 1 {
            return Ok(());
        }
        for head_rank in 0..heads {
            let share = self.layout.head_shares[head_rank];
            let ranks: Vec<usize> = (head_rank..members.len()).step_by(heads).collect();
            let after =
                ranks.iter().map(|&at| self.flush(&mut members[at])).collect::<Result<Vec<_>, _>>()?;
            let mut sent = Vec::new();
            for (src, &src_at) in ranks.iter().enumerate() {
                let others = ranks.iter().enumerate().filter(|(dst, _)| *dst != src);
                let message = |(dst, &at): (usize, &usize)| Message {
                    dst: members[at].gpu,
                    bytes: Bytes(bytes(share, src, dst)),
                };
                let messages: Vec<Message> = others.map(message).collect();
                sent.extend(self.lowering.grouped(members[src_at].gpu, &messages));
            }
            let streams: Vec<_> = ranks.iter().map(|&at| collective_stream(members[at].gpu)).collect();
            let what = (Activity::CacheExchange, self.place);
            let done = self.step.transfer(what, (None, None), &streams, Movement::joined(sent), &after);
            for at in ranks {
                members[at].after = vec![done];
            }
        }
        Ok(())
    }
}
