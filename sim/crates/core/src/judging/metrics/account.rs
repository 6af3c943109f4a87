//! Where the time of each GPU went: every picosecond of a window is busy or has a reason.

use std::collections::BTreeMap;

use masim_engine::{GraphId, TaskId, TaskRef};
use masim_units::{SimDuration, SimTime};

use crate::inputs::topology::GpuIdx;
use crate::plan::Role;
use crate::program::Activity;
use crate::running::price::TaskInfo;
use crate::running::run::{Run, Steady, StepRecord};

/// The time of one GPU over a window; the five parts add up to its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// A compute kernel ran, or was waited for while the host had not launched it.
    pub busy: SimDuration,
    /// A slower peer of the same pool was waited for.
    pub imbalance: SimDuration,
    /// The other pool, or another stage, was waited for.
    pub dependency: SimDuration,
    /// Data was on its way.
    pub wire: SimDuration,
    /// Before the first and after the last task.
    pub fill_drain: SimDuration,
    /// The share of the waits that ended with data: a communication kernel was resident.
    pub resident_wait: SimDuration,
    /// The share of `busy` in which the host was waited for.
    pub host: SimDuration,
}

impl Account {
    /// All idle time.
    pub fn waits(&self) -> SimDuration {
        self.imbalance + self.dependency + self.wire + self.fill_drain
    }
}

/// The account of one GPU.
#[derive(Clone, Copy, Debug)]
pub struct GpuMetrics {
    /// The GPU.
    pub gpu: GpuIdx,
    /// What it does.
    pub role: Role,
    /// Over the measured window.
    pub window: Account,
    /// Over the cold step.
    pub cold: Account,
}

/// A stretch of time, the steps in it, and who does what.
struct Ledger<'a> {
    steps: &'a [StepRecord],
    roles: &'a BTreeMap<GpuIdx, Role>,
    from: SimTime,
    to: SimTime,
    /// Whether tasks ran before `from` and run after `to`.
    is_steady: bool,
}

/// The accounts of all GPUs over the measured window of `run`, and over its cold step.
pub fn accounts(run: &Run, roles: &[(GpuIdx, Role)]) -> (Vec<Account>, Vec<Account>) {
    let roles_by_gpu = roles.iter().copied().collect();
    let window = Ledger {
        steps: &run.steps,
        roles: &roles_by_gpu,
        from: run.measured().0,
        to: run.measured().1,
        is_steady: run.steady != Steady::Once,
    };
    let cold_steps = std::slice::from_ref(&run.cold);
    let (from, to) = (SimTime::ZERO, run.cold_end());
    let cold = Ledger { steps: cold_steps, roles: &roles_by_gpu, from, to, is_steady: false };
    (window.accounts(roles), cold.accounts(roles))
}

impl Ledger<'_> {
    fn accounts(&self, roles: &[(GpuIdx, Role)]) -> Vec<Account> {
        let mut tasks_by_gpu: BTreeMap<GpuIdx, Vec<TaskRef>> =
            roles.iter().map(|(gpu, _)| (*gpu, Vec::new())).collect();
        for (step, graph) in self.steps.iter().zip((0..).map(GraphId)) {
            for (info, task) in step.infos.iter().zip((0..).map(TaskId)) {
                if let (Some(gpu), true) = (info.gpu, is_compute(info)) {
                    tasks_by_gpu.get_mut(&gpu).expect("every GPU has a role").push(TaskRef { graph, task });
                }
            }
        }
        tasks_by_gpu.into_iter().map(|(gpu, tasks)| self.account(gpu, &tasks)).collect()
    }

    /// `tasks` are those of the GPU's compute stream in order.
    fn account(&self, gpu: GpuIdx, tasks: &[TaskRef]) -> Account {
        let mut account = Account::default();
        let mut free_since = self.from;
        for &task in tasks {
            let (_, span) = self.task(task);
            let (start, end) = (self.clip(span.start), self.clip(span.end));
            if free_since < start {
                self.explain_gap(gpu, task, (free_since, start), &mut account);
            }
            account.busy += end.since(start);
            free_since = free_since.max(end);
        }
        *self.rest(&mut account) += self.to.since(free_since);
        let sum = account.busy + account.waits();
        assert_eq!(sum, self.to.since(self.from), "an account covers its window exactly");
        account
    }

    /// Walks back from `task` along what it waited for, until the gap is explained.
    fn explain_gap(&self, gpu: GpuIdx, task: TaskRef, gap: (SimTime, SimTime), account: &mut Account) {
        let mut open = gap.1;
        let mut cause = self.span(task).cause;
        while let Some(at) = cause.filter(|_| open > gap.0) {
            let (info, span) = self.task(at);
            let start = self.clip(span.start).max(gap.0);
            if start < open {
                if open == gap.1 && info.activity.is_communication() {
                    account.resident_wait += gap.1.since(gap.0);
                }
                let time = open.since(start);
                if info.activity == Activity::Host {
                    account.host += time;
                }
                *self.reason(gpu, info, account) += time;
                open = start;
            }
            cause = span.cause;
        }
        *self.rest(account) += open.since(gap.0);
    }

    /// The line for idle time in which a GPU waited for no task: before the first and after the last one.
    ///
    /// In steady state there is neither. A GPU that waits for no task there belongs to a copy of the model that
    /// is steps ahead of a slower one, and has no step to do.
    fn rest<'b>(&self, account: &'b mut Account) -> &'b mut SimDuration {
        if self.is_steady { &mut account.imbalance } else { &mut account.fill_drain }
    }

    /// The line of the account on which waiting for a task of this kind is entered.
    fn reason<'b>(
        &self,
        gpu: GpuIdx,
        waited_for: &TaskInfo,
        account: &'b mut Account,
    ) -> &'b mut SimDuration {
        if waited_for.activity.is_communication() {
            return &mut account.wire;
        }
        // A launch belongs to the kernel that it precedes.
        if waited_for.activity == Activity::Host {
            return &mut account.busy;
        }
        match waited_for.gpu {
            Some(other) if self.roles[&other] == self.roles[&gpu] => &mut account.imbalance,
            Some(_) | None => &mut account.dependency,
        }
    }

    fn clip(&self, at: SimTime) -> SimTime {
        at.clamp(self.from, self.to)
    }

    fn span(&self, task: TaskRef) -> masim_engine::Span {
        self.task(task).1
    }

    fn task(&self, task: TaskRef) -> (&TaskInfo, masim_engine::Span) {
        let step = &self.steps[usize::try_from(task.graph.0).expect("as many graphs as steps")];
        (&step.infos[task.task.0 as usize], step.trace.span(task.task))
    }
}

/// Whether a task occupies the compute stream of its GPU.
pub(super) fn is_compute(info: &TaskInfo) -> bool {
    match info.activity {
        Activity::Attention
        | Activity::Experts
        | Activity::Embedding
        | Activity::Head
        | Activity::Quantise => true,
        Activity::Dispatch
        | Activity::Combine
        | Activity::CacheExchange
        | Activity::Collective(_)
        | Activity::StageSend
        | Activity::Host
        | Activity::Barrier => false,
    }
}
