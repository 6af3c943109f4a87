//! The flows of one transfer.

use std::ops::{Deref, DerefMut};

use crate::graph::Flow;

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
