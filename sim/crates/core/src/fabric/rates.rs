//! Rates of all links; no other module reads the bandwidth of a link.

use masim_engine::LinkId;
use masim_units::Bandwidth;

use super::communication_models::{Calibrated, CommModel};
use crate::inputs::topology::{Cluster, GpuIdx, Link, Route, VertexKind};

/// The bandwidth of each link as the cluster states it, by [`LinkId`].
pub fn nominal_rates(cluster: &Cluster) -> Vec<Bandwidth> {
    cluster.links.iter().map(|link| link.bandwidth).collect()
}

/// The narrowest bandwidth on `route`; `None` for a route without links.
pub fn bottleneck(cluster: &Cluster, route: &Route) -> Option<Bandwidth> {
    route.links.iter().map(|&link| cluster.link(link).bandwidth).min()
}

/// The rate of each link: all of its bandwidth, but of a NIC only the share that was fitted.
pub(super) fn fitted_rates(cluster: &Cluster, models: &CommModel) -> Vec<Bandwidth> {
    if *models == CommModel::IDEAL {
        return nominal_rates(cluster);
    }
    let ids = (0..).map(LinkId);
    cluster.links.iter().zip(ids).map(|(link, id)| fitted_rate(cluster, models, link, id)).collect()
}

fn fitted_rate(cluster: &Cluster, models: &CommModel, link: &Link, id: LinkId) -> Bandwidth {
    let (src, dst) = cluster.link_ends(id);
    let kinds = [src, dst].map(|end| (cluster.vertex(end).kind, cluster.vertex(end).node_idx));
    let node = match kinds {
        [(VertexKind::Nic { .. }, node), (VertexKind::Fabric | VertexKind::Leaf, _)]
        | [(VertexKind::Fabric | VertexKind::Leaf, _), (VertexKind::Nic { .. }, node)] => node,
        _ => None,
    };
    let card = node.map(|node| &cluster.gpu(GpuIdx(cluster.node(node).start)).card.name);
    let share = card.and_then(|card| models.of(card)).map_or(1.0, Calibrated::nic_efficiency);
    derated(link.bandwidth, share)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u64")]
fn derated(bandwidth: Bandwidth, share: f64) -> Bandwidth {
    if share >= 1.0 {
        return bandwidth;
    }
    Bandwidth::new((bandwidth.bytes_per_sec() as f64 * share) as u64).unwrap_or(bandwidth)
}
