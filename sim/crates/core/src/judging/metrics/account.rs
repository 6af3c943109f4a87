//! The time of each GPU: every picosecond of a window is busy or has a reason.

use std::collections::BTreeMap;

use masim_engine::{GraphId, TaskId, TaskRef};
use masim_units::{SimDuration, SimTime};

use crate::inputs::topology::GpuIdx;
use crate::plan::Role;
use crate::program::Activity;
use crate::running::price::TaskInfo;
use crate::running::run::{Records, Run, Stretch};

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
    /// The share of the waits that ended with data: a communication kernel was resident, once the host had launched it.
    pub resident_wait: SimDuration,
    /// The share of `busy` in which the host was waited for.
    pub host: SimDuration,
}

impl Account {
    /// Time in which a compute kernel ran: busy without its host.
    pub fn kernels(&self) -> SimDuration {
        self.busy - self.host
    }

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
    /// Its work.
    pub role: Role,
    /// Over the measured window.
    pub window: Account,
    /// Over the cold step.
    pub cold: Account,
}

/// Accounts under way: the compute tasks of each GPU are taken in one after the other.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    roles: BTreeMap<GpuIdx, Role>,
    open: BTreeMap<GpuIdx, Open>,
}

/// The account of one GPU, up to the end of its last task.
#[derive(Clone, Debug, Default)]
struct Open {
    account: Account,
    free_since: SimTime,
}

/// A gap before a task of a GPU, and the steps in which its causes are found.
struct Gap<'a> {
    gpu: GpuIdx,
    task: TaskRef,
    from: SimTime,
    to: SimTime,
    records: Records<'a>,
    stretch: &'a Stretch,
}

impl Accounts {
    /// Accounts of the GPUs of `roles`, of which nothing is known yet.
    pub(super) fn new(roles: &[(GpuIdx, Role)]) -> Self {
        let open = roles.iter().map(|(gpu, _)| (*gpu, Open::default())).collect();
        Self { roles: roles.iter().copied().collect(), open }
    }

    /// Takes in step `idx`, whose compute tasks follow those of the step before.
    pub(super) fn take(&mut self, records: Records<'_>, idx: u32, stretch: &Stretch) {
        let record = records.get(idx);
        let graph = GraphId(u64::from(idx));
        for ((info, span), task) in record.infos.iter().zip(&record.trace.spans).zip((0..).map(TaskId)) {
            let (Some(gpu), true) = (info.gpu, is_compute(info)) else { continue };
            let (start, end) = (stretch.clip(span.start), stretch.clip(span.end));
            let Self { roles, open } = &mut *self;
            let Open { account, free_since } = open.get_mut(&gpu).expect("every GPU has a role");
            let from = stretch.from.max(*free_since);
            if from < start {
                let gap = Gap { gpu, task: TaskRef { graph, task }, from, to: start, records, stretch };
                gap.explain(roles, account);
            }
            account.busy += end.since(start);
            *free_since = from.max(end);
        }
    }

    /// The account of `gpu` over the whole of `stretch`, when all steps have been taken in.
    pub(super) fn close(&self, gpu: GpuIdx, stretch: &Stretch) -> Account {
        let Open { mut account, free_since } = self.open[&gpu].clone();
        *rest(stretch, &mut account) += stretch.to.since(free_since.max(stretch.from));
        let sum = account.busy + account.waits();
        assert_eq!(sum, stretch.to.since(stretch.from), "an account covers its window exactly");
        account
    }
}

impl Gap<'_> {
    /// Walks back from the task behind the gap along what it waited for, until the gap is explained.
    fn explain(&self, roles: &BTreeMap<GpuIdx, Role>, account: &mut Account) {
        let mut open = self.to;
        let mut cause = self.records.task(self.task).1.cause;
        let (mut ends_with_data, mut host) = (false, SimDuration::ZERO);
        while let Some(at) = cause.filter(|_| open > self.from) {
            let (info, span) = self.records.task(at);
            let start = self.stretch.clip(span.start).max(self.from);
            if start < open {
                ends_with_data |= open == self.to && info.activity.is_communication();
                let time = open.since(start);
                if info.activity == Activity::Host {
                    host += time;
                }
                *self.reason(roles, info, account) += time;
                open = start;
            }
            cause = span.cause;
        }
        *rest(self.stretch, account) += open.since(self.from);
        account.host += host;
        if ends_with_data {
            // While a host schedules or launches, no kernel of communication waits on the GPU.
            account.resident_wait += self.to.since(self.from) - host;
        }
    }

    /// The line of the account on which waiting for a task of this kind is entered.
    fn reason<'b>(
        &self,
        roles: &BTreeMap<GpuIdx, Role>,
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
            Some(other) if roles[&other] == roles[&self.gpu] => &mut account.imbalance,
            Some(_) | None => &mut account.dependency,
        }
    }
}

/// The line for idle time in which a GPU waited for no task: before the first and after the last one.
///
/// In steady state, where tasks ran before and run after the stretch, there is neither.
fn rest<'a>(stretch: &Stretch, account: &'a mut Account) -> &'a mut SimDuration {
    if stretch.first.is_some() { &mut account.imbalance } else { &mut account.fill_drain }
}

/// The accounts of all GPUs of `roles` over the cold step of `run`, in order of GPUs.
pub(super) fn cold_accounts(run: &Run, roles: &[(GpuIdx, Role)]) -> Vec<Account> {
    let stretch = Stretch { first: None, last: 0, from: SimTime::ZERO, to: run.cold_end() };
    let mut accounts = Accounts::new(roles);
    accounts.take(Records::alone(&run.cold), 0, &stretch);
    roles.iter().map(|(gpu, _)| accounts.close(*gpu, &stretch)).collect()
}

/// True if a task occupies the compute stream of its GPU.
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
