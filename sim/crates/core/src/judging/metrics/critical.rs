//! The longest dependent chain of the measured window, by kind of work.

use std::collections::BTreeMap;

use masim_engine::{GraphId, TaskId, TaskRef};
use masim_units::{SimDuration, SimTime};

use crate::program::Activity;
use crate::running::run::{Records, number_of};
use crate::timing::provenance::{Basis, Provenance};

/// The parts of the critical path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// Time by kind of work; adds up to the window.
    pub by_work: BTreeMap<&'static str, SimDuration>,
    /// Time by what it rests on; adds up to the window.
    pub by_basis: BTreeMap<Basis, SimDuration>,
}

impl CriticalPath {
    /// Time by where it comes from; adds up to the window.
    pub fn by_provenance(&self) -> BTreeMap<Provenance, SimDuration> {
        let mut found = BTreeMap::new();
        for (basis, time) in &self.by_basis {
            *found.entry(basis.provenance).or_default() += *time;
        }
        found
    }

    /// The weakest level that carries at least 5 % of the path.
    pub fn provenance(&self) -> Provenance {
        let by_provenance = self.by_provenance();
        let total: SimDuration = by_provenance.values().copied().sum();
        let carries = |time: &SimDuration| time.as_ps() as f64 >= 0.05 * total.as_ps() as f64;
        let heavy = by_provenance.iter().rev().find(|(_, time)| carries(time));
        heavy.map_or(Provenance::Assumed, |(level, _)| *level)
    }
}

/// Picoseconds by kind of work and basis, as [`Path::keys`] numbers them; `None` where the path has none of it.
type Row = Vec<Option<u64>>;

/// The critical path of a run under way.
///
/// The path ends at a task that is not known before the window closes. Of the steps that are forgotten before, the path to each
/// task that a later step waited for is kept, added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    /// Kinds of work and bases that were met.
    keys: Vec<(&'static str, Basis)>,
    numbers: BTreeMap<(&'static str, Basis), usize>,
    /// The path from the beginning of the window to the end of each of these tasks.
    rows: BTreeMap<TaskRef, Row>,
}

impl Path {
    /// Takes in step `idx`: what its tasks waited for in the steps before.
    pub(super) fn take(&mut self, records: Records<'_>, idx: u32, from: SimTime) {
        let mut met = BTreeMap::new();
        let causes = records.get(idx).trace.spans.iter().filter_map(|span| span.cause);
        for cause in causes.filter(|cause| cause.graph != GraphId(u64::from(idx))) {
            if !self.rows.contains_key(&cause) {
                let row = self.row(records, cause, from, &mut met);
                self.rows.insert(cause, row);
            }
        }
        // What no step behind this one can wait for.
        let first = GraphId(u64::from(records.first().saturating_sub(1)));
        self.rows = self.rows.split_off(&TaskRef { graph: first, task: TaskId(0) });
    }

    /// The path to `last`, which ends at the end of the window.
    pub(super) fn close(&mut self, records: Records<'_>, last: TaskRef, from: SimTime) -> CriticalPath {
        let row = self.row(records, last, from, &mut BTreeMap::new());
        let mut path = CriticalPath { by_work: BTreeMap::new(), by_basis: BTreeMap::new() };
        for (&(work, basis), ps) in self.keys.iter().zip(&row) {
            if let Some(ps) = *ps {
                path.add(work, basis, SimDuration::from_ps(ps));
            }
        }
        let (sum, end) = (row.iter().flatten().sum::<u64>(), records.task(last).1.end);
        assert_eq!(sum, end.since(from).as_ps(), "the critical path covers its window exactly");
        path
    }

    /// The path from `from` to the end of `task`; `met` has those of tasks before it, and gets those on the way.
    fn row(
        &mut self,
        records: Records<'_>,
        task: TaskRef,
        from: SimTime,
        met: &mut BTreeMap<TaskRef, Row>,
    ) -> Row {
        let (mut chain, mut row) = (Vec::new(), Row::new());
        let mut at = Some(task);
        while let Some(task) = at {
            if let Some(known) = self.rows.get(&task).or_else(|| met.get(&task)) {
                row.clone_from(known);
                break;
            }
            let span = records.task(task).1;
            if span.end <= from {
                break;
            }
            chain.push(task);
            at = span.cause.filter(|_| span.start > from);
        }
        for task in chain.into_iter().rev() {
            self.add(records, task, from, &mut row);
            met.insert(task, row.clone());
        }
        row
    }

    /// Adds the time of `task` behind `from`.
    fn add(&mut self, records: Records<'_>, task: TaskRef, from: SimTime, row: &mut Row) {
        let (info, span) = records.task(task);
        let mut add = |work, basis, time: SimDuration| {
            let next = self.keys.len();
            let number = *self.numbers.entry((work, basis)).or_insert(next);
            if number == next {
                self.keys.push((work, basis));
            }
            if row.len() <= number {
                row.resize(number + 1, None);
            }
            *row[number].get_or_insert(0) += time.as_ps();
        };
        let whole = (span.start.max(from), span.end);
        if info.activity.is_communication() || info.activity == Activity::Host {
            add(info.activity.name(), info.basis, whole.1.since(whole.0));
        } else if info.activity != Activity::Barrier {
            let mut part_start = span.start;
            for part in records.get(number_of(task)).parts_of(info) {
                let part_end = part_start.checked_add(part.time).expect("inside a finished task");
                add(part.kind.name(), part.basis, overlap((part_start, part_end), whole));
                part_start = part_end;
            }
            // Kernels of NCCL beside it took a share of the GPU.
            let slowed = overlap((part_start, span.end), whole);
            if slowed > SimDuration::ZERO {
                add("slowed_by_communication", Basis::unjudged(Provenance::Assumed), slowed);
            }
        }
    }
}

impl CriticalPath {
    /// Adds the path of another copy.
    pub(super) fn join(&mut self, other: &Self) {
        for (work, time) in &other.by_work {
            *self.by_work.entry(work).or_default() += *time;
        }
        for (basis, time) in &other.by_basis {
            *self.by_basis.entry(*basis).or_default() += *time;
        }
    }

    fn add(&mut self, work: &'static str, basis: Basis, time: SimDuration) {
        *self.by_work.entry(work).or_default() += time;
        *self.by_basis.entry(basis).or_default() += time;
    }
}

fn overlap(a: (SimTime, SimTime), b: (SimTime, SimTime)) -> SimDuration {
    let (start, end) = (a.0.max(b.0), a.1.min(b.1));
    if start < end { end.since(start) } else { SimDuration::ZERO }
}
