//! What a report says about the inputs of its rows.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::Assumption;
use crate::scenario::Scenario;
use crate::sweep::SweepRow;

/// Every scenario of the rows, those that make sense.
fn scenarios(rows: &[SweepRow]) -> impl Iterator<Item = &Scenario> {
    rows.iter().flat_map(|row| row.alternatives.iter().flatten())
}

/// Memory of the smallest GPU of each cluster.
pub(super) fn memory_gib(rows: &[SweepRow]) -> BTreeMap<String, f64> {
    let mut smallest = BTreeMap::new();
    for scenario in scenarios(rows) {
        for gpu in &scenario.cluster.gpus {
            let gib = gpu.card.memory_size.as_gib();
            let known = smallest.entry(scenario.cluster.name.clone()).or_insert(gib);
            *known = gib.min(*known);
        }
    }
    smallest
}

/// What the cards and clusters of the rows list under `assumed`, each once.
pub(super) fn assumptions(rows: &[SweepRow]) -> Vec<Assumption> {
    let mut found = BTreeSet::new();
    for scenario in scenarios(rows) {
        let model = scenario.model.assumed.iter().map(|key| ("model", scenario.model.name.as_str(), key));
        let cluster =
            scenario.cluster.assumed.iter().map(|key| ("cluster", scenario.cluster.name.as_str(), key));
        let cards =
            scenario.cluster.gpus.iter().flat_map(|gpu| {
                gpu.card.assumed.iter().map(|key| ("cluster.gpu", gpu.card.name.as_str(), key))
            });
        found.extend(model.chain(cluster).chain(cards));
    }
    let assumption = |(root, file, key): (&str, &str, &String)| Assumption {
        what: format!("{root}.{key}"),
        value: format!("as in `{file}`"),
        why: "its source does not state it".to_owned(),
    };
    found.into_iter().map(assumption).collect()
}
