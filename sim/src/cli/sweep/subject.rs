//! Inputs of the rows of a report.

use std::collections::{BTreeMap, BTreeSet};

use masim_engine::LinkId;

use masim_core::inputs::topology::{Cluster, Dtype, GpuCard, VertexKind};
use masim_core::judging::sweep::SweepRow;
use masim_core::scenario::{FfnSpec, ModelSpec, MoeSpec, Position, Scenario};
use masim_report::Assumption;

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

/// Keys that the cards and clusters of the rows list under `assumed` and `simplified`, each once.
pub(super) fn assumptions(rows: &[SweepRow]) -> Vec<Assumption> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for scenario in scenarios(rows) {
        let (model, cluster) = (&*scenario.model, &*scenario.cluster);
        // Thousands of rows share a few inputs.
        if seen.insert((std::ptr::from_ref(model), std::ptr::from_ref(cluster))) {
            let of = |root: &str, file: &str, key: &String, value: Option<String>| {
                (format!("{root}.{key}"), file.to_owned(), value, "does not state it")
            };
            found.extend(model.assumed.iter().map(|key| of("model", &model.name, key, of_model(model, key))));
            found.extend(model.simplified.iter().map(|key| {
                let (what, file, value, _) = of("model", &model.name, key, of_model(model, key));
                (what, file, value, "states another value, which is not modelled")
            }));
            found.extend(
                cluster.assumed.iter().map(|key| of("cluster", &cluster.name, key, of_cluster(cluster, key))),
            );
            for card in cluster.gpus.iter().map(|gpu| &gpu.card) {
                found.extend(
                    card.assumed.iter().map(|key| of("cluster.gpu", &card.name, key, of_card(card, key))),
                );
            }
        }
    }
    let assumption = |(what, file, value, why): (String, String, Option<String>, &str)| Assumption {
        what,
        value: value.unwrap_or_else(|| format!("as in {file}")),
        why: format!("the source of {file} {why}"),
    };
    found.into_iter().map(assumption).collect()
}

/// The value of a key of a model card, where it can be said in a few words.
fn of_model(model: &ModelSpec, key: &str) -> Option<String> {
    let dtype = &model.dtype;
    let value = match key {
        "vocab" => model.vocab.map_or_else(|| "none".to_owned(), |vocab| vocab.to_string()),
        "attention.position" => match model.attention.position {
            Position::Rope => "rope".to_owned(),
            Position::Alibi => "alibi".to_owned(),
            Position::None => "none".to_owned(),
        },
        "attention.head_dim" => model.attention.head_dim.to_string(),
        "ffn.gated" => {
            let (FfnSpec::Dense { gated, .. } | FfnSpec::Moe(MoeSpec { gated, .. })) = model.ffn;
            gated.to_string()
        }
        // Cards with others are refused.
        "ffn.n_dense_layers" => "0".to_owned(),
        "dtype" => {
            let all = [dtype.weights, dtype.activations, dtype.kv, dtype.dispatch, dtype.combine];
            let names: BTreeSet<_> = all.into_iter().map(Dtype::name).collect();
            names.into_iter().collect::<Vec<_>>().join(", ")
        }
        "dtype.weights" => dtype.weights.name().to_owned(),
        "dtype.activations" => dtype.activations.name().to_owned(),
        "dtype.kv" => dtype.kv.name().to_owned(),
        "dtype.dispatch" => dtype.dispatch.name().to_owned(),
        "dtype.combine" => dtype.combine.name().to_owned(),
        _ => return None,
    };
    Some(value)
}

/// The value of a key of a card.
fn of_card(card: &GpuCard, key: &str) -> Option<String> {
    let roofline = &card.roofline;
    match key {
        "power.idle" => Some(card.power_idle.to_string()),
        "roofline" => Some(format!(
            "kernels reach {} of memory bandwidth and {} of matrix peak; a launch costs {} (graph) or {} (eager)",
            roofline.memory, roofline.matrix, roofline.launch_graph, roofline.launch_eager
        )),
        _ => None,
    }
}

/// The value of a key of a regular cluster: that of the links which it describes.
fn of_cluster(cluster: &Cluster, key: &str) -> Option<String> {
    let (part, has_bandwidth) = match key.split_once('.') {
        None => (key, true),
        Some((part, "latency")) => (part, false),
        Some(_) => return None,
    };
    let texts: BTreeSet<String> = (0..)
        .map(LinkId)
        .zip(&cluster.links)
        .filter(|(id, _)| part_of(cluster, *id) == part)
        .map(|(_, link)| {
            let bandwidth = if has_bandwidth { format!("{}, ", link.bandwidth) } else { String::new() };
            format!("{bandwidth}{} per hop", link.latency)
        })
        .collect();
    (!texts.is_empty()).then(|| texts.into_iter().collect::<Vec<_>>().join(" or "))
}

/// The part of a regular cluster's file that a link comes from.
fn part_of(cluster: &Cluster, link: LinkId) -> &'static str {
    let (src, dst) = cluster.link_ends(link);
    let kinds = [src, dst].map(|vertex| cluster.vertex(vertex).kind);
    if kinds.iter().any(|kind| matches!(kind, VertexKind::PcieSwitch | VertexKind::Host)) {
        "host"
    } else if kinds.iter().all(|kind| matches!(kind, VertexKind::Gpu(_) | VertexKind::NvSwitch)) {
        "scale_up"
    } else {
        "scale_out"
    }
}
