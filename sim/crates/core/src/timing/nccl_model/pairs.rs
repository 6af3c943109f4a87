//! The time of sends between disjoint pairs.

use super::TimeAlone;
use super::params::PairsParams;
use crate::inputs::measurement::{Machine, PairsWork, Scope};

/// The time of sends that start together, each pair by itself.
///
/// The floors of measured sends are mostly the way from the host's call to the kernel: they stand apart from the wire, and hide a part of it.
pub fn pairs_time(params: &PairsParams, work: &PairsWork, machine: &Machine) -> TimeAlone {
    let link = match work.scope {
        Scope::IntraNode => machine.reach(2),
        Scope::InterNode => machine.nic / f64::from(work.n_pairs.div_ceil(machine.n_nics_per_node)),
    };
    let rate = match work.scope {
        Scope::IntraNode => params.nvlink_rate.min(link),
        Scope::InterNode => link * params.nic_efficiency.min(1.0),
    };
    let transfer = work.bytes_per_pair as f64 / (1e3 * rate);
    let wire = match work.scope {
        Scope::IntraNode => transfer,
        Scope::InterNode => params.net_us + transfer,
    };
    let power = 1.0 + params.overlap;
    let launch = params.launch_us;
    let total = libm::pow(libm::pow(launch, power) + libm::pow(wire, power), 1.0 / power);
    let excess = match work.scope {
        Scope::IntraNode => machine.hop_excess_us,
        Scope::InterNode => machine.net_excess_us,
    };
    // Part of the fitted wire hides behind the launch; what a longer wire adds does not.
    TimeAlone { launch_us: total - wire, wire_us: (wire + excess).max(transfer), transfer_us: transfer }
}
