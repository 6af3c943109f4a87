//! After the last layer: LM head and sampling on one head group.

use masim_engine::TaskId;
use masim_units::Bytes;

use super::Lowering;
use super::step::{Activity, Place, Step};
use crate::inputs::topology::GpuIdx;
use crate::plan::share;
use crate::running::collective::CollectiveKind;
use crate::scenario::Logits;
use crate::work::cost::TooLong;
use crate::work::ops::{CANDIDATE_BYTES, Op};

/// How the residual stream lies over the group before the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Each member has its own tokens: they are gathered first.
    Sharded,
    /// Every member has all tokens.
    Replicated,
}

/// Emits the head over `group`; `inputs[member]` are the kernels that come first and the tasks to wait for.
///
/// The result is, by member, the task after which the new token is known there.
pub(super) fn lm_head(
    lowering: &mut Lowering,
    step: &mut Step,
    place: Place,
    group: &[GpuIdx],
    (n_tokens, stream): (u64, Stream),
    inputs: Vec<(Vec<Op>, Vec<TaskId>)>,
) -> Result<Vec<TaskId>, TooLong> {
    let model = &lowering.scenario.model;
    let (ops, n_ranks) = (lowering.ops, u32::try_from(group.len()).expect("fewer than 2^32 GPUs"));
    let row = u64::from(model.hidden) * model.dtype.activations.bytes();
    let what = (Activity::Head, place);
    let Some(vocab) = model.vocab else {
        let tasks = group
            .iter()
            .zip(inputs)
            .map(|(&gpu, (all, after))| step.compute(lowering, what, gpu, &all, &after));
        return tasks.collect();
    };
    let logits = lowering.scenario.vocabulary.logits;
    let score_bytes = model.dtype.activations.bytes();
    let mut heads: Vec<Vec<Op>> =
        share::sizes(vocab, n_ranks, 0).map(|share| vec![ops.lm_head(n_tokens, u64::from(share))]).collect();
    let chosen = |share: u32| ops.sampling(n_tokens, u64::from(share), logits);
    if n_ranks == 1 || logits == Logits::Local {
        let shares = share::sizes(vocab, n_ranks, 0);
        heads.iter_mut().zip(shares).for_each(|(head, share)| head.push(chosen(share)));
    }
    let scored = scores(lowering, step, place, group, (n_tokens * row, stream), inputs, heads)?;
    if n_ranks == 1 {
        return Ok(scored);
    }
    let gathered = match logits {
        Logits::Local => CANDIDATE_BYTES * u64::from(n_ranks),
        Logits::Gathered => u64::from(vocab) * score_bytes,
    };
    let bytes = Bytes(n_tokens * gathered);
    let known = step.collective(lowering, CollectiveKind::AllGather, place, group, bytes, &scored)?;
    match logits {
        Logits::Local => Ok(vec![known; group.len()]),
        Logits::Gathered => {
            let choose = [chosen(vocab)];
            let tasks = group.iter().map(|&gpu| step.compute(lowering, what, gpu, &choose, &[known]));
            tasks.collect()
        }
    }
}

/// The kernels `heads` of every member, over a residual stream of `bytes`; the result is the last task of each.
fn scores(
    lowering: &mut Lowering,
    step: &mut Step,
    place: Place,
    group: &[GpuIdx],
    (bytes, stream): (u64, Stream),
    inputs: Vec<(Vec<Op>, Vec<TaskId>)>,
    heads: Vec<Vec<Op>>,
) -> Result<Vec<TaskId>, TooLong> {
    let what = (Activity::Head, place);
    let first = group.iter().zip(inputs);
    if stream == Stream::Replicated || group.len() == 1 {
        let tasks = first.zip(heads).map(|((&gpu, (mut all, after)), head)| {
            all.extend(head);
            step.compute(lowering, what, gpu, &all, &after)
        });
        return tasks.collect();
    }
    let tasks: Vec<TaskId> = first
        .map(|(&gpu, (all, after))| step.compute(lowering, what, gpu, &all, &after))
        .collect::<Result<_, _>>()?;
    let gathered =
        step.collective(lowering, CollectiveKind::AllGather, place, group, Bytes(bytes), &tasks)?;
    let tasks =
        group.iter().zip(heads).map(|(&gpu, head)| step.compute(lowering, what, gpu, &head, &[gathered]));
    tasks.collect()
}
