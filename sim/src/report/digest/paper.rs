//! The splits that the paper names against its own baseline and against the tuned one.

use crate::report::number::is_split;
use crate::report::space::{Point, Space, fastest};
use crate::sweep::RowJson;

/// Times at one point; `None` where nothing of the kind runs.
#[derive(Clone, Debug)]
pub(crate) struct PaperPoint<'a> {
    /// Positions in the dimensions of the space.
    pub(crate) at: Vec<usize>,
    /// Pipeline with one batch in flight.
    pub(crate) literal: Option<&'a RowJson>,
    /// The same pipeline, tuned.
    pub(crate) tuned: Option<&'a RowJson>,
    /// Three attention GPUs for each expert GPU.
    pub(crate) three_to_one: Option<&'a RowJson>,
    /// As many of either.
    pub(crate) one_to_one: Option<&'a RowJson>,
    /// The best split.
    pub(crate) best: Option<&'a RowJson>,
}

/// All points; empty where no row is the paper's literal baseline.
pub(crate) fn paper<'a>(space: &Space<'a>) -> Vec<PaperPoint<'a>> {
    let points: Vec<_> = space.points.iter().map(at_point).collect();
    if points.iter().all(|point| point.literal.is_none()) { Vec::new() } else { points }
}

fn at_point<'a>(point: &Point<'a>) -> PaperPoint<'a> {
    let named = |name: &str| fastest(point.rows.iter().copied().filter(|row| row.name == name));
    let split = |attention: u32, expert: u32| {
        let rows = point.rows.iter().copied().filter(|row| is_split(row));
        fastest(rows.filter(|row| match (row.n_attention_gpus, row.n_expert_gpus) {
            (Some(a), Some(e)) => a * expert == e * attention,
            _ => false,
        }))
    };
    PaperPoint {
        at: point.at.clone(),
        literal: named("tp_pp_literal"),
        tuned: named("tp_pp"),
        three_to_one: split(3, 1),
        one_to_one: split(1, 1),
        best: fastest(point.rows.iter().copied().filter(|row| is_split(row))),
    }
}
