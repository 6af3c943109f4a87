//! Amounts of data and the rates at which it moves.

use std::fmt;
use std::iter::Sum;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign};

use crate::time::{PS_PER_SEC, SimDuration};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A nominal rate in whole bytes per second; never zero, so that dividing by it cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(NonZeroU64);

impl Bytes {
    /// No data.
    pub const ZERO: Self = Self(0);

    /// Time on the wire at `rate`, rounded up to the next picosecond.
    ///
    /// `None` beyond 213 simulated days; the caller names the transfer.
    #[inline]
    pub fn time_at(self, rate: Bandwidth) -> Option<SimDuration> {
        let ps = (u128::from(self.0) * u128::from(PS_PER_SEC)).div_ceil(u128::from(rate.bytes_per_sec()));
        u64::try_from(ps).ok().map(SimDuration::from_ps)
    }

    /// Gibibytes (2^30 bytes), for display and for files.
    pub fn as_gib(self) -> f64 {
        self.0 as f64 / f64::from(1 << 30)
    }

    /// The sum, or `None` beyond the representable range.
    #[inline]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// `n` times as many bytes, or `None` beyond the representable range.
    pub fn checked_mul(self, n: u64) -> Option<Self> {
        self.0.checked_mul(n).map(Self)
    }
}

impl Add for Bytes {
    type Output = Self;

    /// # Panics
    ///
    /// Beyond 16 EiB; where a user's numbers can reach that, use `checked_add`.
    fn add(self, other: Self) -> Self {
        self.checked_add(other).expect("a sum of bytes fits into 64 bits")
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Bytes {
    /// The largest binary unit in which the amount is at least one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] =
            [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match UNITS.iter().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) => write!(f, "{:.2} {unit}", self.0 as f64 / *size as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl Bandwidth {
    /// A rate of `n` bytes per second, or `None` for zero.
    pub fn new(n: u64) -> Option<Self> {
        NonZeroU64::new(n).map(Self)
    }

    /// A rate of `n` GB/s (10^9 bytes per second).
    ///
    /// # Panics
    ///
    /// When `n` is zero or beyond 18 EB/s.
    pub fn from_gb_per_sec(n: u64) -> Self {
        n.checked_mul(1_000_000_000).and_then(Self::new).expect("a rate between 1 GB/s and 18 EB/s")
    }

    /// Bytes per second.
    pub const fn bytes_per_sec(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} GB/s", self.bytes_per_sec() as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 7168 x 2 B / 450e9 B/s = 31.857 777... ns
    #[test]
    fn one_row_on_nvlink_takes_31_858_ps() {
        let row = Bytes(7168 * 2);
        assert_eq!(row.time_at(Bandwidth::from_gb_per_sec(450)), Some(SimDuration::from_ps(31_858)));
    }

    #[test]
    fn a_transfer_beyond_213_days_is_no_time() {
        assert_eq!(Bytes(u64::MAX).time_at(Bandwidth::new(1).unwrap()), None);
    }
}
