//! The integers in which the network computes: rates in 2^-16 B/s, service in 2^-16 B/s times picoseconds.
//!
//! Sums of integers do not depend on their order, so equal flows end in the same picosecond. At 1 GB/s the
//! quantum of a rate is 1.5e-14 of it: 0.02 ps in a second.

use masim_units::{Bandwidth, Bytes, PS_PER_SEC};

use crate::speed::{PARTS, Speed};

/// No limit at all; also the level of a link that does not saturate.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// Rate units in one byte per second.
const UNITS: u64 = 1 << 16;

/// A nominal bandwidth in rate units, or `None` from 2^48 B/s (281 TB/s) upwards.
pub(super) fn rate_of(bandwidth: Bandwidth) -> Option<u64> {
    bandwidth.bytes_per_sec().checked_mul(UNITS)
}

/// `nominal` at `speed`, or `None` from 281 TB/s upwards.
pub(super) fn rate_at(nominal: u64, speed: Speed) -> Option<u64> {
    let rate = u128::from(nominal) * u128::from(speed.as_ppm()) / u128::from(PARTS);
    u64::try_from(rate).ok().filter(|&rate| rate < UNLIMITED)
}

/// The service that `bytes` need.
pub(super) fn service_of(bytes: Bytes) -> u128 {
    u128::from(bytes.0) * u128::from(UNITS) * u128::from(PS_PER_SEC)
}

/// The service that `rate` gives in `ps`.
pub(super) fn served(rate: u64, ps: u64) -> u128 {
    u128::from(rate) * u128::from(ps)
}

/// Whole picoseconds until `left` is served at `rate`, or `None` beyond the representable range.
pub(super) fn time_for(left: u128, rate: u64) -> Option<u64> {
    match u64::try_from(left) {
        Ok(left) => Some(left.div_ceil(rate)),
        Err(_) => u64::try_from(left.div_ceil(u128::from(rate))).ok(),
    }
}
