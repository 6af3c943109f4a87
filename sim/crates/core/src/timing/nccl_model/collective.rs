//! The time of a collective.

use super::choice::{Choice, N_CHANNELS, choose_by_shape};
use super::params::NcclParams;
use super::shape::Shape;
use super::tables::NcclVersion;
use super::{Path, Protocol, TimeAlone};
use crate::inputs::measurement::{CollectiveWork, Machine, Operation};

/// Bytes that the 512 threads of a block send at once by LL, 8 B each.
const BLOCK_BYTES: f64 = 4096.0;

/// Messages up to this size go by LL when they are sent, not reduced.
///
/// # Source
///
/// `NCCL_P2P_LL_THRESHOLD`, 16,384 by default.
pub(super) const GROUPED_LL_MAX: f64 = 16_384.0;

/// A message is cut into chunks of this size, which travel over channels of their own.
///
/// # Source
///
/// `NCCL_P2P_NVL_CHUNKSIZE`, 512 KiB by default.
pub(super) const GROUPED_CHUNK: f64 = 524_288.0;

/// The time of a collective that has the machine for itself.
///
/// Every hop has a latency, every protocol a rate; leaving a node costs once, and the NICs of a node are shared by its GPUs.
///
/// # Source
///
/// Rates, latencies and the share of a tree between nodes: NCCL's own tables for what no measurement determines. The forms:
/// Hu et al., "Demystifying NCCL", 2025 (protocols, channels); the rise of Simple's rate with size follows the rows themselves.
pub fn collective_time(
    params: &NcclParams,
    version: NcclVersion,
    work: &CollectiveWork,
    machine: &Machine,
) -> TimeAlone {
    let way = choose_by_shape(version, &Shape::new(work, machine));
    way_time(params, version, way, work, machine)
}

/// The time of a collective by a path and protocol; messages of an all-to-all are grouped sends whatever they say.
pub fn way_time(
    params: &NcclParams,
    version: NcclVersion,
    way: Choice,
    work: &CollectiveWork,
    machine: &Machine,
) -> TimeAlone {
    let shape = Shape::new(work, machine);
    // Channels are added as long as each has a block's worth of data.
    let mut launch_us = params.launch_us + params.wide_us * (1.0 - 1.0 / channels_of(shape.shard()));
    if shape.n_nodes > 1 {
        launch_us += params.net_start_us;
    }
    let (wire_us, transfer_us) = match shape.operation {
        Operation::AllToAll => grouped_us(params, version, &shape),
        Operation::AllReduce | Operation::AllGather | Operation::ReduceScatter | Operation::Broadcast => {
            way_us(params, version, way, &shape)
        }
    };
    let wire_us = wire_us + excess_us(way.path, &shape);
    // Whatever the parameters say, bytes cannot be faster than their links.
    let least = shape.sent() / (1e3 * shape.reach);
    TimeAlone { launch_us, wire_us: wire_us.max(least), transfer_us: transfer_us.max(least) }
}

/// Blocks, one for each channel, of a kernel that works on shards of so many bytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 1 to the number of channels"
)]
pub fn n_channels(shard: f64) -> u32 {
    libm::ceil(channels_of(shard)) as u32
}

/// The most channels that a kernel has.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
pub const fn n_channels_max() -> u32 {
    N_CHANNELS as u32
}

/// The protocol of grouped messages of so many bytes.
pub fn grouped_protocol(message: f64) -> Protocol {
    if message <= GROUPED_LL_MAX { Protocol::LowLatency } else { Protocol::Simple }
}

pub(super) fn channels_of(shard: f64) -> f64 {
    (shard / BLOCK_BYTES).clamp(1.0, N_CHANNELS)
}

