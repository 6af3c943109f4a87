//! Regimes: work of a family whose times err alike.

use crate::accuracy::{band, band_of_bytes, bands};
use crate::measurement::{Family, Work};
use crate::provenance::Regime;

/// The names of the regimes of `family`.
pub const fn regimes(family: Family) -> &'static [&'static str] {
    bands(family)
}

/// The regime of `work`.
pub fn regime(work: &Work) -> Regime {
    Regime { family: work.family(), name: band(work) }
}

/// The regime of communication of `bytes`.
pub fn regime_of_bytes(family: Family, bytes: u64) -> Regime {
    Regime { family, name: band_of_bytes(bytes) }
}
