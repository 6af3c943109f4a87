//! Times from a datasheet and assumed efficiencies.

use masim_units::SimDuration;

use super::{Cost, CostModel, TooLong};
use crate::inputs::topology::GpuCard;
use crate::scenario::{Dtypes, Launch};
use crate::timing::provenance::{Basis, Provenance};
use crate::work::ops::Op;

/// The larger of arithmetic and memory time at the card's assumed efficiencies, plus the launch.
///
/// # Source
///
/// Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
#[derive(Clone, Copy, Debug)]
pub struct RooflineCost {
    /// Number formats of the model.
    pub dtypes: Dtypes,
    /// Launch of kernels.
    pub launch: Launch,
}

/// Seconds of `op` at the given shares of the card's peak rates, launch not included.
pub fn roofline_secs(op: &Op, card: &GpuCard, dtypes: &Dtypes, matrix: f64, memory: f64) -> f64 {
    let peak = card.peak[&Op::compute_dtype(dtypes)];
    let compute = op.flops().secs_at(peak) / matrix;
    let traffic = op.traffic(dtypes).0 as f64 / card.memory_bandwidth.bytes_per_sec() as f64 / memory;
    compute.max(traffic)
}

impl CostModel for RooflineCost {
    fn cost(&self, op: &Op, card: &GpuCard) -> Result<Cost, TooLong> {
        let secs = roofline_secs(op, card, &self.dtypes, card.roofline.matrix, card.roofline.memory);
        SimDuration::from_secs_ceil(secs)
            .and_then(|time| time.checked_add(self.launch(card)))
            .map(|time| Cost { time, basis: Basis::unjudged(Provenance::Roofline) })
            .ok_or(TooLong { op: op.kind.name() })
    }

    fn launch(&self, card: &GpuCard) -> SimDuration {
        match self.launch {
            Launch::Eager => card.roofline.launch_eager,
            Launch::Graph => card.roofline.launch_graph,
        }
    }
}
