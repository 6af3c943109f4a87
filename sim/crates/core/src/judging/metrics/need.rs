//! The least that the measured steps need, and what the cluster gives.

use crate::running::run::CopySteps;
use crate::scenario::Scenario;
use crate::search::theory::step_work;
use crate::work::ops::Op;
use crate::work::routing::RoutingSource;

/// Work of the measured steps of the whole cluster, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Need<'a> {
    scenario: &'a Scenario,
    routing: &'a RoutingSource,
    flops: f64,
    bytes: f64,
    bound_secs: f64,
    n_steps: u32,
}

/// A mean step.
pub(super) struct MeanNeed {
    pub(super) flops: f64,
    pub(super) bytes: f64,
    pub(super) bound_secs: f64,
    /// FLOPs per second of all GPUs.
    pub(super) peak: f64,
    /// Bytes per second of all GPUs.
    pub(super) memory_bandwidth: f64,
}

impl<'a> Need<'a> {
    pub(super) fn new(scenario: &'a Scenario, routing: &'a RoutingSource) -> Self {
        Self { scenario, routing, flops: 0.0, bytes: 0.0, bound_secs: 0.0, n_steps: 0 }
    }

    /// Takes in measured step `idx`, once for all copies.
    pub(super) fn take(&mut self, copy: &CopySteps, idx: u32) {
        // Constant work is the same in all steps: one of them is their mean.
        if copy.position > 0 || (self.n_steps > 0 && self.routing.is_constant()) {
            return;
        }
        let work = step_work(self.scenario, &self.routing.step(idx));
        self.flops += work.flops.0;
        self.bytes += work.bytes.0 as f64;
        self.bound_secs += work.bound_secs;
        self.n_steps += 1;
    }

    /// The mean of the steps that were taken in.
    pub(super) fn mean(&self) -> MeanNeed {
        let dtype = Op::compute_dtype(&self.scenario.model.dtype);
        let cards = || self.scenario.cluster.gpus.iter().map(|gpu| &gpu.card);
        let n = f64::from(self.n_steps);
        MeanNeed {
            flops: self.flops / n,
            bytes: self.bytes / n,
            bound_secs: self.bound_secs / n,
            peak: cards().map(|card| card.peak[&dtype].per_sec()).sum(),
            memory_bandwidth: cards().map(|card| card.memory_bandwidth.bytes_per_sec() as f64).sum(),
        }
    }
}
