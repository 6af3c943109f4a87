//! How fast a stream or a link works, as a share of its nominal speed.

/// A share of the nominal speed, in whole parts per million; zero stops the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speed(u32);

/// Parts in a whole.
pub(crate) const PARTS: u32 = 1_000_000;

impl Speed {
    /// Nothing moves.
    pub const ZERO: Self = Self(0);
    /// The nominal speed.
    pub const FULL: Self = Self(PARTS);

    /// `ppm` millionths of the nominal speed; more than a million is faster than nominal.
    pub const fn from_ppm(ppm: u32) -> Self {
        Self(ppm)
    }

    /// What is left when `taken_ppm` millionths of it are taken, rounded down.
    pub(crate) fn without(self, taken_ppm: u64) -> Self {
        let left = u64::from(PARTS).saturating_sub(taken_ppm);
        let ppm = u64::from(self.0) * left / u64::from(PARTS);
        Self(u32::try_from(ppm).expect("no more than before"))
    }

    /// Millionths of the nominal speed.
    pub const fn as_ppm(self) -> u32 {
        self.0
    }
}
