//! After the last layer: LM head and sampling on one head group.

use masim_engine::TaskId;
use masim_units::Bytes;

use super::Lowering;
use super::step::{Activity, Place, Step};
use crate::collective::CollectiveKind;
use crate::cost::TooLong;
use crate::model::Op;
use crate::plan::share;
use crate::topology::GpuIdx;

/// Bytes that say which token a rank would choose: its score (fp32) and its id.
const CANDIDATE_BYTES: u64 = 8;

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
    let shares = share::sizes(vocab, n_ranks, 0).map(|share| ops.lm_head(n_tokens, u64::from(share)));
    let first = group.iter().zip(inputs).zip(shares);
    if n_ranks == 1 {
        let tasks = first.map(|((&gpu, (mut all, after)), head)| {
            all.extend(head);
            step.compute(lowering, what, gpu, &all, &after)
        });
        return tasks.collect();
    }
    let mut tasks = Vec::with_capacity(group.len());
    let heads: Vec<[Op; 2]> = match stream {
        Stream::Sharded => {
            let mut heads = Vec::new();
            for ((&gpu, (all, after)), head) in first {
                tasks.push(step.compute(lowering, what, gpu, &all, &after)?);
                heads.push(head);
            }
            let bytes = Bytes(n_tokens * row);
            let gathered =
                step.collective(lowering, CollectiveKind::AllGather, place, group, bytes, &tasks)?;
            tasks.clear();
            for (&gpu, head) in group.iter().zip(&heads) {
                tasks.push(step.compute(lowering, what, gpu, head, &[gathered])?);
            }
            heads
        }
        Stream::Replicated => {
            let mut heads = Vec::new();
            for ((&gpu, (mut all, after)), head) in first {
                all.extend(head);
                tasks.push(step.compute(lowering, what, gpu, &all, &after)?);
                heads.push(head);
            }
            heads
        }
    };
    let bytes = Bytes(n_tokens * CANDIDATE_BYTES * heads.len() as u64);
    let known = step.collective(lowering, CollectiveKind::AllGather, place, group, bytes, &tasks)?;
    Ok(vec![known; group.len()])
}
