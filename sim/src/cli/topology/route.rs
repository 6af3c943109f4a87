//! The way from one GPU to another, link by link.

use serde_json::{Value, json};

use crate::cli::table::Plain;
use masim_core::fabric::bottleneck;
use masim_core::inputs::topology::{Cluster, GpuIdx};

/// Each link of the route, and what the whole adds up to.
pub(super) fn table(cluster: &Cluster, src: GpuIdx, dst: GpuIdx) -> String {
    let route = cluster.route(src, dst);
    let mut table = Plain::new(["link", "bandwidth", "latency", "source"]);
    for &id in &route.links {
        let link = cluster.link(id);
        let (bandwidth, latency) = (link.bandwidth.to_string(), link.latency.to_string());
        table.add([link.name.clone(), bandwidth, latency, link.source.clone()]);
    }
    let hops = cluster.hops(route).join(" -> ");
    let narrowest = bottleneck(cluster, route).map_or_else(|| "-".to_owned(), |rate| rate.to_string());
    format!("{hops}\nnarrowest {narrowest}, latency {} in all\n\n{}", route.latency, table.into_text())
}

pub(super) fn to_json(cluster: &Cluster, src: GpuIdx, dst: GpuIdx) -> Value {
    let route = cluster.route(src, dst);
    let links: Vec<_> = route.links.iter().map(|&id| cluster.link(id).name.as_str()).collect();
    json!({
        "src": cluster.gpu(src).name,
        "dst": cluster.gpu(dst).name,
        "links": links,
        "latency_us": route.latency.as_us(),
        "bytes_per_sec": bottleneck(cluster, route).map(masim_units::Bandwidth::bytes_per_sec),
    })
}
