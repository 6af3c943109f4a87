//! The figures of a card that kernels depend on.

use crate::inputs::topology::{Dtype, GpuCard};

/// A card as kernels of one number format see it.
///
/// # Units
///
/// Rates are per microsecond, as times are microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chip {
    /// Streaming multiprocessors.
    pub n_sms: f64,
    /// Peak of dense matrix arithmetic, FLOP/us.
    pub matrix: f64,
    /// Rate of the device memory, bytes/us.
    pub memory: f64,
    /// Size of the L2 cache in bytes.
    pub l2: f64,
}

impl Chip {
    /// The figures of `card` for arithmetic on `dtype`; none where the card cannot do that.
    pub fn new(card: &GpuCard, dtype: Dtype) -> Option<Self> {
        let peak = card.peak.get(&dtype)?;
        Some(Self {
            n_sms: f64::from(card.n_sms),
            matrix: peak.per_sec() / 1e6,
            memory: card.memory_bandwidth.bytes_per_sec() as f64 / 1e6,
            l2: card.l2.0 as f64,
        })
    }
}
