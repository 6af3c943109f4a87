//! Energy of the GPUs, from what their kernels do.

use super::account::GpuMetrics;
use crate::inputs::topology::{Dtype, GpuCard};
use crate::running::price::Part;
use crate::running::run::StepRecord;
use crate::scenario::Scenario;
use crate::work::ops::Op;

/// Joules that kernels add, one measured step after the other.
#[derive(Clone, Debug)]
pub(super) struct Kernels<'a> {
    scenario: &'a Scenario,
    dtype: Dtype,
    joules: f64,
}

impl<'a> Kernels<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, dtype: Op::compute_dtype(&scenario.model.dtype), joules: 0.0 }
    }

    /// Takes in a measured step.
    pub(super) fn take(&mut self, record: &StepRecord) {
        for info in record.infos.iter().filter(|info| !info.parts.is_empty()) {
            let gpu = info.gpu.expect("kernels run on a GPU");
            let card = &self.scenario.cluster.gpu(gpu).card;
            let (peak, bandwidth) =
                (card.peak[&self.dtype].per_sec(), card.memory_bandwidth.bytes_per_sec() as f64);
            for part in record.parts_of(info) {
                self.joules += headroom_w(card) * active_secs(part, card, peak, bandwidth);
            }
        }
    }

    /// All of it.
    pub(super) fn joules(&self) -> f64 {
        self.joules
    }
}

/// Joules that `gpu` draws beside those of its kernels in a stretch of `secs`.
///
/// The integral of idle power, of the open context, and of what waiting in communication adds.
pub(super) fn beside_kernels_j(scenario: &Scenario, gpu: &GpuMetrics, secs: f64) -> f64 {
    let card = &scenario.cluster.gpu(gpu.gpu).card;
    let waiting = card.power_model.link * headroom_w(card) * gpu.window.resident_wait.as_secs();
    base_w(card) * secs + waiting
}

/// Seconds at full headroom that `part` amounts to.
fn active_secs(part: &Part, card: &GpuCard, peak: f64, bandwidth: f64) -> f64 {
    let model = &card.power_model;
    let matrix = model.matrix * part.flops as f64 / peak;
    let memory = model.memory * part.bytes.0 as f64 / bandwidth;
    (matrix + memory).min(part.time.as_secs())
}

/// Power of a GPU with an open context and no work.
pub(crate) fn base_w(card: &GpuCard) -> f64 {
    card.power_idle.watts() + card.power_model.context.watts()
}

fn headroom_w(card: &GpuCard) -> f64 {
    card.power_tdp.watts() - base_w(card)
}
