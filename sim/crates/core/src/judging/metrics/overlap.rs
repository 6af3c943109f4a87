//! How much of its communication a GPU spends computing.

use std::collections::BTreeMap;

use masim_units::{SimDuration, SimTime};

use super::account::is_compute;
use crate::inputs::topology::GpuIdx;
use crate::running::price::stream_owner;
use crate::running::run::{CopySteps, Stretch};

/// Stretches of time, from and until.
type Stretches = Vec<(SimTime, SimTime)>;

/// Communication of all GPUs in the measured stretch of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Communication {
    /// Time in which data that a GPU sends, receives or reduces is on its way, added up over GPUs.
    pub(super) total: SimDuration,
    /// The part of it in which the same GPU computes.
    pub(super) overlapped: SimDuration,
    /// Stretches not added up yet, by GPU: data on its way, and computation.
    open: BTreeMap<GpuIdx, (Stretches, Stretches)>,
}

impl Communication {
    /// Takes in step `idx` of `copy`.
    pub(super) fn take(&mut self, copy: &CopySteps, idx: u32, stretch: &Stretch) {
        let step = copy.records().get(idx);
        for ((info, span), task) in step.infos.iter().zip(&step.trace.spans).zip(copy.shape.tasks()) {
            let found = (stretch.clip(span.start), stretch.clip(span.end));
            if found.0 == found.1 {
                continue;
            }
            if let (Some(gpu), true) = (info.gpu, is_compute(info)) {
                self.open.entry(gpu).or_default().1.push(found);
            } else if info.activity.is_communication() {
                let members = copy.shape.streams(task).iter().map(|&stream| stream_owner(stream).0);
                for gpu in members.chain(info.gpu).chain(info.to) {
                    self.open.entry(gpu).or_default().0.push(found);
                }
            }
        }
    }

    /// Adds up what lies before `until`; nothing that begins before it is taken in later.
    pub(super) fn settle(&mut self, until: SimTime) {
        for (sent, computed) in self.open.values_mut() {
            let (sent, computed) = (cut(sent, until), cut(computed, until));
            self.total += length(&sent);
            self.overlapped += common(&sent, &computed);
        }
    }

    /// Adds what another copy did.
    pub(super) fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.overlapped += other.overlapped;
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

/// The union of what lies before `until`; what lies behind it is left in `stretches`.
fn cut(stretches: &mut Stretches, until: SimTime) -> Stretches {
    let all = union(std::mem::take(stretches));
    stretches
        .extend(all.iter().filter(|(_, end)| until < *end).map(|(start, end)| ((*start).max(until), *end)));
    let before = all.into_iter().filter(|(start, _)| *start < until);
    before.map(|(start, end)| (start, end.min(until))).collect()
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

    #[test]
    fn what_lies_behind_stays_open() {
        let mut open = stretches(&[(0, 4), (3, 9), (12, 14)]);
        assert_eq!(cut(&mut open, SimTime::from_ps(6)), stretches(&[(0, 6)]));
        assert_eq!(open, stretches(&[(6, 9), (12, 14)]));
    }

    /// [0, 4) and [5, 10) beside [3, 6) and [9, 20): 1 + 1 + 1.
    #[test]
    fn what_both_cover_is_common() {
        let (a, b) = (stretches(&[(0, 4), (5, 10)]), stretches(&[(3, 6), (9, 20)]));
        assert_eq!(common(&a, &b), SimDuration::from_ps(3));
        assert_eq!(common(&b, &a), SimDuration::from_ps(3));
    }
}
