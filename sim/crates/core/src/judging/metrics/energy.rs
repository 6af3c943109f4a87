//! What the GPUs draw, from what their kernels do.

use super::account::GpuMetrics;
use crate::inputs::topology::GpuCard;
use crate::running::price::Part;
use crate::running::run::Run;
use crate::scenario::Scenario;
use crate::work::ops::Op;

/// Joules of all GPUs over the measured stretch of `run`.
///
/// The integral of idle power, of the open context, and of what each kernel adds; never above the limit.
pub(super) fn energy_j(scenario: &Scenario, run: &Run, gpus: &[GpuMetrics]) -> f64 {
    let (from, to) = run.measured();
    let secs = to.since(from).as_secs();
    let dtype = Op::compute_dtype(&scenario.model.dtype);
    let mut joules = 0.0;
    for gpu in gpus {
        let card = &scenario.cluster.gpu(gpu.gpu).card;
        joules += base_w(card) * secs;
        joules += card.power_model.link * headroom_w(card) * gpu.window.resident_wait.as_secs();
    }
    for step in run.measured_steps() {
        let record = &run.steps[step as usize];
        for info in record.infos.iter().filter(|info| !info.parts.is_empty()) {
            let gpu = info.gpu.expect("kernels run on a GPU");
            let card = &scenario.cluster.gpu(gpu).card;
            let (peak, bandwidth) =
                (card.peak[&dtype].per_sec(), card.memory_bandwidth.bytes_per_sec() as f64);
            for part in &record.parts[info.parts.start as usize..info.parts.end as usize] {
                joules += headroom_w(card) * active_secs(part, card, peak, bandwidth);
            }
        }
    }
    joules
}

/// Seconds at full headroom that `part` amounts to.
fn active_secs(part: &Part, card: &GpuCard, peak: f64, bandwidth: f64) -> f64 {
    let model = &card.power_model;
    let matrix = model.matrix * part.flops as f64 / peak;
    let memory = model.memory * part.bytes.0 as f64 / bandwidth;
    (matrix + memory).min(part.time.as_secs())
}

/// What a GPU with an open context draws without work.
pub(crate) fn base_w(card: &GpuCard) -> f64 {
    card.power_idle.watts() + card.power_model.context.watts()
}

fn headroom_w(card: &GpuCard) -> f64 {
    card.power_tdp.watts() - base_w(card)
}
