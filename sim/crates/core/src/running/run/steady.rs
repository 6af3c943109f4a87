//! When a run has been watched for long enough.

use std::collections::VecDeque;

use masim_units::{SimDuration, SimTime};

use crate::scenario::StepCount;

/// The longest pattern of steps that is recognised as repeating.
const MAX_CYCLE: usize = 8;

/// After so many steps of constant work without a repetition, the mean is taken.
const MAX_CONSTANT_STEPS: u32 = 64;

/// At most so many steps are measured when the number is left open.
const MAX_STEPS: u32 = 256;

/// A spread over fewer steps is not worth the name.
const MIN_STEPS: u32 = 5;

/// The half-width of the confidence interval, as a share of the mean, at which a mean is known.
const HALF_WIDTH: f64 = 0.005;

/// The measured steps: time runs from the end of `first` to the end of `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The step at whose end the measurement begins.
    pub first: u32,
    /// The step at whose end it closes.
    pub last: u32,
}

impl Window {
    /// Steps that were measured.
    pub fn n_steps(self) -> u32 {
        self.last - self.first
    }
}

/// Outcome of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steady {
    /// Every micro-batch repeats to the picosecond, after so many steps.
    Repeats {
        /// Steps of the repeating pattern.
        n_steps: u32,
    },
    /// The mean is known to this share of itself (95 % confidence).
    Settled {
        /// Half of the interval's width over the mean.
        half_width: f64,
    },
    /// There is one step alone, and its makespan was taken.
    Once,
    /// The steps ran out before the mean was known.
    Unsettled {
        /// Half of the interval's width over the mean.
        half_width: f64,
    },
}

/// The measured steps of a run, and how they were settled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The steps that were measured.
    pub window: Window,
    /// Outcome of the measurement.
    pub steady: Steady,
    /// Time from the end of the first to the end of the last, added up over copies.
    time: SimDuration,
    n_copies: u32,
}

impl Verdict {
    /// Something to compare runs of different lengths by without rounding: picoseconds per 2^32 steps, mean over copies.
    pub fn pace(&self) -> u128 {
        let n = u128::from(self.window.n_steps()) * u128::from(self.n_copies);
        (u128::from(self.time.as_ps()) << 32) / n
    }
}

/// The ends of one copy's steps.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// Steps seen last: the times when each micro-batch had its token.
    recent: VecDeque<Vec<SimTime>>,
    /// All steps: the times when the last micro-batch had its token.
    last: Vec<SimTime>,
}

/// Watches the ends of micro-batches, step after step.
#[derive(Debug)]
pub(super) struct Detector {
    is_constant: bool,
    n_warm_up: u32,
    max_steps: u32,
    /// True if as many steps are measured, whatever they show.
    exactly: bool,
    n_seen: u32,
    copies: Vec<Ends>,
}

impl Detector {
    pub(super) fn new(
        (is_constant, n_copies): (bool, usize),
        n_micro_batches: u32,
        n_steps: StepCount,
    ) -> Self {
        let (max_steps, exactly) = match n_steps {
            StepCount::Auto => (MAX_STEPS, false),
            StepCount::AtMost(n) => (n, false),
            StepCount::Exactly(n) => (n, true),
        };
        let copies = vec![Ends::default(); n_copies];
        Self { is_constant, exactly, n_warm_up: 2 * n_micro_batches, max_steps, n_seen: 0, copies }
    }

    /// Steps seen so far.
    pub(super) fn n_seen(&self) -> u32 {
        self.n_seen
    }

    /// The step at whose end the window begins, if it is known before the window closes.
    pub(super) fn first_known(&self) -> Option<u32> {
        (self.exactly || !self.is_constant).then_some(self.n_warm_up)
    }

    /// A step that the window closes with at the earliest, if its beginning is known.
    pub(super) fn last_known(&self) -> Option<u32> {
        self.end_known().or_else(|| (!self.is_constant).then_some(self.n_seen))
    }

    /// The step at whose end the window closes, if it is known before.
    pub(super) fn end_known(&self) -> Option<u32> {
        self.exactly.then(|| self.n_warm_up + self.max_steps)
    }

