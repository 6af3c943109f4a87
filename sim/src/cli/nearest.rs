//! "Did you mean ...?"

/// The candidate that `typed` most likely stands for, if any is close.
pub(crate) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (typed.chars().count() / 3).max(1);
    let ranked = candidates.into_iter().map(|candidate| (distance(typed, candidate), candidate));
    ranked.min().filter(|&(edits, _)| edits <= allowed).map(|(_, candidate)| candidate)
}

/// Characters to insert, delete, replace or swap with their neighbour to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if is_swap { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = ["a100-2x8", "a100-4x4", "h100-2x8"];
        assert_eq!(nearest("a100-4x5", names), Some("a100-4x4"));
        assert_eq!(nearest("a100-x44", names), Some("a100-4x4"));
        assert_eq!(nearest("frontier", names), None);
        assert_eq!(nearest("x", []), None);
    }
}
