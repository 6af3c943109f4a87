//! When a run has been watched for long enough.

use masim_units::SimTime;

use crate::scenario::Choice;

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

/// How a measurement was settled.
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

/// Watches the ends of micro-batches, step after step.
#[derive(Debug)]
pub(super) struct Detector {
    is_constant: bool,
    n_warm_up: u32,
    max_steps: u32,
    /// `[step][micro-batch]`: when its token was known.
    ends: Vec<Vec<SimTime>>,
}

impl Detector {
    pub(super) fn new(is_constant: bool, n_micro_batches: u32, n_steps: Choice) -> Self {
        let max_steps = match n_steps {
            Choice::Auto => MAX_STEPS,
            Choice::Fixed(n) => n,
        };
        Self { is_constant, n_warm_up: 2 * n_micro_batches, max_steps, ends: Vec::new() }
    }

    /// Steps seen so far.
    pub(super) fn n_seen(&self) -> usize {
        self.ends.len()
    }

    /// Takes the next step; the window and its verdict once the run has been watched for long enough.
    pub(super) fn see(&mut self, ends: Vec<SimTime>) -> Option<(Window, Steady)> {
        self.ends.push(ends);
        let last = u32::try_from(self.ends.len() - 1).expect("bounded by `max_steps`");
        if self.is_constant {
            if let Some(cycle) = (1..=MAX_CYCLE).find(|&cycle| self.repeats(cycle)) {
                let n_steps = u32::try_from(cycle).expect("at most MAX_CYCLE");
                return Some((Window { first: last - n_steps, last }, Steady::Repeats { n_steps }));
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
        match half_width {
            _ if half_width < HALF_WIDTH && n >= MIN_STEPS => Some((window, Steady::Settled { half_width })),
            _ if n >= self.max_steps || self.is_constant => Some((window, Steady::Unsettled { half_width })),
            _ => None,
        }
    }

    /// Whether the last `cycle` steps took, for every micro-batch alike, what the `cycle` before took.
    fn repeats(&self, cycle: usize) -> bool {
        let Some(before) = self.ends.len().checked_sub(2 * cycle + 1) else { return false };
        let (early, middle, late) =
            (&self.ends[before], &self.ends[before + cycle], &self.ends[before + 2 * cycle]);
        let period = late[0].since(middle[0]);
        let both = early.iter().zip(middle).zip(late);
        both.into_iter()
            .all(|((early, middle), late)| late.since(*middle) == period && middle.since(*early) == period)
    }

    /// Half of the 95 % confidence interval of the mean step in `window`, over the mean.
    fn half_width(&self, window: Window) -> f64 {
        let periods =
            periods(self.ends[window.first as usize..=window.last as usize].iter().map(Vec::as_slice));
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
pub(crate) fn periods<'a>(ends: impl Iterator<Item = &'a [SimTime]>) -> Vec<f64> {
    let last: Vec<SimTime> = ends.map(|step| *step.iter().max().expect("a step has a micro-batch")).collect();
    last.windows(2).map(|pair| pair[1].since(pair[0]).as_us()).collect()
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
        let mut detector = Detector::new(true, 1, Choice::Auto);
        let at = [0, 10, 13, 23, 26];
        let verdicts: Vec<_> = at.iter().map(|&ps| detector.see(ends(&[ps]))).collect();
        assert!(verdicts[..4].iter().all(Option::is_none));
        assert_eq!(verdicts[4], Some((Window { first: 2, last: 4 }, Steady::Repeats { n_steps: 2 })));
    }

    #[test]
    fn micro_batches_that_drift_apart_do_not_repeat() {
        let mut detector = Detector::new(true, 2, Choice::Auto);
        for step in 0..8 {
            assert_eq!(detector.see(ends(&[10 * step, 11 * step])), None);
        }
    }

    #[test]
    fn random_steps_end_when_their_mean_is_known() {
        let mut detector = Detector::new(false, 1, Choice::Auto);
        let mut at = 0;
        let verdict = (0_u64..).find_map(|step| {
            at += 1_000_000 + 10_000 * (step * 7 % 5);
            detector.see(ends(&[at]))
        });
        let (window, steady) = verdict.unwrap();
        assert_eq!(window.first, 2);
        assert!(matches!(steady, Steady::Settled { half_width } if half_width < 0.005), "{steady:?}");
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((quantile_975(4.0) - 2.776).abs() < 0.01);
        assert!((quantile_975(9.0) - 2.262).abs() < 0.003);
        assert!((quantile_975(30.0) - 2.042).abs() < 0.001);
    }
}
