//! The fabric of a cluster: what every link carries, every path, and the machine that a group of GPUs is.
//!
//! Whoever wants to know how fast a link is, which way data takes or what a model of communication sees of a group asks one
//! [`Fabric`], so that an algorithm is chosen by the rates that its flows then meet.

pub mod communication_models;
mod latencies;
mod machine;
mod needless_links;
mod paths;
mod rates;

pub use needless_links::without_needless_links;
pub use paths::FabricPath;
pub use rates::{bottleneck, nominal_rates};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use masim_engine::{Flow, Hop, LinkId};
use masim_units::{Bandwidth, Bytes, SimDuration};

use communication_models::{Calibrated, CommModel};
use paths::Paths;

use crate::inputs::measurement::Machine;
use crate::inputs::topology::{Cluster, GpuIdx};
use crate::scenario::{Overlap, Scenario};

/// The links of a cluster with what they carry, the paths that are in use, and the models of communication over them.
#[derive(Debug)]
pub struct Fabric<'a> {
    cluster: &'a Cluster,
    models: Arc<CommModel>,
    overlap: Overlap,
    /// The rate of each link by which times alone are worked out.
    rates: Vec<Bandwidth>,
    paths: Paths,
    /// Machines of sends, by sender and receivers.
    senders: BTreeMap<GpuIdx, BTreeMap<Vec<GpuIdx>, Machine>>,
}

impl<'a> Fabric<'a> {
    /// The fabric of a scenario: its cluster, its profiles, and how it takes communication to be hidden.
    pub fn of_scenario(scenario: &'a Scenario) -> Self {
        let models = CommModel::of_profiles(&scenario.profiles);
        Self { overlap: scenario.overlap, ..Self::profiled(&scenario.cluster, models) }
    }

    /// The fabric of a cluster on which `models` say how long communication takes.
    pub fn profiled(cluster: &'a Cluster, models: CommModel) -> Self {
        let rates = rates::fitted_rates(cluster, &models);
        let paths = Paths::new(cluster);
        Self {
            cluster,
            models: Arc::new(models),
            overlap: Overlap::None,
            rates,
            paths,
            senders: BTreeMap::new(),
        }
    }

    /// The fabric of a cluster whose links carry all of their bandwidth.
    pub fn nominal(cluster: &'a Cluster) -> Self {
        Self::profiled(cluster, CommModel::IDEAL)
    }

    /// The cluster.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// The rate of each link, by [`LinkId`]: its bandwidth, or the share of it that a profile says is reached.
    pub fn rates(&self) -> &[Bandwidth] {
        &self.rates
    }

    /// The rate of each link in a run: that by which algorithms are chosen, or more where a share of communication is
    /// assumed to be hidden.
    pub fn rates_in_run(&self) -> Vec<Bandwidth> {
        self.rates.iter().map(|&rate| self.overlap.rate(rate)).collect()
    }

    /// The bandwidth of each link as the cluster states it, on the scale of [`Fabric::rates_in_run`]: the whole of which
    /// reports give shares.
    pub fn bandwidths_in_run(&self) -> Vec<Bandwidth> {
        nominal_rates(self.cluster).into_iter().map(|rate| self.overlap.rate(rate)).collect()
    }

    /// Checks that the links of an engine carry what algorithms were chosen by.
    ///
    /// # Panics
    ///
    /// When one of them carries something else.
    pub fn assert_chosen_by(&self, links: &[Bandwidth]) {
        assert_eq!(links.len(), self.rates.len(), "an engine has a rate for each link");
        for ((engine, chosen), link) in links.iter().zip(&self.rates).zip(&self.cluster.links) {
            let expected = self.overlap.rate(*chosen);
            assert_eq!(*engine, expected, "the engine's `{}` carries what times alone count on", link.name);
        }
    }

    /// The model of communication that starts on `gpu`; none where wires alone decide.
    pub fn calibrated(&self, gpu: GpuIdx) -> Option<&Calibrated> {
        self.models.of(&self.cluster.gpu(gpu).card.name)
    }

    /// The machine that models of communication see of sends of `src` to `dsts`: the paths that these take.
    pub fn machine_of_sends(&mut self, src: GpuIdx, dsts: &[GpuIdx]) -> Machine {
        let of_src = self.senders.entry(src).or_default();
        if let Some(known) = of_src.get(dsts) {
            return *known;
        }
        *of_src.entry(dsts.to_vec()).or_insert_with(|| machine::machine_of_sends(self.cluster, src, dsts))
    }

    /// The machine that models of communication see of `group`: the paths between its members.
    pub fn machine_of(&self, group: &[GpuIdx]) -> Machine {
        machine::machine_of(self.cluster, group)
    }

    /// The path from `src` to `dst`, two different GPUs.
    pub fn pair(&mut self, src: GpuIdx, dst: GpuIdx) -> FabricPath {
        self.paths.pair(self.cluster, src, dst)
    }

    /// The closed path round `gpus`; its latency is that of the longest of its steps.
    pub fn ring(&mut self, gpus: &[GpuIdx]) -> FabricPath {
        self.paths.ring(self.cluster, gpus)
    }

    /// The path of all `steps` together, each from one GPU to another; its latency is that of the longest.
    pub fn over(&mut self, steps: &[(GpuIdx, GpuIdx)]) -> FabricPath {
        self.paths.over(self.cluster, steps)
    }

    /// All paths so far; position `n` is `PathId(n)`.
    pub fn paths(&self) -> &[Vec<Hop>] {
        self.paths.hops()
    }

    /// From which to which GPU the bytes of each path go, by position of the path.
    pub fn steps(&self) -> Vec<Vec<(u32, u32)>> {
        self.paths.steps()
    }

    /// A lower bound on the time of `flows` that start together and alone, exact where they all end
    /// together: the longest latency, then the busiest link or the flow with the least cap.
    pub fn time_alone(&mut self, flows: &[Flow]) -> SimDuration {
        self.paths.time_alone(flows, &self.rates)
    }

    /// The link that `flows` keep busy for longest, and the bytes that cross it; none where nothing crosses a link.
    pub fn busiest(&self, flows: &[Flow]) -> Option<(LinkId, Bytes)> {
        self.paths.busiest(flows, &self.rates)
    }

    /// The paths so far without links that never decide how fast a flow is, while all keep their speeds but those that are
    /// `touchable`.
    pub fn essential_paths(&self, touchable: &BTreeSet<LinkId>) -> Vec<Vec<Hop>> {
        without_needless_links(self.paths(), |link| self.rates[link.0 as usize], touchable)
    }
}
