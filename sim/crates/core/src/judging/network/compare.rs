//! How far two simulators are apart.

use masim_units::{PS_PER_SEC, SimTime};

use super::case::Case;

/// The largest differences of one case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Largest |ours / theirs - 1|.
    pub worst_relative: f64,
    /// Largest |ours - theirs| in seconds.
    pub worst_absolute_s: f64,
    /// Flows further away than the tolerance allows.
    pub n_outside: usize,
}

/// Compares `ends` with what the case expects; `None` if it expects nothing.
///
/// A flow is inside if its end differs by at most `tolerance` of itself, or by what whole picoseconds
/// explain: one for each start and end of a flow while it lives, and one more.
pub fn compare(case: &Case, ends: &[SimTime], tolerance: f64) -> Option<Comparison> {
    let expected = case.expected_s.as_ref()?;
    let instants = instants(case, ends);
    let mut found = Comparison { worst_relative: 0.0, worst_absolute_s: 0.0, n_outside: 0 };
    for ((flow, end), &expected) in case.flows.iter().zip(ends).zip(expected) {
        let apart = (end.as_secs() - expected).abs();
        // Two ends at zero agree; an end expected at zero that comes later is infinitely wrong.
        let relative = if apart > 0.0 { apart / expected.abs() } else { 0.0 };
        let first = instants.partition_point(|&at| at < flow.start.as_ps());
        let last = instants.partition_point(|&at| at <= end.as_ps());
        let rounding = (last - first + 1) as f64 / PS_PER_SEC as f64;
        found.worst_relative = found.worst_relative.max(relative);
        found.worst_absolute_s = found.worst_absolute_s.max(apart);
        // Written so that an expectation which is not a number counts as outside.
        let is_inside = apart <= (tolerance * expected).max(rounding);
        found.n_outside += usize::from(!is_inside);
    }
    Some(found)
}

/// When flows start and end, sorted.
fn instants(case: &Case, ends: &[SimTime]) -> Vec<u64> {
    let starts = case.flows.iter().map(|flow| flow.start.as_ps());
    let mut all: Vec<_> = starts.chain(ends.iter().map(|end| end.as_ps())).collect();
    all.sort_unstable();
    all
}
