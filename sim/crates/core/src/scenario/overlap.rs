//! Overlap of communication with computation.

use std::fmt;

use masim_units::{Bandwidth, SimDuration};

/// Overlap of communication with the computation before and after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Overlap {
    /// It begins when all kernels before it have ended, and the kernels after it wait for all of it.
    None,
    /// Kernels and communication are cut, and each piece of communication follows its piece of computation.
    Chunks {
        /// Pieces.
        n: u32,
    },
    /// Nothing is cut; a fixed share of every communication is taken to be exposed and the rest to cost nothing, as
    /// the MA Separation paper (manuscript, 3.6) takes it.
    Literal {
        /// The share that takes time, more than 0 and at most 1.
        exposed: f64,
    },
}

/// Its name in results, such as `chunks(4)`.
impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Chunks { n } => write!(f, "chunks({n})"),
            Self::Literal { exposed } => write!(f, "literal({exposed})"),
        }
    }
}

/// Share of communication that is hidden, as the MA Separation paper (manuscript, 3.6) states it: 75 %.
pub const PAPER_OVERLAP: f64 = 0.75;

impl Overlap {
    /// Pieces into which work is cut.
    pub fn n_chunks(self) -> u32 {
        match self {
            Self::None | Self::Literal { .. } => 1,
            Self::Chunks { n } => n,
        }
    }

    /// The share of each communication that takes time.
    pub fn exposed(self) -> f64 {
        match self {
            Self::None | Self::Chunks { .. } => 1.0,
            Self::Literal { exposed } => exposed,
        }
    }

    /// Piece `idx` of `total` things, as equal as whole numbers allow.
    ///
    /// # Panics
    ///
    /// When `idx` is no piece.
    pub fn share(self, total: u64, idx: u32) -> u64 {
        assert!(idx < self.n_chunks(), "piece {idx} of {}", self.n_chunks());
        let until = |idx: u32| u128::from(total) * u128::from(idx) / u128::from(self.n_chunks());
        u64::try_from(until(idx + 1) - until(idx)).expect("at most the whole")
    }

    /// The exposed part of a communication that takes `time` by itself.
    pub fn exposed_of(self, time: SimDuration) -> SimDuration {
        match self {
            Self::None | Self::Chunks { .. } => time,
            Self::Literal { exposed } => scaled(time, exposed),
        }
    }

    /// The rate at which a link or a channel moves bytes so that only the exposed share takes time.
    pub fn rate(self, rate: Bandwidth) -> Bandwidth {
        match self {
            Self::None | Self::Chunks { .. } => rate,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bounded multiple")]
            Self::Literal { exposed } => {
                Bandwidth::new((rate.bytes_per_sec() as f64 / exposed).round() as u64).unwrap_or(rate)
            }
        }
    }
}

/// `share` of `time`, to the nearest picosecond.
fn scaled(time: SimDuration, share: f64) -> SimDuration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u64")]
    let ps = (time.as_ps() as f64 * share).round() as u64;
    SimDuration::from_ps(ps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_whole() {
        let overlap = Overlap::Chunks { n: 3 };
        let pieces: Vec<u64> = (0..3).map(|idx| overlap.share(10, idx)).collect();
        assert_eq!(pieces, [3, 3, 4]);
        assert_eq!(Overlap::None.share(u64::MAX, 0), u64::MAX);
    }

    #[test]
    fn the_paper_exposes_a_quarter() {
        let literal = Overlap::Literal { exposed: 1.0 - PAPER_OVERLAP };
        assert_eq!(literal.exposed_of(SimDuration::from_us(8)), SimDuration::from_us(2));
    }
}