    /// Takes the next step of each copy; the verdict once the run has been watched for long enough.
    pub(super) fn see(&mut self, ends: Vec<Vec<SimTime>>) -> Option<Verdict> {
        for (copy, ends) in self.copies.iter_mut().zip(ends) {
            copy.last.push(*ends.iter().max().expect("a step has a micro-batch"));
            if copy.recent.len() > 2 * MAX_CYCLE {
                copy.recent.pop_front();
            }
            copy.recent.push_back(ends);
        }
        let last = self.n_seen;
        self.n_seen += 1;
        if self.exactly {
            return (last == self.n_warm_up + self.max_steps).then(|| self.all_of_them(last));
        }
        if self.is_constant {
            if let Some(cycle) = (1..=MAX_CYCLE).find(|&cycle| self.repeats(cycle)) {
                let n_steps = u32::try_from(cycle).expect("at most MAX_CYCLE");
                return Some(
                    self.verdict(Window { first: last - n_steps, last }, Steady::Repeats { n_steps }),
                );
            }
            if last < MAX_CONSTANT_STEPS {
                return None;
            }
        }
        let n = last.saturating_sub(self.n_warm_up);
        if n < MIN_STEPS.min(self.max_steps) {
            return None;
        }
        let window = Window { first: self.n_warm_up, last };
        let half_width = self.half_width(window);
        let steady = match half_width {
            _ if half_width < HALF_WIDTH && n >= MIN_STEPS => Steady::Settled { half_width },
            _ if n >= self.max_steps || self.is_constant => Steady::Unsettled { half_width },
            _ => return None,
        };
        Some(self.verdict(window, steady))
    }

    /// The verdict over as many steps as were asked for.
    fn all_of_them(&self, last: u32) -> Verdict {
        let window = Window { first: self.n_warm_up, last };
        let half_width = self.half_width(window);
        let is_known = half_width < HALF_WIDTH;
        let steady = if is_known { Steady::Settled { half_width } } else { Steady::Unsettled { half_width } };
        self.verdict(window, steady)
    }

    fn verdict(&self, window: Window, steady: Steady) -> Verdict {
        let times = self
            .copies
            .iter()
            .map(|copy| copy.last[window.last as usize].since(copy.last[window.first as usize]));
        let n_copies = u32::try_from(self.copies.len()).expect("few copies");
        Verdict { window, steady, time: times.sum(), n_copies }
    }

    /// True if the last `cycle` steps of each copy took, for all its micro-batches alike, what the `cycle` before took.
    fn repeats(&self, cycle: usize) -> bool {
        self.copies.iter().all(|copy| {
            let ends = &copy.recent;
            let Some(before) = ends.len().checked_sub(2 * cycle + 1) else { return false };
            let (early, middle, late) = (&ends[before], &ends[before + cycle], &ends[before + 2 * cycle]);
            let period = late[0].since(middle[0]);
            let both = early.iter().zip(middle).zip(late);
            both.into_iter().all(|((early, middle), late)| {
                late.since(*middle) == period && middle.since(*early) == period
            })
        })
    }

    /// Half of the 95 % confidence interval of the mean step in `window`, over the mean; steps are means over copies.
    fn half_width(&self, window: Window) -> f64 {
        let of_copy = |copy: &Ends| periods(&copy.last[window.first as usize..=window.last as usize]);
        let all: Vec<Vec<f64>> = self.copies.iter().map(of_copy).collect();
        let n_copies = all.len() as f64;
        let mean_of = |at: usize| all.iter().map(|periods| periods[at]).sum::<f64>() / n_copies;
        let periods: Vec<f64> = (0..window.n_steps() as usize).map(mean_of).collect();
        if periods.len() < 2 {
            return f64::INFINITY;
        }
        let n = periods.len() as f64;
        let mean = periods.iter().sum::<f64>() / n;
        let variance =
            periods.iter().map(|period| (period - mean) * (period - mean)).sum::<f64>() / (n - 1.0);
        quantile_975(n - 1.0) * (variance / n).sqrt() / mean
    }
}

/// Microseconds between the last tokens of successive steps.
pub(crate) fn periods(ends: &[SimTime]) -> Vec<f64> {
    ends.windows(2).map(|pair| pair[1].since(pair[0]).as_us()).collect()
}

