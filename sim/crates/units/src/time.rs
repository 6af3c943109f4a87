//! Instants and durations of simulated time.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// Picoseconds in a second.
pub const PS_PER_SEC: u64 = 1_000_000_000_000;

/// Picoseconds in a microsecond.
pub const PS_PER_US: u64 = 1_000_000;

/// An instant of simulated time, in whole picoseconds since the start (213 days fit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(u64);

/// A length of simulated time, in whole picoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimDuration(u64);

impl SimTime {
    /// The start of every simulation.
    pub const ZERO: Self = Self(0);
    /// The last instant that can be represented.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `ps` picoseconds after the start.
    pub const fn from_ps(ps: u64) -> Self {
        Self(ps)
    }

    /// Picoseconds since the start.
    pub const fn as_ps(self) -> u64 {
        self.0
    }

    /// Microseconds since the start, for display and for files.
    pub fn as_us(self) -> f64 {
        self.0 as f64 / PS_PER_US as f64
    }

    /// Seconds since the start, for display and for files.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / PS_PER_SEC as f64
    }

    /// The instant `by` later, or `None` beyond the representable range.
    #[inline]
    pub fn checked_add(self, by: SimDuration) -> Option<Self> {
        self.0.checked_add(by.0).map(Self)
    }

    /// The time from `earlier` to `self`.
    ///
    /// # Panics
    ///
    /// When `earlier` is later than `self`: time runs forward.
    #[inline]
    pub fn since(self, earlier: Self) -> SimDuration {
        assert!(earlier <= self, "an interval that ends before it starts: {earlier:?} > {self:?}");
        SimDuration(self.0 - earlier.0)
    }
}

impl SimDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A duration of `ps` picoseconds.
    pub const fn from_ps(ps: u64) -> Self {
        Self(ps)
    }

    /// A duration of whole nanoseconds, or `None` beyond the representable range.
    pub fn from_ns(ns: u64) -> Option<Self> {
        ns.checked_mul(1000).map(Self)
    }

    /// A duration of whole microseconds.
    ///
    /// # Panics
    ///
    /// Beyond the representable range (213 days).
    pub const fn from_us(us: u64) -> Self {
        Self(us * PS_PER_US)
    }

    /// A duration in seconds, rounded up to the next picosecond so that no work is free.
    ///
    /// `None` when `secs` is negative, not a number, or beyond the representable range.
    #[inline]
    pub fn from_secs_ceil(secs: f64) -> Option<Self> {
        let ps = (secs * PS_PER_SEC as f64).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        (0.0..18_446_744_073_709_549_568.0).contains(&ps).then_some(Self(ps as u64))
    }

    /// Picoseconds.
    pub const fn as_ps(self) -> u64 {
        self.0
    }

    /// Microseconds, for display and for files.
    pub fn as_us(self) -> f64 {
        self.0 as f64 / PS_PER_US as f64
    }

    /// Seconds.
    pub fn as_secs(self) -> f64 {
        self.0 as f64 / PS_PER_SEC as f64
    }

    /// The sum, or `None` beyond the representable range.
    #[inline]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// `n` times this duration, or `None` beyond the representable range.
    pub fn checked_mul(self, n: u64) -> Option<Self> {
        self.0.checked_mul(n).map(Self)
    }

    /// The sum, or the longest duration beyond the representable range: for estimates, which need an order only.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `n` times this duration, or the longest one, as [`Self::saturating_add`].
    #[must_use]
    pub fn saturating_mul(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// The part of `self` beyond `other`; zero when there is none.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for SimDuration {
    type Output = Self;

    /// # Panics
    ///
    /// Beyond 213 days; where a user's numbers can reach that, use `checked_add`.
    fn add(self, other: Self) -> Self {
        self.checked_add(other).expect("a sum of durations fits into 213 days")
    }
}

impl AddAssign for SimDuration {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for SimDuration {
    type Output = Self;

    /// # Panics
    ///
    /// When `other` is longer: durations are never negative.
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("durations are never negative"))
    }
}

impl Sum for SimDuration {
    fn sum<I: Iterator<Item = Self>>(durations: I) -> Self {
        durations.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for SimDuration {
    /// Microseconds with three decimals, or milliseconds and seconds where those read better.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000_000_000 => write!(f, "{:.3} us", self.as_us()),
            1_000_000_000..PS_PER_SEC => write!(f, "{:.3} ms", self.as_us() / 1e3),
            _ => write!(f, "{:.3} s", self.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_up_and_reject_what_is_no_duration() {
        assert_eq!(SimDuration::from_secs_ceil(1.5e-12), Some(SimDuration::from_ps(2)));
        assert_eq!(SimDuration::from_secs_ceil(0.0), Some(SimDuration::ZERO));
        assert_eq!(SimDuration::from_secs_ceil(-1.0), None);
        assert_eq!(SimDuration::from_secs_ceil(f64::NAN), None);
        assert_eq!(SimDuration::from_secs_ceil(1e9), None);
    }

    #[test]
    fn durations_print_in_the_unit_that_reads_best() {
        assert_eq!(SimDuration::from_ps(8_769_720).to_string(), "8.770 us");
        assert_eq!(SimDuration::from_us(2500).to_string(), "2.500 ms");
        assert_eq!(SimDuration::from_us(2_500_000).to_string(), "2.500 s");
    }
}
