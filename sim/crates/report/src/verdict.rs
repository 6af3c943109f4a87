//! Does a split of attention and experts beat co-location, where, and by how much?

use super::number::{count, is_split, median, pct};
use super::space::{Answer, Point, Space, fastest};
use masim_core::judging::sweep::Row;
use masim_core::timing::uncertainty::chance_shorter;

/// Two times that differ by no more than 1 % are a tie; the rest is room for rounding.
const TIE: f64 = 0.01 + 1e-12;

/// Who is faster at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The best split, by more than a tie.
    Split,
    /// Within [`TIE`].
    Tie,
    /// The best fair baseline, by more than a tie.
    Baseline,
    /// A split runs, no fair baseline does.
    NoBaseline,
    /// A fair baseline runs, no split does.
    NoSplit,
    /// Neither runs.
    Neither,
}

/// The best split against the best fair baseline at one point.
#[derive(Clone, Debug)]
pub(crate) struct Duel<'a> {
    /// Positions of the point in the dimensions of its space.
    pub(crate) at: Vec<usize>,
    /// The fastest split.
    pub(crate) split: Option<&'a Row>,
    /// The fastest fair baseline on as many GPUs.
    pub(crate) baseline: Option<&'a Row>,
    /// Who is faster.
    pub(crate) outcome: Outcome,
    /// TPOT of the split over that of the baseline, minus 1: negative where the split is faster.
    pub(crate) margin: Option<f64>,
    /// True if the errors of the models, drawn alike for both, could turn the order.
    pub(crate) is_doubtful: bool,
}

/// An order that holds in fewer draws than this, and more than the rest, is in doubt.
const SURE: f64 = 0.95;

/// True if the errors of the models leave open which of two rows is faster; a tie is one whatever they are.
fn is_doubtful(split: &Row, baseline: &Row) -> bool {
    let (Some(a), Some(b)) = (split.answer_us(), baseline.answer_us()) else { return false };
    let (Some(one), Some(other)) = (split.figures(), baseline.figures()) else { return false };
    let seed = split.asked.as_ref().map_or(0, |asked| asked.seed);
    let chance = chance_shorter(seed, (a, &one.regimes), (b, &other.regimes));
    chance.is_some_and(|chance| 1.0 - SURE < chance && chance < SURE)
}

/// True if a row is a baseline that is tuned as the splits are: beating another decides nothing.
pub(crate) fn is_fair_baseline(row: &Row) -> bool {
    !is_split(row) && row.tuned
}

/// Who is faster when the split takes this much longer than the baseline.
pub(crate) fn outcome_of(margin: f64) -> Outcome {
    match margin {
        margin if margin.abs() <= TIE => Outcome::Tie,
        margin if margin < 0.0 => Outcome::Split,
        _ => Outcome::Baseline,
    }
}

impl<'a> Duel<'a> {
    /// The duel at `point`.
    pub(crate) fn new(point: &Point<'a>) -> Self {
        let split = fastest(point.rows.iter().copied().filter(|row| is_split(row)));
        let same_size = |row: &&Row| split.is_none_or(|split| split.n_gpus() == row.n_gpus());
        let fair = point.rows.iter().copied().filter(|row| is_fair_baseline(row)).filter(same_size);
        let baseline = fastest(fair);
        let time = |row: Option<&Row>| row.and_then(Row::answer_us);
        let margin = time(split).zip(time(baseline)).map(|(split, baseline)| split / baseline - 1.0);
        let outcome = match (split, baseline, margin) {
            (_, _, Some(margin)) => outcome_of(margin),
            (Some(_), None, _) => Outcome::NoBaseline,
            (None, Some(_), _) => Outcome::NoSplit,
            _ => Outcome::Neither,
        };
        let is_open = matches!(outcome, Outcome::Split | Outcome::Baseline);
        let both = split.zip(baseline).filter(|_| is_open);
        let is_doubtful = both.is_some_and(|(split, baseline)| is_doubtful(split, baseline));
        Self { at: point.at.clone(), split, baseline, outcome, margin, is_doubtful }
    }

    /// The row that wins, a tie going to the faster.
    pub(crate) fn winner(&self) -> Option<&'a Row> {
        fastest(self.split.into_iter().chain(self.baseline))
    }
}

