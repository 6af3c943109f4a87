//! All-reduce of a buffer that is quantised to 8 bits on the way.
//!
//! A ring cannot add what is quantised: sums would need more bits at every step, or another rounding. So each GPU quantises its
//! buffer, sends to every other GPU that GPU's shard, adds up what it gets in fp32, quantises the sum, and all gather it.

use masim_units::{Bytes, SimDuration};

use super::{Collective, CollectiveKind, Collectives};
use crate::topology::{GpuCard, GpuIdx};
use crate::wires::Wires;

/// Values that share a scale.
const N_PER_SCALE: u64 = 256;

/// Bytes of a scale (fp32).
const SCALE_BYTES: u64 = 4;

/// Bytes of a value before it is quantised (bf16).
const WIDE_BYTES: u64 = 2;

/// A compressed all-reduce beside the one that it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Quantise the own buffer: read it, write 8-bit values and scales.
    pub quantise: SimDuration,
    /// Quantised shards to their GPUs.
    pub exchange: Collective,
    /// Add n shards in fp32 and quantise the sum: read n, write one.
    pub reduce: SimDuration,
    /// Quantised sums to everyone.
    pub gather: Collective,
    /// Turn all sums into bf16: read quantised values, write wide ones.
    pub expand: SimDuration,
    /// All of it.
    pub time: SimDuration,
    /// What a GPU sends, scales included.
    pub sent: Bytes,
    /// The all-reduce in bf16.
    pub plain: Collective,
    /// How long that takes.
    pub plain_time: SimDuration,
    /// What a GPU sends in it.
    pub plain_sent: Bytes,
}

impl Compressed {
    /// How many times faster than without compression; below 1 where the kernels cost more than the wires save.
    pub fn speedup(&self) -> f64 {
        self.plain_time.as_us() / self.time.as_us()
    }
}

/// Bytes of `n_values` quantised values with their scales.
pub const fn quantised(n_values: u64) -> Bytes {
    Bytes(n_values + n_values.div_ceil(N_PER_SCALE) * SCALE_BYTES)
}

/// The compressed all-reduce of `bytes` of bf16 by `group`, each launch of a kernel or of communication costing `launch`
/// where no profile says otherwise; `None` where the group has no way to exchange.
///
/// Kernels go at the memory bandwidth that the card's roofline states.
///
/// # Panics
///
/// For a group of fewer than two GPUs.
///
/// # Source
///
/// Dettmers, "8-bit approximations for parallelism in deep learning", 2016; Wang et al., "`ZeRO++`", 2023 (block quantisation with a
/// scale for each block, all-to-all in place of a ring).
pub fn compressed(
    collectives: &Collectives,
    group: &[GpuIdx],
    bytes: Bytes,
    launch: SimDuration,
    wires: &mut Wires,
) -> Option<Compressed> {
    let n = group.len() as u64;
    let card = wires.cluster().gpu(group[0]).card.clone();
    let n_values = bytes.0.div_ceil(WIDE_BYTES);
    let n_of_shard = n_values.div_ceil(n);
    let (shard, all) = (quantised(n_of_shard), Bytes(quantised(n_of_shard).0 * n));
    let by = |kind, bytes, wires: &mut Wires| collectives.by(kind, None, group, bytes, wires);
    let exchange = by(CollectiveKind::AllToAll, all, wires)?;
    let gather = by(CollectiveKind::AllGather, all, wires)?;
    let plain = by(CollectiveKind::AllReduce, bytes, wires)?;
    let kernel = |read: u64, written: u64| memory_time(&card, read + written).saturating_add(launch);
    let quantise = kernel(bytes.0, all.0);
    let reduce = kernel(all.0, shard.0);
    let expand = kernel(all.0, bytes.0);
    let time = [quantise, exchange.time_with(launch), reduce, gather.time_with(launch), expand];
    let time = time.into_iter().fold(SimDuration::ZERO, SimDuration::saturating_add);
    let sent = |kind: CollectiveKind, bytes| kind.sent(bytes, group.len());
    Some(Compressed {
        quantise,
        reduce,
        expand,
        time,
        sent: sent(CollectiveKind::AllToAll, all) + sent(CollectiveKind::AllGather, all),
        plain_time: plain.time_with(launch),
        plain_sent: sent(CollectiveKind::AllReduce, bytes),
        exchange,
        gather,
        plain,
    })
}

/// Time to move `bytes` in or out of device memory.
fn memory_time(card: &GpuCard, bytes: u64) -> SimDuration {
    let secs = bytes as f64 / (card.memory_bandwidth.bytes_per_sec() as f64 * card.roofline.memory);
    SimDuration::from_secs_ceil(secs).unwrap_or(SimDuration::from_ps(u64::MAX))
}