/// Latency and transfer by a path and protocol, and the transfer alone.
fn way_us(params: &NcclParams, version: NcclVersion, way: Choice, shape: &Shape) -> (f64, f64) {
    let Choice { path, protocol } = way;
    let hop = match protocol {
        Protocol::LowLatency => {
            params.ll_hop_us + params.ll_block_us * (shape.shard() / BLOCK_BYTES).min(1.0)
        }
        Protocol::LowLatency128 => params.ll128_hop_us,
        Protocol::Simple => params.simple_hop_us,
    };
    let net = version.tables().net(path, protocol);
    let latency = match path {
        Path::Ring => (shape.n_steps - shape.n_net_steps) * hop + shape.n_net_steps * net,
        Path::Tree => 2.0 * ((shape.n_per_node - 1.0) * hop + depth(shape) * net),
    };
    let handled = shape.sent() + params.extra_shards * shape.shard();
    let across = across_us(params, version, way, shape);
    match protocol {
        // Lines follow one another without waiting, so that the longer of latency and transfer wins.
        Protocol::LowLatency => {
            let transfer = transfer_us(handled, params.ll_rate, shape).max(across);
            (libm::hypot(latency, transfer), transfer)
        }
        Protocol::LowLatency128 => {
            let transfer = transfer_us(handled, params.ll128_rate, shape).max(across);
            (params.ll128_start_us + latency + transfer, transfer)
        }
        Protocol::Simple => {
            let transfer = simple_us(params, handled, shape).max(across);
            (params.simple_start_us + latency + transfer, transfer)
        }
    }
}

/// Hops between nodes from a leaf of a tree to its root.
fn depth(shape: &Shape) -> f64 {
    f64::from(shape.n_nodes.next_power_of_two().ilog2())
}

/// Microseconds by which the serial hops of a path take longer than on the fitted machine: every hop that the model counts, and of
/// grouped sends the longest of those that go at the same time.
fn excess_us(path: Path, shape: &Shape) -> f64 {
    let (inside, net) = match (shape.operation, path) {
        (Operation::AllToAll, _) if shape.n_nodes > 1 => (0.0, 1.0),
        (Operation::AllToAll, _) => (1.0, 0.0),
        (_, Path::Ring) => (shape.n_steps - shape.n_net_steps, shape.n_net_steps),
        (_, Path::Tree) => (2.0 * (shape.n_per_node - 1.0), 2.0 * depth(shape)),
    };
    inside * shape.hop_excess_us + net * shape.net_excess_us
}

/// Microseconds of `bytes` at `rate` GB/s, less where only some of the links lead to the others.
fn transfer_us(bytes: f64, rate: f64, shape: &Shape) -> f64 {
    bytes / (1e3 * rate * shape.reach_share)
}

/// The transfer by Simple, whose rate grows with the buffer.
fn simple_us(params: &NcclParams, bytes: f64, shape: &Shape) -> f64 {
    transfer_us(bytes + (params.ramp_bytes * bytes).sqrt(), params.simple_rate, shape)
}

/// Microseconds that the NICs of a node are busy.
fn across_us(params: &NcclParams, version: NcclVersion, way: Choice, shape: &Shape) -> f64 {
    if shape.n_nodes == 1 {
        return 0.0;
    }
    // Flags travel too.
    let sent = match way.protocol {
        Protocol::LowLatency => 2.0 * shape.sent(),
        Protocol::LowLatency128 => shape.sent() * 128.0 / 120.0,
        Protocol::Simple => shape.sent(),
    };
    let reached = match way.path {
        Path::Ring => 1.0,
        Path::Tree => version.tables().tree_share_smooth(way.protocol, shape.bytes),
    };
    sent / (1e3 * shape.nics * params.nic_efficiency * reached)
}

/// Grouped sends and receives, everyone to everyone at once: all of it, and the transfer alone.
fn grouped_us(params: &NcclParams, version: NcclVersion, shape: &Shape) -> (f64, f64) {
    let start = params.grouped_start_us + params.grouped_peers_us * libm::log2(shape.n_gpus);
    let transfer = if shape.shard() <= GROUPED_LL_MAX {
        transfer_us(shape.sent(), params.ll_rate, shape)
    } else {
        let chunks = shape.n_gpus * shape.shard().min(GROUPED_CHUNK);
        let handled = shape.sent() + params.extra_shards * shape.shard();
        simple_us(params, handled, shape).max(transfer_us(chunks, params.grouped_rate, shape))
    };
    if shape.n_nodes == 1 {
        return (start + transfer, transfer);
    }
    let leaving = shape.n_per_node * (shape.n_gpus - shape.n_per_node) * shape.shard();
    let across = leaving / (1e3 * shape.nics * params.nic_efficiency);
    let net = version.tables().net(Path::Ring, Protocol::Simple);
    (start + net + transfer.max(across), transfer.max(across))
}
