//! Intervals of simulated times, from the errors that models made on rows they had not seen.
//!
//! All work of a regime errs together: one draw holds for every task, layer and split, so that errors do not
//! average out, and two splits are compared under the same errors.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::regime::Regime;

/// Draws of which intervals are quantiles; their own error is then below a tenth of the interval.
pub const N_DRAWS: u64 = 1_000;

/// Quantiles of measured / predicted - 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// 5 % are below.
    pub q05: f64,
    /// A quarter is below.
    pub q25: f64,
    /// Half is below.
    pub q50: f64,
    /// A quarter is above.
    pub q75: f64,
    /// 5 % are above.
    pub q95: f64,
}

impl Spread {
    /// The value below which a `share` lies, on the line through the quantiles; tails go on as far as the outer quarters
    /// of their neighbours.
    pub fn at(&self, share: f64) -> f64 {
        let tail = |outer: f64, inner: f64| outer + (outer - inner) / 4.0;
        let marks = [
            (0.0, tail(self.q05, self.q25)),
            (0.05, self.q05),
            (0.25, self.q25),
            (0.5, self.q50),
            (0.75, self.q75),
            (0.95, self.q95),
            (1.0, tail(self.q95, self.q75)),
        ];
        let behind = marks.iter().position(|(mark, _)| share <= *mark).unwrap_or(marks.len() - 1).max(1);
        let ((low, from), (high, to)) = (marks[behind - 1], marks[behind]);
        from + (to - from) * (share.clamp(0.0, 1.0) - low) / (high - low)
    }

    /// The widest of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            q05: self.q05.min(other.q05),
            q25: self.q25.min(other.q25),
            q50: f64::midpoint(self.q50, other.q50),
            q75: self.q75.max(other.q75),
            q95: self.q95.max(other.q95),
        }
    }
}

/// Time on the critical path of a steady step that shares its error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegimeTime {
    /// The regime.
    #[serde(flatten)]
    pub regime: Regime,
    /// Microseconds of a steady step.
    pub time_us: f64,
    /// Quantiles of the errors of the regime.
    pub spread: Spread,
}

/// The factor by which draw `draw` stretches the times of a regime.
pub fn factor(seed: u64, draw: u64, regime: Regime, spread: &Spread) -> f64 {
    // Odd multipliers lead every triple to a seed of its own.
    let stream = seed.wrapping_mul(0x100_0000_01b3) ^ regime.number().wrapping_mul(0xd6e8_feb8_6659_fd93);
    let share = Pcg64::seed_from_u64(stream.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15))).random();
    (1.0 + spread.at(share)).max(0.0)
}

/// `time_us` under draw `draw` of all errors.
pub fn drawn(seed: u64, draw: u64, time_us: f64, regimes: &[RegimeTime]) -> f64 {
    let changes = regimes.iter().map(|it| {
        let factor = factor(seed, draw, it.regime, &it.spread);
        it.time_us * (factor - 1.0)
    });
    time_us + changes.sum::<f64>()
}

/// 5th and 95th percentile of `time_us` over all draws; none where the errors of nothing in it are known.
pub fn interval(seed: u64, time_us: f64, regimes: &[RegimeTime]) -> Option<(f64, f64)> {
    if regimes.is_empty() {
        return None;
    }
    let mut times: Vec<_> = (0..N_DRAWS).map(|draw| drawn(seed, draw, time_us, regimes)).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Some((at(5), at(95)))
}

/// A time and the errors that are in it.
pub type Uncertain<'a> = (f64, &'a [RegimeTime]);

/// The share of draws in which `a` is shorter than `b`, both under the same errors; none where nothing is known of either.
pub fn chance_shorter(seed: u64, a: Uncertain<'_>, b: Uncertain<'_>) -> Option<f64> {
    if a.1.is_empty() && b.1.is_empty() {
        return None;
    }
    let is_shorter = |draw: &u64| drawn(seed, *draw, a.0, a.1) < drawn(seed, *draw, b.0, b.1);
    Some((0..N_DRAWS).filter(is_shorter).count() as f64 / N_DRAWS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_PERCENT: Spread = Spread { q05: -0.1, q25: -0.05, q50: 0.0, q75: 0.05, q95: 0.1 };

    fn of(regime: Regime, time_us: f64) -> RegimeTime {
        RegimeTime { regime, time_us, spread: TEN_PERCENT }
    }

    /// Between 0.25 and 0.5 half way: -0.025; at both ends a quarter of 0.05 beyond the outer mark.
    #[test]
    fn quantiles_are_joined_by_lines() {
        for (share, expected) in
            [(0.05, -0.1), (0.375, -0.025), (0.5, 0.0), (0.95, 0.1), (1.0, 0.1125), (0.0, -0.1125)]
        {
            assert!((TEN_PERCENT.at(share) - expected).abs() < 1e-12, "{share}");
        }
    }

    /// One regime: 10 % of 100 us. Two halves that err apart: less, but more than nothing.
    #[test]
    fn errors_of_one_regime_do_not_average_out() {
        let width = |regimes: &[RegimeTime]| {
            let (low, high) = interval(1, 100.0, regimes).unwrap();
            high - low
        };
        let together = width(&[of(Regime::LongGemm, 50.0), of(Regime::LongGemm, 50.0)]);
        let apart = width(&[of(Regime::LongGemm, 50.0), of(Regime::ShortGemm, 50.0)]);
        assert!((together - 20.0).abs() < 1.5, "{together}");
        assert!(11.0 < apart && apart < 17.0, "{apart}");
        assert_eq!(interval(1, 100.0, &[]), None);
    }

    /// 2 % apart under shared errors of 10 %: certain. Under errors of their own: anybody's guess.
    #[test]
    fn splits_are_compared_under_the_same_errors() {
        let chance = |a: Regime, b: Regime| {
            let (a, b) = ([of(a, 100.0)], [of(b, 102.0)]);
            chance_shorter(1, (100.0, &a), (102.0, &b)).unwrap()
        };
        assert!(chance(Regime::LongGemm, Regime::LongGemm) > 0.999);
        let apart = chance(Regime::LongGemm, Regime::ShortGemm);
        assert!(0.5 < apart && apart < 0.75, "{apart}");
    }
}