/// Student's t at 97.5 % for `n` degrees of freedom, first terms of its expansion about the normal.
///
/// # Source
///
/// Abramowitz and Stegun, 26.7.5.
fn quantile_975(n: f64) -> f64 {
    const Z: f64 = 1.959_964;
    let (z3, z5, z7) = (Z * Z * Z, Z * Z * Z * Z * Z, Z * Z * Z * Z * Z * Z * Z);
    let first = (z3 + Z) / (4.0 * n);
    let second = (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / (96.0 * n * n);
    let third = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * Z) / (384.0 * n * n * n);
    Z + first + second + third
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(at: &[u64]) -> Vec<SimTime> {
        at.iter().map(|&ps| SimTime::from_ps(ps)).collect()
    }

    #[test]
    fn a_pattern_of_two_steps_is_found() {
        let mut detector = Detector::new((true, 1), 1, StepCount::Auto);
        let at = [0, 10, 13, 23, 26];
        let verdicts: Vec<_> = at.iter().map(|&ps| detector.see(vec![ends(&[ps])])).collect();
        assert!(verdicts[..4].iter().all(Option::is_none));
        let found = verdicts[4].unwrap();
        assert_eq!(found.window, Window { first: 2, last: 4 });
        assert_eq!(found.steady, Steady::Repeats { n_steps: 2 });
        assert_eq!(found.pace(), 13 << 31);
    }

    /// One copy takes 10 and 3 ps by turns, the other 4 ps: together they repeat after two steps, 13 and 8 ps.
    #[test]
    fn copies_repeat_each_on_its_own_clock() {
        let mut detector = Detector::new((true, 2), 1, StepCount::Auto);
        let at = [(0, 5), (10, 9), (13, 13), (23, 17), (26, 21)];
        let verdicts: Vec<_> = at.iter().map(|&(a, b)| detector.see(vec![ends(&[a]), ends(&[b])])).collect();
        assert!(verdicts[..4].iter().all(Option::is_none));
        let found = verdicts[4].unwrap();
        assert_eq!((found.window, found.pace()), (Window { first: 2, last: 4 }, (21 << 32) / 4));
    }

    #[test]
    fn micro_batches_that_drift_apart_do_not_repeat() {
        let mut detector = Detector::new((true, 1), 2, StepCount::Auto);
        for step in 0..8 {
            assert_eq!(detector.see(vec![ends(&[10 * step, 11 * step])]), None);
        }
    }

    #[test]
    fn random_steps_end_when_their_mean_is_known() {
        let mut detector = Detector::new((false, 1), 1, StepCount::Auto);
        let mut at = 0;
        let verdict = (0_u64..).find_map(|step| {
            at += 1_000_000 + 10_000 * (step * 7 % 5);
            detector.see(vec![ends(&[at])])
        });
        let Verdict { window, steady, .. } = verdict.unwrap();
        assert_eq!(window.first, 2);
        assert!(matches!(steady, Steady::Settled { half_width } if half_width < 0.005), "{steady:?}");
    }

    #[test]
    fn exactly_as_many_steps_are_measured_as_are_asked_for() {
        for is_constant in [true, false] {
            let mut detector = Detector::new((is_constant, 1), 2, StepCount::Exactly(40));
            assert_eq!((detector.first_known(), detector.last_known()), (Some(4), Some(44)));
            let verdicts: Vec<_> = (0..=44).map(|step| detector.see(vec![ends(&[10 * step])])).collect();
            assert!(verdicts[..44].iter().all(Option::is_none));
            let found = verdicts[44].unwrap();
            assert_eq!(found.window, Window { first: 4, last: 44 });
            // Equal steps: the sum of their squares rounds.
            assert!(
                matches!(found.steady, Steady::Settled { half_width } if half_width < 1e-12),
                "{found:?}"
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((quantile_975(4.0) - 2.776).abs() < 0.01);
        assert!((quantile_975(9.0) - 2.262).abs() < 0.003);
        assert!((quantile_975(30.0) - 2.042).abs() < 0.001);
    }
}
