//! Sizes that follow from routing: flat arrays that every step fills anew, while the skeleton stays.

use crate::work::ops::{GroupRows, Op};

/// Position of a count of rows in [`Sizes::rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowsIdx(pub u32);

/// Position of the rows of a group of experts in [`Sizes::grouped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupedIdx(pub u32);

/// The sizes of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Counts of rows.
    pub rows: Vec<u64>,
    /// Rows of groups of experts.
    pub grouped: Vec<GroupRows>,
}

/// A count of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Equal in every step.
    Fixed(u64),
    /// One of the sizes of the step.
    At(RowsIdx),
}

impl Rows {
    /// The count in a step.
    pub fn of(self, sizes: &Sizes) -> u64 {
        match self {
            Self::Fixed(rows) => rows,
            Self::At(RowsIdx(at)) => sizes.rows[at as usize],
        }
    }
}

/// The part of a kernel's shape that follows from routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// None of it.
    Fixed,
    /// Its rows.
    Rows(RowsIdx),
    /// The rows of each of its experts.
    Grouped(GroupedIdx),
}

impl Fill {
    /// `op` with this size as a step has it.
    pub fn applied(self, op: Op, sizes: &Sizes) -> Op {
        match self {
            Self::Fixed => op,
            Self::Rows(RowsIdx(at)) => op.with_rows(sizes.rows[at as usize]),
            Self::Grouped(GroupedIdx(at)) => op.with_group_rows(sizes.grouped[at as usize]),
        }
    }
}
