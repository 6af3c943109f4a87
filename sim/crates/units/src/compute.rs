//! Arithmetic work, the rate at which it is done, and power.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// A number of floating-point operations; one multiply-add counts as two.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Flops(pub f64);

/// A rate of arithmetic in operations per second; dense, without sparsity. Positive and finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct FlopsPerSec(f64);

/// Power in watts; finite and not negative.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Watts(f64);

impl Flops {
    /// No work.
    pub const ZERO: Self = Self(0.0);

    /// Seconds of this work at `rate`.
    pub fn secs_at(self, rate: FlopsPerSec) -> f64 {
        self.0 / rate.0
    }
}

impl Add for Flops {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Flops {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sum for Flops {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl FlopsPerSec {
    /// A rate of `n` operations per second, or `None` unless positive and finite.
    pub fn new(n: f64) -> Option<Self> {
        (n.is_finite() && n > 0.0).then_some(Self(n))
    }

    /// Operations per second.
    pub const fn per_sec(self) -> f64 {
        self.0
    }
}

impl fmt::Display for FlopsPerSec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} TFLOP/s", self.0 / 1e12)
    }
}

impl Watts {
    /// A power of `n` watts, or `None` when negative or not finite.
    pub fn new(n: f64) -> Option<Self> {
        (n.is_finite() && n >= 0.0).then_some(Self(n))
    }

    /// Watts.
    pub const fn watts(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Watts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} W", self.0)
    }
}
