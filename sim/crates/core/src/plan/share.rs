//! Dividing things that do not divide.

use std::ops::Range;

/// Sizes of `n_parts` shares of `total`, as equal as whole numbers allow.
///
/// The remainder goes to the shares from `first_larger` on, so that a sequence of divisions can spread it.
pub fn sizes(total: u32, n_parts: u32, first_larger: u32) -> impl Iterator<Item = u32> {
    let (base, rest) = (total / n_parts, total % n_parts);
    (0..n_parts).map(move |part| base + u32::from((part + n_parts - first_larger % n_parts) % n_parts < rest))
}

/// Consecutive ranges of `sizes`, from `start` on.
pub fn ranges(start: u32, sizes: impl Iterator<Item = u32>) -> impl Iterator<Item = Range<u32>> {
    sizes.scan(start, |at, size| {
        let range = *at..*at + size;
        *at = range.end;
        Some(range)
    })
}

/// `range` in `n_parts` consecutive parts, as equal as whole numbers allow, larger ones first.
pub fn split(range: &Range<u32>, n_parts: u32) -> impl Iterator<Item = Range<u32>> + use<> {
    ranges(range.start, sizes(range.end - range.start, n_parts, 0))
}

/// All ways to write `n` as `(a, n / a)`.
pub fn factor_pairs(n: u32) -> impl Iterator<Item = (u32, u32)> {
    (1..=n).filter(move |a| n.is_multiple_of(*a)).map(move |a| (a, n / a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_over_twelve_is_eight_with_three_and_four_with_two() {
        let shares: Vec<_> = sizes(32, 12, 0).collect();
        assert_eq!(shares, [3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2]);
        assert_eq!(sizes(32, 12, 10).collect::<Vec<_>>(), [3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 3, 3]);
    }

    #[test]
    fn ranges_follow_each_other() {
        assert_eq!(split(&(10..17), 3).collect::<Vec<_>>(), [10..13, 13..15, 15..17]);
    }
}
