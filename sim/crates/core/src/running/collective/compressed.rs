//! All-reduce of a buffer that is quantised to 8 bits on the way.
//!
//! A ring cannot add what is quantised: sums would need more bits at every step, or another rounding. So each GPU quantises its
//! buffer, sends to every other GPU that GPU's shard, adds up what it gets in fp32, quantises the sum, and all gather it.

use masim_units::{Bytes, SimDuration};

use super::{Collective, CollectiveKind, Collectives};
use crate::fabric::Fabric;
use crate::inputs::topology::{GpuCard, GpuIdx};
use crate::work::collectives::Quantised;

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

/// The compressed all-reduce of `bytes` of values of `value_bytes` by `group`, each launch of a kernel or of communication costing `launch`
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
    (bytes, value_bytes): (Bytes, u64),
    launch: SimDuration,
    fabric: &mut Fabric,
) -> Option<Compressed> {
    let card = fabric.cluster().gpu(group[0]).card.clone();
    let buffers = Quantised::new(bytes, value_bytes, group.len() as u64);
    let all = buffers.all;
    let by = |kind, bytes, fabric: &mut Fabric| collectives.by(kind, None, group, bytes, fabric);
    let exchange = by(CollectiveKind::AllToAll, all, fabric)?;
    let gather = by(CollectiveKind::AllGather, all, fabric)?;
    let plain = by(CollectiveKind::AllReduce, bytes, fabric)?;
    let kernel = |moved: Bytes| memory_time(&card, moved.0).saturating_add(launch);
    let [quantise, reduce, expand] = buffers.traffic().map(kernel);
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
