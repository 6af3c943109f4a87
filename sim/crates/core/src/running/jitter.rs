//! Times that vary from run to run: one draw for each task, so that who waits for several waits for the slowest.
//!
//! An error of a model is another thing: it is the same for all tasks of a kind, and is never drawn here.

use masim_engine::Work;
use masim_units::{Bytes, SimDuration};

use crate::inputs::measurement::Family;
use crate::program::Activity;
use crate::running::price::{Part, TaskInfo};
use crate::scenario::Scenario;
use crate::timing::regime::Regime;
use crate::work::ops::OpKind;
use crate::work::routing::{Purpose, rng_for, standard_normal};

/// How the times of the tasks of a run vary.
#[derive(Clone, Debug, PartialEq)]
pub struct Variation {
    seed: u64,
    /// `[gpu][family]`: standard deviation over the mean.
    widths: Vec<[f64; Family::ALL.len()]>,
}

impl Variation {
    /// That of `scenario`; none where nothing varies.
    pub fn of(scenario: &Scenario) -> Option<Self> {
        let widths: Vec<_> = scenario
            .cluster
            .gpus
            .iter()
            .map(|gpu| Family::ALL.map(|family| scenario.jitter_width(&gpu.card.name, family).share))
            .collect();
        let varies = widths.iter().flatten().any(|&width| width > 0.0);
        varies.then_some(Self { seed: scenario.seed, widths })
    }

    /// What the tasks and kernels of step `step` do in the run that is drawn.
    ///
    /// Kernels of a task are drawn together, as wide as kernels that vary each for itself add up to. A transfer that
    /// takes longer holds its links for longer, as more bytes would.
    pub fn vary(
        &self,
        step: u32,
        infos: &[TaskInfo],
        works: &[Work],
        parts: &[Part],
    ) -> (Vec<Work>, Vec<Part>) {
        let mut parts = parts.to_vec();
        let tasks = works.iter().zip(infos).zip(0..);
        let works = tasks.map(|((work, info), task)| match work {
            Work::Compute { .. } => {
                let kernels = &mut parts[info.parts.start as usize..info.parts.end as usize];
                let factor = factor(self.seed, (step, task), self.width_of_kernels(info, kernels));
                for part in &mut *kernels {
                    part.time = SimDuration::from_ps(scaled(part.time.as_ps(), factor));
                }
                Work::Compute { time: kernels.iter().map(|part| part.time).sum() }
            }
            Work::Transfer { flows, slows } => {
                let factor = factor(self.seed, (step, task), self.width_of_transfer(info));
                let mut flows = flows.clone();
                for flow in flows.iter_mut() {
                    flow.bytes = Bytes(scaled(flow.bytes.0, factor));
                    flow.latency = SimDuration::from_ps(scaled(flow.latency.as_ps(), factor));
                }
                Work::Transfer { flows, slows: slows.clone() }
            }
            Work::Delay { .. } | Work::Barrier => work.clone(),
        });
        let works = works.collect();
        (works, parts)
    }

    /// Kernels vary each for itself: the squares of their deviations add up.
    fn width_of_kernels(&self, info: &TaskInfo, kernels: &[Part]) -> f64 {
        let widths = &self.widths[info.gpu.expect("kernels run on a GPU").0 as usize];
        let (mut time, mut squares) = (0.0, 0.0);
        for part in kernels {
            let us = part.time.as_us();
            let deviation = us * widths[family_of_kernel(part) as usize];
            time += us;
            squares += deviation * deviation;
        }
        if time > 0.0 { squares.sqrt() / time } else { 0.0 }
    }

    /// What a group does together is as wide as on the card among all of the cluster's that varies most.
    fn width_of_transfer(&self, info: &TaskInfo) -> f64 {
        let family = info.basis.regime.map(Regime::family);
        let family = family.unwrap_or_else(|| family_of_transfer(info.activity)) as usize;
        match info.gpu {
            Some(gpu) => self.widths[gpu.0 as usize][family],
            None => self.widths.iter().map(|widths| widths[family]).fold(0.0, f64::max),
        }
    }
}

/// The family among whose repeated rows a kernel would stand.
fn family_of_kernel(part: &Part) -> Family {
    if let Some(regime) = part.basis.regime {
        return regime.family();
    }
    match part.kind {
        OpKind::QkvProjection
        | OpKind::Absorb
        | OpKind::Expand
        | OpKind::OutputProjection
        | OpKind::LmHead => Family::Gemm,
        OpKind::DecodeAttention => Family::AttentionDecode,
        OpKind::PrefillAttention => Family::AttentionPrefill,
        OpKind::Gate | OpKind::Permute | OpKind::ExpertUp | OpKind::ExpertDown | OpKind::CombineSum => {
            Family::Moe
        }
        OpKind::Embedding
        | OpKind::Norm
        | OpKind::Rope
        | OpKind::MergePartials
        | OpKind::Residual
        | OpKind::Activation
        | OpKind::Sampling
        | OpKind::Quantise => Family::Elementwise,
    }
}

fn family_of_transfer(activity: Activity) -> Family {
    match activity {
        Activity::Collective(_) => Family::Collective,
        Activity::Dispatch
        | Activity::Combine
        | Activity::CacheExchange
        | Activity::StageSend
        | Activity::Attention
        | Activity::Experts
        | Activity::Embedding
        | Activity::Head
        | Activity::Quantise
        | Activity::Host
        | Activity::Barrier => Family::P2p,
    }
}

/// By how much a task takes longer than its mean: log-normal with mean 1 and standard deviation `width`.
///
/// It depends on its arguments alone, so that neither threads nor the order of steps change it.
fn factor(seed: u64, (step, task): (u32, u32), width: f64) -> f64 {
    if width <= 0.0 {
        return 1.0;
    }
    // A log-normal has mean exp(mu + s^2 / 2) and variance (exp(s^2) - 1) mean^2.
    let variance = libm::log1p(width * width);
    let z = standard_normal(&mut rng_for(seed, Purpose::Jitter, step, task));
    libm::exp(variance.sqrt() * z - variance / 2.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and beyond 2^64 the engine refuses the sum"
)]
fn scaled(n: u64, factor: f64) -> u64 {
    (n as f64 * factor).round() as u64
}

#[cfg(test)]
mod tests;
