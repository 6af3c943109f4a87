//! The flows of one transfer.

use std::ops::{Deref, DerefMut};

use masim_units::{Bandwidth, Bytes, SimDuration};

/// A registered sequence of links; flows of equal path have equal rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

/// Data under way over a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The links it crosses.
    pub path: PathId,
    /// How much data; zero ends when the latency has passed.
    pub bytes: Bytes,
    /// Time from the task's start to the first byte on the wire.
    pub latency: SimDuration,
    /// A rate that this flow never exceeds, whatever its links would give.
    pub rate_cap: Option<Bandwidth>,
}

/// Flows that start together; a single one, as most transfers have, needs no memory of its own.
#[derive(Clone, Debug)]
pub enum Flows {
    /// A single one.
    One(Flow),
    /// Any number.
    Many(Vec<Flow>),
}

/// Equal flows are equal however they are kept.
impl PartialEq for Flows {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Flows {}

impl Deref for Flows {
    type Target = [Flow];

    fn deref(&self) -> &[Flow] {
        match self {
            Self::One(flow) => std::slice::from_ref(flow),
            Self::Many(flows) => flows,
        }
    }
}

impl DerefMut for Flows {
    fn deref_mut(&mut self) -> &mut [Flow] {
        match self {
            Self::One(flow) => std::slice::from_mut(flow),
            Self::Many(flows) => flows,
        }
    }
}

impl From<Flow> for Flows {
    fn from(flow: Flow) -> Self {
        Self::One(flow)
    }
}

impl From<Vec<Flow>> for Flows {
    fn from(flows: Vec<Flow>) -> Self {
        Self::Many(flows)
    }
}

impl<'a> IntoIterator for &'a Flows {
    type Item = &'a Flow;
    type IntoIter = std::slice::Iter<'a, Flow>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
