//! Adjacent points of an axis between which the best strategy changes.

use crate::number::label;
use crate::space::Space;
use crate::verdict::{Duel, Outcome, Verdict};

/// A change of the best between two neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flip {
    /// The axis, as people read it.
    pub(crate) dim: String,
    /// Its two values.
    pub(crate) between: (String, String),
    /// Everything else about the two points.
    pub(crate) elsewhere: String,
    /// Best at the first point.
    pub(crate) from: String,
    /// Best at the second point.
    pub(crate) to: String,
}

/// Changes of the winner: `split`, `tie` or the name of a baseline.
pub(crate) fn flips(space: &Space<'_>, verdict: &Verdict<'_>) -> Vec<Flip> {
    changes(space, verdict, |duel| match duel.outcome {
        Outcome::Split | Outcome::NoBaseline => Some("split".to_owned()),
        Outcome::Tie => Some("tie".to_owned()),
        Outcome::Baseline | Outcome::NoSplit => duel.baseline.map(label),
        Outcome::Neither => None,
    })
}

/// Changes of the best split, whether or not it wins.
pub(crate) fn moves(space: &Space<'_>, verdict: &Verdict<'_>) -> Vec<Flip> {
    changes(space, verdict, |duel| duel.split.map(label))
}

/// Range of attention GPUs of the best split over all points with one value of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The axis, as people read it.
    pub(crate) dim: String,
    /// Its value.
    pub(crate) value: String,
    /// The fewest and the most attention GPUs.
    pub(crate) attention: (u32, u32),
}

/// One entry for each value of each axis that has several.
pub(crate) fn spans(space: &Space<'_>, verdict: &Verdict<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    for (idx, dim) in space.dims.iter().enumerate().filter(|(_, dim)| dim.values.len() > 1) {
        for (at, value) in dim.values.iter().enumerate() {
            let here = verdict.duels.iter().filter(|duel| duel.at[idx] == at);
            let counts: Vec<u32> = here.filter_map(|duel| Some(duel.split?.pools()?.0)).collect();
            if let (Some(&fewest), Some(&most)) = (counts.iter().min(), counts.iter().max()) {
                let (dim, value) = (dim.title.clone(), value.clone());
                spans.push(Span { dim, value, attention: (fewest, most) });
            }
        }
    }
    spans
}

fn changes(
    space: &Space<'_>,
    verdict: &Verdict<'_>,
    best: impl Fn(&Duel<'_>) -> Option<String>,
) -> Vec<Flip> {
    let mut found = Vec::new();
    for (idx, dim) in space.dims.iter().enumerate() {
        for duel in &verdict.duels {
            let mut next = duel.at.clone();
            next[idx] += 1;
            let Some(neighbour) = verdict.duels.iter().find(|other| other.at == next) else { continue };
            if let (Some(from), Some(to)) = (best(duel), best(neighbour))
                && from != to
            {
                let between = (dim.values[duel.at[idx]].clone(), dim.values[next[idx]].clone());
                let elsewhere = elsewhere(space, &duel.at, idx);
                found.push(Flip { dim: dim.title.clone(), between, elsewhere, from, to });
            }
        }
    }
    found
}

/// The position `at` in all dimensions that vary, except dimension `except`.
fn elsewhere(space: &Space<'_>, at: &[usize], except: usize) -> String {
    let dims = space.dims.iter().zip(at).enumerate();
    let others = dims.filter(|(idx, (dim, _))| *idx != except && dim.values.len() > 1);
    let named = others.map(|(_, (dim, &at))| {
        let name = dim.title.split_once(',').map_or(dim.title.as_str(), |(name, _)| name);
        format!("{name} {}", dim.values[at])
    });
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{asked, hand_made};

    #[test]
    fn a_flip_names_both_neighbours_and_what_stays() {
        let mut rows = vec![
            hand_made(0, "12:4", 900.0),
            hand_made(0, "dp_ep", 1000.0),
            hand_made(1, "10:6", 1200.0),
            hand_made(1, "dp_ep", 1000.0),
        ];
        for row in &mut rows[2..] {
            asked(row).context_len = 4096.0;
        }
        let space = Space::new(&rows);
        let verdict = Verdict::new(&space);
        let found = flips(&space, &verdict);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].from.as_str(), found[0].to.as_str()), ("split", "dp_ep"));
        assert_eq!(found[0].between, ("2048".to_owned(), "4096".to_owned()));
        assert_eq!(moves(&space, &verdict)[0].to, "10:6 \u{d7}2");
        let spans = spans(&space, &verdict);
        let spans: Vec<_> = spans.iter().map(|span| (span.value.as_str(), span.attention)).collect();
        assert_eq!(spans, [("2048", (12, 12)), ("4096", (10, 10))]);
    }
}
