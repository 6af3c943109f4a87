//! The figures of a copy, gathered while its steps run.

use masim_engine::{GraphId, TaskRef};

use super::account::{Account, Accounts};
use super::critical::{CriticalPath, Path};
use super::energy::Kernels;
use super::need::Need;
use super::overlap::Communication;
use crate::inputs::topology::GpuIdx;
use crate::plan::Plan;
use crate::running::run::{CopySteps, Fold, Run, Stretch};
use crate::scenario::Scenario;
use crate::work::routing::RoutingSource;

/// Takes in the steps of a copy for [`super::measure_folded`].
#[derive(Clone, Debug)]
pub struct Ledger<'a> {
    accounts: Accounts,
    path: Path,
    communication: Communication,
    kernels: Kernels<'a>,
    need: Need<'a>,
    /// The first step that is not taken in, if any was.
    next: Option<u32>,
}

/// Work and times of a copy in its window.
pub(super) struct Closed {
    pub(super) accounts: Vec<(GpuIdx, Account)>,
    pub(super) path: CriticalPath,
    pub(super) communication: Communication,
    /// Joules of kernels.
    pub(super) kernels_j: f64,
}

impl<'a> Ledger<'a> {
    /// A ledger of a run of `plan` without any step.
    pub fn new(scenario: &'a Scenario, plan: &Plan, routing: &'a RoutingSource) -> Self {
        Self {
            accounts: Accounts::new(&plan.roles()),
            path: Path::default(),
            communication: Communication::default(),
            kernels: Kernels::new(scenario),
            need: Need::new(scenario, routing),
            next: None,
        }
    }

    /// Takes in the steps of `copy` that are left, and closes the window.
    pub(super) fn close(mut self, run: &Run, copy: &CopySteps) -> (Closed, Need<'a>) {
        let stretch = run.stretch(copy);
        let records = copy.records();
        let next = self.next.unwrap_or(records.first());
        assert!(records.first() <= next && next <= copy.n_folded().max(next), "every step is taken in once");
        assert!(copy.n_folded() == 0 || self.next.is_some(), "steps that are forgotten were taken in");
        for (idx, record) in records.iter().skip_while(|(idx, _)| *idx < next) {
            self.accounts.take(records, idx, &stretch);
            self.communication.take(copy, idx, &stretch);
            if stretch.measures(idx) {
                self.kernels.take(record);
                self.need.take(copy, idx);
            }
        }
        self.communication.settle(stretch.to);
        let graph = GraphId(u64::from(stretch.last));
        let last = copy.done.iter().map(|&task| TaskRef { graph, task });
        let last = last.max_by_key(|&task| records.task(task).1.end).expect("a step has a micro-batch");
        let path = self.path.close(records, last, stretch.from);
        let accounts = copy.gpus.iter().map(|&gpu| (gpu, self.accounts.close(gpu, &stretch))).collect();
        let kernels_j = self.kernels.joules();
        (Closed { accounts, path, communication: self.communication, kernels_j }, self.need)
    }
}

impl Fold for Ledger<'_> {
    fn take(&mut self, copy: &CopySteps, idx: u32, stretch: &Stretch) {
        assert!(self.next.is_none_or(|next| next == idx), "steps are taken in in order");
        self.next = Some(idx + 1);
        let records = copy.records();
        self.accounts.take(records, idx, stretch);
        self.path.take(records, idx, stretch.from);
        self.communication.take(copy, idx, stretch);
        let behind = records.iter().skip_while(|(other, _)| *other <= idx);
        let until = behind.map(|(_, record)| record.begin()).min().unwrap_or(stretch.from);
        self.communication.settle(until.max(stretch.from));
        if stretch.measures(idx) {
            self.kernels.take(records.get(idx));
            self.need.take(copy, idx);
        }
    }
}
