//! How long an operation takes alone on a GPU, and where that number comes from.

mod calibrated;
mod roofline;

pub use calibrated::CalibratedCost;
pub use roofline::{RooflineCost, roofline_secs};

use masim_units::SimDuration;

use crate::inputs::topology::GpuCard;
use crate::scenario::Scenario;
use crate::timing::provenance::Basis;
use crate::work::ops::Op;

/// A duration and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How long.
    pub time: SimDuration,
    /// What that rests on.
    pub basis: Basis,
}

/// A duration beyond the 213 days that simulated time can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{op}` would take longer than the 213 days that simulated time can hold")]
pub struct TooLong {
    /// The operation.
    pub op: &'static str,
}

/// How long operations take.
pub trait CostModel: Send + Sync {
    /// The time of `op` alone on `card`, launch included.
    ///
    /// # Errors
    ///
    /// [`TooLong`] beyond 213 days.
    fn cost(&self, op: &Op, card: &GpuCard) -> Result<Cost, TooLong>;

    /// What a kernel costs before it does anything.
    fn launch(&self, card: &GpuCard) -> SimDuration;
}

/// The model of a scenario: its profiles, and the roofline where they say nothing.
pub fn cost_of(scenario: &Scenario) -> Box<dyn CostModel> {
    let roofline = RooflineCost { dtypes: scenario.model.dtype, launch: scenario.device_launch() };
    if scenario.profiles.cards.is_empty() {
        return Box::new(roofline);
    }
    Box::new(CalibratedCost::new(&scenario.profiles, roofline))
}
