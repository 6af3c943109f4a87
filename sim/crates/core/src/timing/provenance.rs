//! Provenance of times.

use super::regime::Regime;

/// Provenance of a time, from strong to weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// Measured in this very shape.
    Measured,
    /// From a model fitted to measurements that cover the shape.
    Fitted,
    /// From a fitted model outside the range or the machine it was fitted on.
    Extrapolated,
    /// From peak rates and assumed efficiencies.
    Roofline,
    /// From a figure that no source states.
    Assumed,
}

impl Provenance {
    /// All of them, strong to weak.
    pub const ALL: [Self; 5] =
        [Self::Measured, Self::Fitted, Self::Extrapolated, Self::Roofline, Self::Assumed];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "Measured",
            Self::Fitted => "Fitted",
            Self::Extrapolated => "Extrapolated",
            Self::Roofline => "Roofline",
            Self::Assumed => "Assumed",
        }
    }
}

/// Provenance of a time and the family and regime whose errors it shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Basis {
    /// Provenance of the time.
    pub provenance: Provenance,
    /// Regime whose errors it shares; none where nothing is known of them.
    pub regime: Option<Regime>,
}

impl Basis {
    /// A time of whose error nothing is known.
    pub const fn unjudged(provenance: Provenance) -> Self {
        Self { provenance, regime: None }
    }
}
