//! Errors of predictions against measurements.

use crate::inputs::measurement::{Family, Work};
use crate::inputs::profile::AccuracyFile;

/// The band of every row.
pub const BAND_ALL: &str = "all";

/// The bands of `family`; KB and MB are powers of ten.
pub const fn bands(family: Family) -> &'static [&'static str] {
    match family {
        Family::Gemm => &["nk_ge_1024", "nk_lt_1024"],
        Family::AttentionPrefill => &["q_ge_256", "q_lt_256"],
        Family::AttentionDecode => &["kv_ge_1024", "kv_lt_1024"],
        Family::Moe => &["ep_1", "ep_gt_1"],
        Family::Elementwise => &["tokens_ge_128", "tokens_lt_128"],
        Family::Collective | Family::P2p => &["lt_64KB", "64KB_to_8MB", "gt_8MB"],
    }
}

/// The band of `work` among those of its family.
pub fn band(work: &Work) -> &'static str {
    let one_of = |is_first: bool| bands(work.family())[usize::from(!is_first)];
    match work {
        Work::Gemm(work) => one_of(work.n >= 1024 && work.k >= 1024),
        Work::Prefill(work) => one_of(work.q_len >= 256),
        Work::Decode(work) => one_of(work.kv_len >= 1024),
        Work::Moe(work) => one_of(work.ep == 1),
        Work::Elementwise(work) => one_of(work.tokens >= MANY_ROWS),
        Work::Collective(work) => bands(Family::Collective)[length(work.bytes) as usize],
        Work::Pairs(work) => bands(Family::P2p)[length(work.bytes_per_pair) as usize],
    }
}

/// Rows from which elementwise kernels fill a card.
pub(super) const MANY_ROWS: u64 = 128;

/// The length of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Below 64 KB.
    Short,
    /// From 64 KB to 8 MB.
    Middle,
    /// Above 8 MB.
    Long,
}

/// The length of a message of so many bytes.
pub(super) fn length(bytes: u64) -> Length {
    match bytes {
        0..64_000 => Length::Short,
        64_000..=8_000_000 => Length::Middle,
        8_000_001.. => Length::Long,
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
