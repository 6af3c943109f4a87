//! Time of a hop beyond that on the machines that profiles were fitted on.
//!
//! A profile has one latency for a hop inside a node and one for a hop between nodes, protocol included. Nothing in it says which part
//! belongs to the links. So a fitted hop is taken to have crossed links with the latencies below, and a hop on another machine takes
//! longer, or shorter, by the difference.

use masim_units::SimDuration;

use crate::inputs::topology::{Cluster, GpuIdx};

/// Picoseconds in a microsecond.
const PS_PER_US: f64 = 1e6;

/// Links of one tier that a fitted hop crosses.
struct Tier {
    /// The latency of each.
    latency: SimDuration,
    /// Their number.
    n_links: u64,
}

/// Inside a node: to the `NVSwitch` and from it.
///
/// # Source
///
/// Assumed. Measurement sets do not state latencies of links; 0.5 us is the one that the shipped clusters of the fitted cards
/// have (`topologies/a100-2x8.yaml`), so that there a fitted time stays what it is.
const SCALE_UP: Tier = Tier { latency: SimDuration::from_ps(500_000), n_links: 2 };

/// Inside both nodes, on the way between them: GPU to PCIe switch to NIC, and back.
///
/// # Source
///
/// Assumed, as [`SCALE_UP`].
const HOST: Tier = Tier { latency: SimDuration::from_ps(500_000), n_links: 4 };

/// Between nodes: NIC to switch to NIC.
///
/// # Source
///
/// Assumed, as [`SCALE_UP`]: 1 us.
const SCALE_OUT: Tier = Tier { latency: SimDuration::from_us(1), n_links: 2 };

impl Tier {
    /// Microseconds by which `n_links` links of `latency` in all take longer than those of a fitted hop.
    ///
    /// Fewer links than a fitted hop has are compared with as many; of more links the further ones count in full.
    fn excess_us(&self, n_links: u64, latency: SimDuration) -> f64 {
        let fitted = self.latency.saturating_mul(n_links.min(self.n_links));
        // Equal latencies leave a time as it is, to the bit.
        latency.as_ps() as f64 / PS_PER_US - fitted.as_ps() as f64 / PS_PER_US
    }
}

/// Microseconds by which a hop from `src` to `dst` takes longer than the one that was fitted.
pub(super) fn excess_us(cluster: &Cluster, src: GpuIdx, dst: GpuIdx) -> f64 {
    let route = cluster.route(src, dst);
    if cluster.gpu(src).node_idx == cluster.gpu(dst).node_idx {
        return SCALE_UP.excess_us(route.links.len() as u64, route.latency);
    }
    let (mut inside, mut between) = ((0, SimDuration::ZERO), (0, SimDuration::ZERO));
    for &id in &route.links {
        let (from, to) = cluster.link_ends(id);
        let [from, to] = [from, to].map(|end| cluster.vertex(end).node_idx);
        let tier = if from.is_some() && from == to { &mut inside } else { &mut between };
        *tier = (tier.0 + 1, tier.1.saturating_add(cluster.link(id).latency));
    }
    HOST.excess_us(inside.0, inside.1) + SCALE_OUT.excess_us(between.0, between.1)
}
