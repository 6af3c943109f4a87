//! The error of a run in which nothing moves any more.

use std::collections::BTreeSet;
use std::fmt;

use masim_engine::{Hop, LinkId, TaskId, Work};

use crate::inputs::topology::Cluster;
use crate::running::price::TaskInfo;

/// The first of the tasks that wait when nothing moves any more, and the links that it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// The kind of task.
    pub activity: &'static str,
    /// Its step, counted from 0.
    pub step: u32,
    /// Its position in the step.
    pub task: u32,
    /// Stopped links that its bytes have to cross; none where a stream stands still.
    pub links: Vec<String>,
    /// Tasks that have begun and cannot end.
    pub n_waiting: usize,
}

impl Stalled {
    /// A task of a step, whose flows cross some of the `stopped` links, and the number of all that wait.
    pub(super) fn of(
        (step, task, n_waiting): (u32, TaskId, usize),
        (infos, works, paths): (&[TaskInfo], &[Work], &[Vec<Hop>]),
        stopped: &BTreeSet<LinkId>,
        cluster: &Cluster,
    ) -> Self {
        let flows = match &works[task.0 as usize] {
            Work::Transfer { flows, .. } => flows.to_vec(),
            Work::Compute { .. } | Work::Delay { .. } | Work::Barrier => Vec::new(),
        };
        let crossed: BTreeSet<LinkId> =
            flows.iter().flat_map(|flow| &paths[flow.path.0 as usize]).map(|hop| hop.link).collect();
        Self {
            activity: infos[task.0 as usize].activity.name(),
            step,
            task: task.0,
            links: crossed.intersection(stopped).map(|&link| cluster.link(link).name.clone()).collect(),
            n_waiting,
        }
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { activity, step, task, links, n_waiting } = self;
        write!(f, "nothing moves any more: `{activity}`, task {task} of step {step}, waits for ")?;
        match links.as_slice() {
            [] => f.write_str("a stream that stands still")?,
            links => write!(f, "stopped links: {}", links.join(", "))?,
        }
        write!(f, "; {n_waiting} tasks wait in all")
    }
}
