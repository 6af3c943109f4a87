//! Warnings to check before trusting the results of a scenario.

use super::resolve::long_run;
use super::{
    Choice, Compression, EmbeddingTable, ExpertReduce, Launch, Logits, ProtocolRule, Scenario, Strategy,
    Vocabulary, Workload,
};
use crate::inputs::measurement::Family;
use crate::inputs::topology::VertexKind;
use crate::timing::fitted::Origin;

impl Scenario {
    /// Warnings of profiles, of families that do not vary though they should, of keys that change nothing here, and of runs
    /// that take long.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = self.profiles.warnings.clone();
        all.extend(self.still_families());
        all.extend(self.idle_keys());
        all.extend(self.replayed_prompts());
        all.extend(long_run(self));
        all
    }

    /// Serving stacks replay steps alone; whole requests are simulated like that, prompts by themselves as they are asked for.
    fn replayed_prompts(&self) -> Option<String> {
        let is_replayed = self.host_overhead.is_some() && self.launch == Launch::Graph;
        (matches!(self.workload, Workload::Prefill { .. }) && is_replayed).then(|| {
            "`launch: graph`: prompts are replayed from graphs here, which serving stacks do for steps alone".to_owned()
        })
    }

    /// Keys that are set, and have nothing to act upon.
    fn idle_keys(&self) -> Vec<String> {
        let tp = match &self.strategy {
            Strategy::TpPp(spec) => spec.tp,
            Strategy::MaSeparation(_) | Strategy::DpEp(_) => 1,
        };
        let is_compressed = self.collectives.compressed == Compression::Int8;
        let Vocabulary { embedding, logits } = self.vocabulary;
        let chooses = embedding == EmbeddingTable::Sharded || logits == Logits::Gathered;
        let fills_graphs = self.host_overhead.is_some_and(|host| host.graph_batch.is_some());
        let has_protocols = self.profiles.cards.values().any(|models| {
            let fitted = models.family(Family::Collective).map(|family| &family.origin);
            matches!(fitted, Some(Origin::Profile { .. }))
        });
        let is_nic = |kind: VertexKind| matches!(kind, VertexKind::Nic { .. });
        let has_nics = self.cluster.vertices().any(|(_, vertex)| is_nic(vertex.kind));
        let sums_nothing = match &self.strategy {
            Strategy::MaSeparation(spec) => {
                spec.experts.reduce == ExpertReduce::None && spec.experts.tp == Choice::Fixed(1)
            }
            Strategy::DpEp(spec) => spec.reduce == ExpertReduce::None && spec.dp * spec.tp == spec.ep,
            Strategy::TpPp(_) => false,
        };
        let idle = [
            (sums_nothing, "`strategy.experts.reduce`: no expert is split, so there is no sum to place"),
            (
                self.collectives.protocol != ProtocolRule::Auto && !has_protocols,
                "`collectives.protocol`: without a profile of collectives there are no protocols",
            ),
            (
                self.cluster.n_nodes() == 1 && has_nics,
                "`cluster.host` and `cluster.scale_out`: of a single machine nothing leaves by a NIC",
            ),
            (is_compressed && tp == 1, "`collectives.compressed`: there is no all-reduce to compress"),
            (chooses && self.model.vocab.is_none(), "`vocabulary`: the model has none"),
            (
                fills_graphs && self.launch == Launch::Eager,
                "`host_overhead.graph_batch`: there are no graphs with `launch: eager`",
            ),
        ];
        idle.into_iter()
            .filter(|(is_idle, _)| *is_idle)
            .map(|(_, what)| format!("{what}; it changes nothing"))
            .collect()
    }
}
