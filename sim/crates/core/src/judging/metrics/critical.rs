//! The longest dependent chain of the measured window, by kind of work.

use std::collections::BTreeMap;

use masim_engine::{GraphId, TaskRef};
use masim_units::{SimDuration, SimTime};

use crate::program::Activity;
use crate::running::run::Run;
use crate::timing::provenance::{Basis, Provenance};

/// What the critical path consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Walks back from the last token of the window to its beginning, from cause to cause.
pub fn critical_path(run: &Run) -> CriticalPath {
    let (from, to) = run.measured();
    let mut path = CriticalPath { by_work: BTreeMap::new(), by_basis: BTreeMap::new() };
    let graph = GraphId(u64::from(run.window.last));
    let last = run.done.iter().map(|&task| TaskRef { graph, task }).max_by_key(|&task| run.task(task).1.end);
    let mut at = last;
    let mut open = to;
    while let Some(task) = at.filter(|_| open > from) {
        let (info, span) = run.task(task);
        let start = span.start.max(from);
        if info.activity.is_communication() || info.activity == Activity::Host {
            path.add(info.activity.name(), info.basis, open.since(start));
        } else if info.activity != Activity::Barrier {
            let parts = &run.steps[usize::try_from(task.graph.0).expect("few graphs")].parts;
            let mut part_start = span.start;
            for part in &parts[info.parts.start as usize..info.parts.end as usize] {
                let part_end = part_start.checked_add(part.time).expect("inside a finished task");
                path.add(part.kind.name(), part.basis, overlap((part_start, part_end), (start, open)));
                part_start = part_end;
            }
            // Kernels of NCCL beside it took a share of the GPU.
            let slowed = overlap((part_start, span.end), (start, open));
            if slowed > SimDuration::ZERO {
                path.add("slowed_by_communication", Basis::unjudged(Provenance::Assumed), slowed);
            }
        }
        open = start;
        at = span.cause;
    }
    path
}

impl CriticalPath {
    fn add(&mut self, work: &'static str, basis: Basis, time: SimDuration) {
        *self.by_work.entry(work).or_default() += time;
        *self.by_basis.entry(basis).or_default() += time;
    }
}

fn overlap(a: (SimTime, SimTime), b: (SimTime, SimTime)) -> SimDuration {
    let (start, end) = (a.0.max(b.0), a.1.min(b.1));
    if start < end { end.since(start) } else { SimDuration::ZERO }
}
