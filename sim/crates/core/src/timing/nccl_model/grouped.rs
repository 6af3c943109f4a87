//! Sends that one GPU makes as a group, of sizes that may differ.

use super::collective::{GROUPED_CHUNK, GROUPED_LL_MAX};
use super::{NcclParams, NcclVersion, Path, Protocol, TimeAlone};

/// Messages that one GPU sends in one group.
///
/// # Units
///
/// Rates are GB/s, as parameters are.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedSends<'a> {
    /// The sizes of the messages, at least one.
    pub bytes: &'a [u64],
    /// Those of them that leave the node, together.
    pub leaving: u64,
    /// The GPU's rate to the others of its node, by all links that lead to them.
    pub reach: f64,
    /// The same as a share of all its links.
    pub reach_share: f64,
    /// Its part of the NICs.
    pub nic: f64,
    /// Microseconds by which the longest hop takes longer than on the fitted machine.
    pub excess_us: f64,
}

/// The time of a group of sends that has the wires for itself: a cost for the group, one for each doubling of the
/// peers, and bytes by the protocol that their sizes ask for.
///
/// Equal messages from everyone to everyone take what an all-to-all takes.
pub fn grouped_sends_time(params: &NcclParams, version: NcclVersion, sends: &GroupedSends<'_>) -> TimeAlone {
    let n_peers = sends.bytes.len() as f64;
    let sent: f64 = sends.bytes.iter().map(|&bytes| bytes as f64).sum();
    let mean = sent / n_peers;
    let start = params.grouped_start_us + params.grouped_peers_us * libm::log2(n_peers + 1.0);
    let at = |bytes: f64, rate: f64| bytes / (1e3 * rate * sends.reach_share);
    let transfer = if mean <= GROUPED_LL_MAX {
        at(sent, params.ll_rate)
    } else {
        let filled: f64 = sends.bytes.iter().map(|&bytes| (bytes as f64).min(GROUPED_CHUNK)).sum();
        let handled = sent + params.extra_shards * mean;
        let simple = at(handled + (params.ramp_bytes * handled).sqrt(), params.simple_rate);
        simple.max(at(filled * (1.0 + 1.0 / n_peers), params.grouped_rate))
    };
    let least = sent / (1e3 * sends.reach);
    let transfer = transfer.max(least);
    let mut launch_us =
        params.launch_us + params.wide_us * (1.0 - 1.0 / super::collective::channels_of(mean));
    if sends.leaving == 0 {
        let wire_us = (start + transfer + sends.excess_us).max(least);
        return TimeAlone { launch_us, wire_us, transfer_us: transfer };
    }
    launch_us += params.net_start_us;
    let across = sends.leaving as f64 / (1e3 * sends.nic * params.nic_efficiency.min(1.0));
    let transfer = transfer.max(across);
    let net = version.tables().net(Path::Ring, Protocol::Simple);
    let wire_us = (start + net + transfer + sends.excess_us).max(least);
    TimeAlone { launch_us, wire_us, transfer_us: transfer }
}
