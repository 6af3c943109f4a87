//! Regimes: work of a family whose times err alike.

use crate::accuracy::{band, bands};
use crate::measurement::{Family, Work};

/// The regimes of `family`.
pub const fn regimes(family: Family) -> &'static [&'static str] {
    bands(family)
}

/// The regime of `work` among those of its family.
pub fn regime(work: &Work) -> &'static str {
    band(work)
}
