//! Simulated times against the closed form and the work bound.

use crate::number::median;
use masim_core::judging::sweep::{Figures, Row};

/// The rows of one name beside theory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Theory {
    /// The strategy's or baseline's name.
    pub(crate) name: String,
    /// Rows that run.
    pub(crate) n: usize,
    /// Simulated over closed form, minus 1: least, median, most.
    pub(crate) closed_form: Option<[f64; 3]>,
    /// Simulated over work bound, minus 1: least, median, most.
    pub(crate) work_bound: Option<[f64; 3]>,
}

/// One entry for each name, in order of appearance.
pub(crate) fn theory(rows: &[Row]) -> Vec<Theory> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.answer_us().is_some()) {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let own: Vec<_> =
                rows.iter().filter(|row| row.name == name && row.answer_us().is_some()).collect();
            let over = |of: fn(&Figures) -> f64| {
                let over = own.iter().filter_map(|row| Some(row.answer_us()? / of(row.figures()?) - 1.0));
                spread(&over.collect::<Vec<_>>())
            };
            Theory {
                name: name.to_owned(),
                n: own.len(),
                closed_form: over(|figures| figures.closed_form_us),
                work_bound: over(|figures| figures.work_bound_us),
            }
        })
        .collect()
}

fn spread(values: &[f64]) -> Option<[f64; 3]> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    let most = values.iter().copied().max_by(f64::total_cmp)?;
    Some([least, median(values)?, most])
}
