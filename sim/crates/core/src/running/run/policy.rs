//! Decisions between the steps of a run.

use std::collections::BTreeSet;

use masim_engine::{LinkId, Resource, Speed};
use masim_units::SimTime;

use super::steps::{CopySteps, StepRecord};
use crate::inputs::topology::Cluster;

/// A step of a copy that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The copy.
    pub copy: &'a CopySteps,
    /// The number of the step.
    pub idx: u32,
    /// Its tasks and their times.
    pub record: &'a StepRecord,
    /// The end of its last task: now.
    pub at: SimTime,
}

/// A speed that holds from now on, also for what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// A stream or a link.
    pub resource: Resource,
    /// Its speed.
    pub speed: Speed,
}

/// Looks at each step that has ended, and changes what follows.
///
/// A run without a policy changes nothing.
pub trait Policy {
    /// Links whose speed it may change; the run leaves none of them out of its paths.
    fn touchable(&self, cluster: &Cluster) -> BTreeSet<LinkId>;

    /// Decides after a step.
    fn decide(&mut self, ended: &Ended<'_>) -> Vec<Change>;
}
