//! How much of its communication a GPU spends computing.

use std::collections::BTreeMap;

use masim_units::{SimDuration, SimTime};

use super::account::is_compute;
use crate::inputs::topology::GpuIdx;
use crate::running::price::stream_owner;
use crate::running::run::Run;

/// Stretches of time, from and until.
type Stretches = Vec<(SimTime, SimTime)>;

/// Communication of all GPUs in the measured stretch of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Communication {
    /// Time in which data that a GPU sends, receives or reduces is on its way, added up over GPUs.
    pub(super) total: SimDuration,
    /// The part of it in which the same GPU computes.
    pub(super) overlapped: SimDuration,
}

impl Communication {
    /// What `run` communicated.
    pub(super) fn of(run: &Run) -> Self {
        let (from, to) = run.measured();
        let clip = |at: SimTime| at.clamp(from, to);
        let mut sent = BTreeMap::<GpuIdx, Stretches>::new();
        let mut computed = BTreeMap::<GpuIdx, Stretches>::new();
        for step in &run.steps {
            for ((info, span), task) in step.infos.iter().zip(&step.trace.spans).zip(run.shape.tasks()) {
                let stretch = (clip(span.start), clip(span.end));
                if stretch.0 == stretch.1 {
                    continue;
                }
                if let (Some(gpu), true) = (info.gpu, is_compute(info)) {
                    computed.entry(gpu).or_default().push(stretch);
                } else if info.activity.is_communication() {
                    let members = run.shape.streams(task).iter().map(|&stream| stream_owner(stream).0);
                    for gpu in members.chain(info.gpu).chain(info.to) {
                        sent.entry(gpu).or_default().push(stretch);
                    }
                }
            }
        }
        let mut all = Self::default();
        for (gpu, stretches) in sent {
            let sent = union(stretches);
            let computed = computed.remove(&gpu).map(union).unwrap_or_default();
            all.total += length(&sent);
            all.overlapped += common(&sent, &computed);
        }
        all
    }

    /// The share of communication beside computation; `None` where there is none of it.
    pub(super) fn overlap(&self) -> Option<f64> {
        (self.total > SimDuration::ZERO).then(|| self.overlapped.as_ps() as f64 / self.total.as_ps() as f64)
    }
}

/// The time covered by any of `stretches`, in order and apart from each other.
fn union(mut stretches: Stretches) -> Stretches {
    stretches.sort_unstable();
    let mut apart: Stretches = Vec::with_capacity(stretches.len());
    for (start, end) in stretches {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((start, end)),
        }
    }
    apart
}

fn length(stretches: &Stretches) -> SimDuration {
    stretches.iter().map(|(start, end)| end.since(*start)).sum()
}

/// The time covered by both of two unions.
fn common(a: &Stretches, b: &Stretches) -> SimDuration {
    let (mut at_a, mut at_b, mut both) = (0, 0, SimDuration::ZERO);
    while let (Some(&(a_start, a_end)), Some(&(b_start, b_end))) = (a.get(at_a), b.get(at_b)) {
        let (start, end) = (a_start.max(b_start), a_end.min(b_end));
        if start < end {
            both += end.since(start);
        }
        if a_end <= b_end {
            at_a += 1;
        } else {
            at_b += 1;
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(all: &[(u64, u64)]) -> Stretches {
        all.iter().map(|&(a, b)| (SimTime::from_ps(a), SimTime::from_ps(b))).collect()
    }

    #[test]
    fn time_on_two_wires_counts_once() {
        assert_eq!(union(stretches(&[(5, 9), (0, 3), (2, 4), (9, 10)])), stretches(&[(0, 4), (5, 10)]));
    }

    /// [0, 4) and [5, 10) beside [3, 6) and [9, 20): 1 + 1 + 1.
    #[test]
    fn what_both_cover_is_common() {
        let (a, b) = (stretches(&[(0, 4), (5, 10)]), stretches(&[(3, 6), (9, 20)]));
        assert_eq!(common(&a, &b), SimDuration::from_ps(3));
        assert_eq!(common(&b, &a), SimDuration::from_ps(3));
    }
}
