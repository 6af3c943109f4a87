//! The best split, and the splits that the paper names, against every baseline, over all points.

use crate::number::{is_split, median};
use crate::space::{Point, Space, fastest};
use crate::verdict::{Outcome, outcome_of};
use masim_core::judging::sweep::Row;

/// One kind of split against one baseline.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contrast {
    /// Points at which the split is faster by more than a tie.
    pub(crate) n_faster: usize,
    /// Points within a tie.
    pub(crate) n_tied: usize,
    /// Time of the split over that of the baseline, minus 1, at each point at which both run.
    pub(crate) margins: Vec<f64>,
}

impl Contrast {
    /// Points at which the baseline is faster by more than a tie.
    pub(crate) fn n_slower(&self) -> usize {
        self.margins.len() - self.n_faster - self.n_tied
    }

    /// The typical margin.
    pub(crate) fn median(&self) -> Option<f64> {
        median(&self.margins)
    }

    /// Most in favor of the split, and least.
    pub(crate) fn extremes(&self) -> Option<(f64, f64)> {
        let least = self.margins.iter().copied().min_by(f64::total_cmp)?;
        Some((least, self.margins.iter().copied().max_by(f64::total_cmp)?))
    }
}

/// One kind of split against each baseline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContrastRow {
    /// Such as `best split` or `12:4`.
    pub(crate) split: String,
    /// Attention to expert GPUs, in lowest terms; `None` for the best of all.
    pub(crate) ratio: Option<(u32, u32)>,
    /// One for each of the baselines, in their order.
    pub(crate) against: Vec<Contrast>,
}

/// One row for each kind of split: how it fares against each of the baselines of `space`, in their order.
pub(crate) fn contrasts(space: &Space<'_>) -> Vec<ContrastRow> {
    let contrast = |ratio: Option<(u32, u32)>, name: &str| {
        let mut contrast = Contrast::default();
        for point in &space.points {
            let Some(margin) = margin_against(point, ratio, name) else { continue };
            contrast.margins.push(margin);
            contrast.n_faster += usize::from(outcome_of(margin) == Outcome::Split);
            contrast.n_tied += usize::from(outcome_of(margin) == Outcome::Tie);
        }
        contrast
    };
    let row = |split: String, ratio| ContrastRow {
        split,
        ratio,
        against: space.baselines.iter().map(|baseline| contrast(ratio, baseline.name)).collect(),
    };
    let mut rows = vec![row("best split".to_owned(), None)];
    for ratio in [(3, 1), (1, 1)] {
        if let Some(name) = named(space, ratio) {
            rows.push(row(name, Some(ratio)));
        }
    }
    rows.retain(|row| row.against.iter().any(|contrast| !contrast.margins.is_empty()));
    rows
}

/// Time of the best split over that of the baseline called `name` on as many GPUs, minus 1; with a ratio,
/// of the best split in that ratio.
pub(crate) fn margin_against(point: &Point<'_>, ratio: Option<(u32, u32)>, name: &str) -> Option<f64> {
    let split = best_split(point, ratio)?;
    let same = |row: &&Row| row.name == name && !is_split(row) && row.n_gpus() == split.n_gpus();
    let baseline = fastest(point.rows.iter().copied().filter(same))?;
    Some(split.answer_us()? / baseline.answer_us()? - 1.0)
}

/// The fastest split at `point`, of those in `ratio` if there is one.
pub(crate) fn best_split<'a>(point: &Point<'a>, ratio: Option<(u32, u32)>) -> Option<&'a Row> {
    let splits = point.rows.iter().copied().filter(|row| is_split(row));
    fastest(splits.filter(|row| ratio.is_none_or(|ratio| is_in(row, ratio))))
}

fn is_in(row: &Row, (attention, expert): (u32, u32)) -> bool {
    row.pools().is_some_and(|(a, e)| a * expert == e * attention)
}

/// Name of the splits in a ratio: `12:4` where all have 16 GPUs, else `3:1`.
fn named(space: &Space<'_>, ratio: (u32, u32)) -> Option<String> {
    let rows =
        space.points.iter().flat_map(|point| &point.rows).filter(|row| is_split(row) && is_in(row, ratio));
    let mut names: Vec<_> = rows.filter_map(|row| crate::number::ratio(row)).collect();
    names.sort();
    names.dedup();
    match names.as_slice() {
        [] => None,
        [name] => Some(name.clone()),
        _ => Some(format!("{}:{}", ratio.0, ratio.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{hand_made, not_fitting};

    #[test]
    fn each_kind_of_split_meets_each_baseline() {
        let rows = [
            hand_made(0, "12:4", 900.0),
            hand_made(0, "10:6", 800.0),
            hand_made(0, "tp_pp_literal", 1000.0),
            hand_made(0, "dp_ep", 800.0),
            not_fitting(1, "12:4"),
            hand_made(1, "10:6", 1100.0),
            hand_made(1, "tp_pp_literal", 1000.0),
        ];
        let space = Space::new(&rows);
        let contrasts = contrasts(&space);
        let names: Vec<_> = space.baselines.iter().map(|baseline| baseline.name).collect();
        assert_eq!(names, ["tp_pp_literal", "dp_ep"]);
        let kinds: Vec<_> = contrasts.iter().map(|row| row.split.as_str()).collect();
        assert_eq!(kinds, ["best split", "12:4"]);
        let [literal, dp_ep] = &contrasts[0].against[..] else { panic!("two baselines") };
        assert_eq!((literal.n_faster, literal.n_tied, literal.n_slower()), (1, 0, 1));
        assert_eq!((dp_ep.n_faster, dp_ep.n_tied, dp_ep.n_slower()), (0, 1, 0));
        // 12:4 does not fit at the second point.
        assert_eq!(contrasts[1].against[0].margins.len(), 1);
        assert!((contrasts[1].against[0].median().unwrap() + 0.1).abs() < 1e-12);
    }
}
