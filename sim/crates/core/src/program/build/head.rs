//! LM head and sampling on one head group, after the last layer.

use masim_units::Bytes;

use super::pipeline::TOKEN_ID_BYTES;
use super::{Builder, Pending};
use crate::inputs::topology::GpuIdx;
use crate::plan::share;
use crate::program::instr::{Activity, Kernel, Label, Need, Place};
use crate::program::size::Rows;
use crate::program::value::{Data, What};
use crate::scenario::Logits;
use crate::work::collectives::CollectiveKind;
use crate::work::ops::CANDIDATE_BYTES;

/// The layout of the residual stream over the group before the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Each member has its own tokens: they are gathered first.
    Sharded,
    /// Every member has all tokens.
    Replicated,
}

/// Adds the head over `group`; `inputs[member]` are the kernels that come first and their needs.
///
/// The result is, by member, the need of those who read the new token there.
pub(super) fn lm_head(
    builder: &mut Builder,
    place: Place,
    group: &[GpuIdx],
    (n_tokens, stream): (u64, Stream),
    inputs: Vec<Pending>,
) -> Vec<Need> {
    let model = &builder.scenario.model;
    let (ops, n_ranks) = (builder.ops, u32::try_from(group.len()).expect("fewer than 2^32 GPUs"));
    let label = Label::new(Activity::Head, place);
    let ids = Data { what: What::TokenIds, rows: Rows::Fixed(n_tokens), row_bytes: TOKEN_ID_BYTES };
    let Some(vocab) = model.vocab else {
        let members = group.iter().zip(inputs);
        return members
            .map(|(&gpu, (kernels, needs))| builder.kernels(label, gpu, &kernels, &needs, ids))
            .collect();
    };
    let logits = builder.scenario.vocabulary.logits;
    let score_bytes = model.dtype.activations.bytes();
    let mut heads: Vec<Vec<Kernel>> = share::sizes(vocab, n_ranks, 0)
        .map(|share| vec![ops.lm_head(n_tokens, u64::from(share)).into()])
        .collect();
    let chosen = |share: u32| Kernel::from(ops.sampling(n_tokens, u64::from(share), logits));
    if n_ranks == 1 || logits == Logits::Local {
        let shares = share::sizes(vocab, n_ranks, 0);
        heads.iter_mut().zip(shares).for_each(|(head, share)| head.push(chosen(share)));
    }
    let (gathered, scores) = match logits {
        Logits::Local => (CANDIDATE_BYTES * u64::from(n_ranks), CANDIDATE_BYTES),
        Logits::Gathered => {
            (u64::from(vocab) * score_bytes, u64::from(vocab.div_ceil(n_ranks)) * score_bytes)
        }
    };
    let made = if n_ranks == 1 { ids } else { Data { what: What::Logits, row_bytes: scores, ..ids } };
    let own = scores_of(builder, (label, made), group, (n_tokens, stream), inputs, &heads);
    if n_ranks == 1 {
        return own;
    }
    let all = match logits {
        Logits::Local => ids,
        Logits::Gathered => Data { row_bytes: gathered, ..made },
    };
    let bytes = Bytes(n_tokens * gathered);
    let known = builder.collective(CollectiveKind::AllGather, place, group, (bytes, all), &own);
    match logits {
        Logits::Local => vec![known; group.len()],
        Logits::Gathered => {
            let choose = [chosen(vocab)];
            group.iter().map(|&gpu| builder.kernels(label, gpu, &choose, &[known], ids)).collect()
        }
    }
}

/// The kernels `heads` of every member over the residual stream of `n_tokens`; the result is what each member made.
fn scores_of(
    builder: &mut Builder,
    (label, made): (Label, Data),
    group: &[GpuIdx],
    (n_tokens, stream): (u64, Stream),
    inputs: Vec<Pending>,
    heads: &[Vec<Kernel>],
) -> Vec<Need> {
    let first = group.iter().zip(inputs);
    if stream == Stream::Replicated || group.len() == 1 {
        let members = first.zip(heads);
        return members
            .map(|((&gpu, (mut kernels, needs)), head)| {
                kernels.extend(head);
                builder.kernels(label, gpu, &kernels, &needs, made)
            })
            .collect();
    }
    let data = builder.stream(n_tokens);
    let own: Vec<Need> =
        first.map(|(&gpu, (kernels, needs))| builder.kernels(label, gpu, &kernels, &needs, data)).collect();
    let bytes = Bytes(n_tokens * data.row_bytes);
    let kind = CollectiveKind::AllGather;
    let gathered = builder.collective(kind, label.place, group, (bytes, data), &own);
    let members = group.iter().zip(heads);
    members.map(|(&gpu, head)| builder.kernels(label, gpu, head, &[gathered], made)).collect()
}