/// How one value of a dimension fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The dimension, as people read it.
    pub(crate) dim: String,
    /// The value.
    pub(crate) value: String,
    /// Points at which a split wins.
    pub(crate) n_won: usize,
    /// Points within a tie.
    pub(crate) n_tied: usize,
    /// Points at which both run.
    pub(crate) n_compared: usize,
}

/// All duels of a sweep.
#[derive(Clone, Debug)]
pub(crate) struct Verdict<'a> {
    /// One for each point.
    pub(crate) duels: Vec<Duel<'a>>,
    /// What decides them.
    answer: Answer,
}

impl<'a> Verdict<'a> {
    /// Every point of `space`.
    pub(crate) fn new(space: &Space<'a>) -> Self {
        Self { duels: space.points.iter().map(Duel::new).collect(), answer: space.answer }
    }

    /// Points with this outcome.
    pub(crate) fn n(&self, outcome: Outcome) -> usize {
        self.duels.iter().filter(|duel| duel.outcome == outcome).count()
    }

    fn margins(&self, outcome: Outcome) -> Vec<f64> {
        self.duels.iter().filter(|duel| duel.outcome == outcome).filter_map(|duel| duel.margin).collect()
    }

    /// The answer in one sentence, and a second one about points that could not be compared.
    pub(crate) fn sentence(&self) -> String {
        let [won, even, lost] = [Outcome::Split, Outcome::Tie, Outcome::Baseline].map(|o| self.n(o));
        let n = won + even + lost;
        let typical = |outcome| median(&self.margins(outcome)).unwrap_or(0.0);
        let slower = format!("median {} more {}", pct(typical(Outcome::Baseline)), self.answer.words());
        let ties = match even {
            0 => String::new(),
            even => format!("ties within 1 % at {even}"),
        };
        let first = match (n, won, even) {
            (0, _, _) => "No verdict: at no point do a split and a fair baseline both run.".to_owned(),
            (_, 0, 0) => format!(
                "No split beats co-location: at all of the {} the best split is slower than the best \
                 co-located baseline on as many GPUs ({slower}).",
                count(n, "compared point")
            ),
            (_, 0, even) if even == n => format!(
                "No split beats co-location: the best split ties with the best co-located baseline within \
                 1 % at all of the {}.",
                count(n, "compared point")
            ),
            (_, 0, _) => format!(
                "No split beats co-location: of the {} the best split {ties} and is slower at {lost} ({slower}).",
                count(n, "compared point")
            ),
            _ => self.sentence_of_wins(n, won, lost, &ties, &slower),
        };
        let skipped = self.duels.len() - n;
        let skipped = (skipped > 0 && n > 0).then(|| self.sentence_of_skipped(skipped));
        [Some(first), self.sentence_of_doubt(n), skipped].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn sentence_of_doubt(&self, n: usize) -> Option<String> {
        let n_doubtful = self.duels.iter().filter(|duel| duel.is_doubtful).count();
        (n_doubtful > 0).then(|| {
            format!(
                "At {n_doubtful} of {} the two cannot be told apart: the errors of the models, drawn alike for \
                 both, turn the order in more than 5 % of all draws.",
                count(n, "compared point")
            )
        })
    }

    fn sentence_of_wins(&self, n: usize, won: usize, lost: usize, ties: &str, slower: &str) -> String {
        let margins = self.margins(Outcome::Split);
        let typical = median(&margins).unwrap_or(0.0);
        let most = margins.iter().copied().fold(0.0, f64::min);
        let mut rest = Vec::new();
        if !ties.is_empty() {
            rest.push(ties.to_owned());
        }
        if lost > 0 {
            rest.push(format!("is slower at {lost} ({slower})"));
        }
        let rest = if rest.is_empty() { String::new() } else { format!("; it {}", rest.join(" and ")) };
        format!(
            "The best split beats the best co-located baseline on as many GPUs at {won} of {} (median {} less \
             {}, at most {} less){rest}.",
            count(n, "compared point"),
            pct(-typical),
            self.answer.words(),
            pct(-most)
        )
    }

    fn sentence_of_skipped(&self, skipped: usize) -> String {
        let causes = [
            (Outcome::NoSplit, "no split runs"),
            (Outcome::NoBaseline, "no fair baseline runs"),
            (Outcome::Neither, "nothing runs"),
        ];
        let causes = causes.map(|(outcome, words)| (self.n(outcome), words));
        let causes: Vec<_> =
            causes.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{words} at {n}")).collect();
        format!("{} cannot be compared: {}.", count(skipped, "more point"), causes.join(", "))
    }

    /// How each value of each dimension fares; dimensions of one value say nothing.
    pub(crate) fn tallies(&self, space: &Space<'_>) -> Vec<Tally> {
        let mut tallies = Vec::new();
        for (idx, dim) in space.dims.iter().enumerate().filter(|(_, dim)| dim.values.len() > 1) {
            for (at, value) in dim.values.iter().enumerate() {
                let here: Vec<_> = self.duels.iter().filter(|duel| duel.at[idx] == at).collect();
                let n = |outcome| here.iter().filter(|duel| duel.outcome == outcome).count();
                let [n_won, n_tied, n_lost] = [Outcome::Split, Outcome::Tie, Outcome::Baseline].map(n);
                tallies.push(Tally {
                    dim: dim.title.clone(),
                    value: value.clone(),
                    n_won,
                    n_tied,
                    n_compared: n_won + n_tied + n_lost,
                });
            }
        }
        tallies
    }

    /// Where no split ever wins although splits win elsewhere, in words.
    pub(crate) fn never(&self, space: &Space<'_>) -> Option<String> {
        if self.n(Outcome::Split) == 0 {
            return None;
        }
        let tallies = self.tallies(space);
        let never: Vec<_> = tallies.iter().filter(|tally| tally.n_won == 0 && tally.n_compared > 0).collect();
        let of_one_dim = never.chunk_by(|a, b| a.dim == b.dim).map(|same| {
            let values: Vec<_> = same.iter().map(|tally| tally.value.as_str()).collect();
            format!("{} {}", short(&same[0].dim), values.join(" or "))
        });
        let words: Vec<_> = of_one_dim.collect();
        (!words.is_empty()).then(|| format!("No split wins at {}.", words.join(", nor at ")))
    }
}

/// The title of a dimension without its unit.
fn short(title: &str) -> &str {
    title.split_once(',').map_or(title, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{asked, hand_made, not_fitting, not_tuned, set_batch, sweep_rows};
    use masim_core::judging::sweep::Side;
    use masim_core::timing::regime::Regime;
    use masim_core::timing::uncertainty::{RegimeTime, Spread};

    fn outcome(rows: &[Row]) -> Outcome {
        Duel::new(&Space::new(rows).points[0]).outcome
    }

    fn sentence(rows: &[Row]) -> String {
        Verdict::new(&Space::new(rows)).sentence()
    }

    #[test]
    fn a_split_wins_when_it_is_more_than_a_tie_faster() {
        let rows = [hand_made(0, "12:4", 900.0), hand_made(0, "tp_pp", 1000.0)];
        assert_eq!(outcome(&rows), Outcome::Split);
        assert_eq!(
            sentence(&rows),
            "The best split beats the best co-located baseline on as many GPUs at 1 of 1 compared point \
             (median 10.0 % less time per token, at most 10.0 % less)."
        );
    }

    #[test]
    fn one_percent_is_a_tie_in_both_directions() {
        for split in [990.0, 1000.0, 1010.0] {
            let rows = [hand_made(0, "12:4", split), hand_made(0, "dp_ep", 1000.0)];
            assert_eq!(outcome(&rows), Outcome::Tie, "{split}");
        }
        let rows = [hand_made(0, "12:4", 1011.0), hand_made(0, "dp_ep", 1000.0)];
        assert_eq!(outcome(&rows), Outcome::Baseline);
    }

    /// 5 % apart: under a common error sure, under errors of their own that reach 20 % not.
    #[test]
    fn what_errors_could_turn_is_in_doubt() {
        let spread = Spread { q05: -0.2, q25: -0.1, q50: 0.0, q75: 0.1, q95: 0.2 };
        let with = |regime, name, time_us| {
            let mut row = hand_made(0, name, time_us);
            row.outcome.as_mut().unwrap().regimes = vec![RegimeTime { regime, time_us, spread }];
            row
        };
        let rows = [with(Regime::LongGemm, "12:4", 950.0), with(Regime::LongGemm, "dp_ep", 1000.0)];
        assert!(!sentence(&rows).contains("told apart"), "{}", sentence(&rows));
        let rows = [with(Regime::ShortGemm, "12:4", 950.0), with(Regime::LongGemm, "dp_ep", 1000.0)];
        assert!(sentence(&rows).contains("At 1 of 1 compared point the two cannot be told apart"));
    }

    #[test]
    fn a_baseline_that_is_not_tuned_decides_nothing() {
        let rows = [
            hand_made(0, "12:4", 900.0),
            hand_made(0, "tp_pp", 1000.0),
            not_tuned(hand_made(0, "dp_ep", 500.0)),
        ];
        assert_eq!(outcome(&rows), Outcome::Split);
        let rows = [hand_made(0, "12:4", 900.0), not_tuned(hand_made(0, "tp_pp", 1500.0))];
        assert_eq!(outcome(&rows), Outcome::NoBaseline);
    }

    /// Names decide nothing, whatever they end in or whomever else they name.
    #[test]
    fn other_names_change_no_verdict() {
        let rows = sweep_rows();
        let renamed: Vec<_> = rows
            .iter()
            .map(|row| {
                let name = match row.name.as_str() {
                    "dp_ep" => "dp_ep_literal",
                    "tp_pp" => "ma_separation",
                    "tp_pp_literal" => "fair",
                    own => own,
                };
                Row { name: name.to_owned(), ..row.clone() }
            })
            .collect();
        let outcomes = |rows| {
            let verdict = Verdict::new(&Space::new(rows));
            let duels = verdict.duels.iter().map(|duel| (duel.outcome, duel.margin, duel.is_doubtful));
            (duels.collect::<Vec<_>>(), verdict.sentence())
        };
        assert_eq!(outcomes(&renamed), outcomes(&rows));
    }

    /// A baseline may split too: it is what the splits are compared with, however it is laid out.
    #[test]
    fn a_split_among_the_baselines_is_a_baseline() {
        let baseline = Row { side: Side::Baseline, ..hand_made(0, "8:8", 800.0) };
        let rows = [hand_made(0, "12:4", 900.0), baseline];
        assert_eq!(outcome(&rows), Outcome::Baseline);
    }

    #[test]
    fn a_baseline_on_more_gpus_is_no_opponent() {
        let mut bigger = hand_made(0, "dp_ep", 100.0);
        asked(&mut bigger).n_gpus = 32;
        let rows = [hand_made(0, "12:4", 900.0), hand_made(0, "tp_pp", 1000.0), bigger];
        assert_eq!(outcome(&rows), Outcome::Split);
    }

    #[test]
    fn the_verdict_can_be_that_no_split_beats_co_location() {
        let rows = [
            hand_made(0, "12:4", 1500.0),
            hand_made(0, "dp_ep", 1000.0),
            hand_made(1, "12:4", 1200.0),
            hand_made(1, "dp_ep", 1000.0),
        ];
        assert_eq!(
            sentence(&rows),
            "No split beats co-location: at all of the 2 compared points the best split is slower than the \
             best co-located baseline on as many GPUs (median 35.0 % more time per token)."
        );
    }

    #[test]
    fn points_at_which_nothing_fits_are_counted_apart() {
        let rows = [not_fitting(0, "12:4"), not_fitting(0, "dp_ep")];
        assert_eq!(outcome(&rows), Outcome::Neither);
        assert!(sentence(&rows).starts_with("No verdict"));
        let rows = [
            hand_made(0, "12:4", 900.0),
            hand_made(0, "dp_ep", 1000.0),
            not_fitting(1, "12:4"),
            hand_made(1, "dp_ep", 1000.0),
        ];
        assert!(sentence(&rows).ends_with("1 more point cannot be compared: no split runs at 1."));
    }

    #[test]
    fn dimensions_in_which_no_split_wins_are_named() {
        let mut rows = vec![
            hand_made(0, "12:4", 900.0),
            hand_made(0, "dp_ep", 1000.0),
            hand_made(1, "12:4", 1200.0),
            hand_made(1, "dp_ep", 1000.0),
        ];
        set_batch(&mut rows[2], 64);
        set_batch(&mut rows[3], 64);
        let space = Space::new(&rows);
        assert_eq!(Verdict::new(&space).never(&space).unwrap(), "No split wins at batch 64.");
    }
}
