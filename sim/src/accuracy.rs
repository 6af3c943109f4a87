//! How far predictions are from measurements.

use crate::measurement::{Family, Work};
use crate::profile::AccuracyFile;

/// The band of every row.
pub const BAND_ALL: &str = "all";

/// The bands of `family`, small to large; KB and MB are powers of ten.
pub const fn bands(family: Family) -> &'static [&'static str] {
    match family {
        Family::Collective | Family::P2p => &["lt_64KB", "64KB_to_8MB", "gt_8MB"],
    }
}

/// The band of `work` among those of its family.
pub fn band(work: &Work) -> &'static str {
    match work.bytes() {
        0..64_000 => "lt_64KB",
        64_000..=8_000_000 => "64KB_to_8MB",
        8_000_001.. => "gt_8MB",
    }
}

/// The errors `predicted / measured - 1` in figures; none without errors.
pub fn accuracy(errors: &[f64]) -> Option<AccuracyFile> {
    if errors.is_empty() {
        return None;
    }
    let mut sizes: Vec<_> = errors.iter().map(|error| error.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    Some(AccuracyFile {
        n: errors.len() as u64,
        mape: mean(&sizes),
        median_ape: quantile(&sizes, 0.5),
        p95_ape: quantile(&sizes, 0.95),
        bias: mean(errors),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The value below which a `share` of `sorted` lies, on the line between its neighbours.
///
/// # Panics
///
/// Without values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, and between 0 and the number of values"
)]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = libm::floor(at);
    let (lower, upper) = (sorted[below as usize], sorted[libm::ceil(at) as usize]);
    lower + (upper - lower) * (at - below)
}

/// `value` with four digits behind the point, as profiles state shares.
pub fn rounded(value: f64) -> f64 {
    libm::round(value * 1e4) / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// |errors| = 0.1, 0.1, 0.2, 0.4: mean 0.2, median 0.15, p95 at 2.85 = 0.2 + 0.85 * 0.2 = 0.37; bias (0.1 - 0.1 + 0.2 - 0.4) / 4.
    #[test]
    fn figures_are_those_of_the_definition() {
        let found = accuracy(&[0.1, -0.1, 0.2, -0.4]).unwrap();
        let expected = AccuracyFile { n: 4, mape: 0.2, median_ape: 0.15, p95_ape: 0.37, bias: -0.05 };
        for (found, expected) in [
            (found.mape, expected.mape),
            (found.median_ape, expected.median_ape),
            (found.p95_ape, expected.p95_ape),
            (found.bias, expected.bias),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(accuracy(&[]), None);
    }
}
