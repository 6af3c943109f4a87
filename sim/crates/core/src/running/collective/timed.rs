//! Flows that take a given time when they are alone.

use masim_engine::Flow;
use masim_units::{Bandwidth, Bytes, SimDuration};

/// Picoseconds in a second.
const PS_PER_SEC: u128 = 1_000_000_000_000;

/// How long a flow takes where no link holds it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// From the start to the end.
    pub(crate) total: SimDuration,
    /// The part of it in which bytes are on their way.
    pub(crate) transfer: SimDuration,
}

impl Timing {
    /// From microseconds.
    pub(crate) fn from_us(total: f64, transfer: f64) -> Self {
        let duration =
            |us: f64| SimDuration::from_secs_ceil(us * 1e-6).unwrap_or(SimDuration::from_ps(u64::MAX / 4));
        Self { total: duration(total), transfer: duration(transfer.min(total)) }
    }
}

/// How finely rates are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// To the byte per second.
    Exact,
    /// To 7 bits, at most 1.6 % faster: sizes that differ from step to step then have few rates, and the
    /// network has few classes of flows.
    Coarse,
}

/// `flow` with the rate and the latency by which it takes what `timing` says.
///
/// Rates are whole bytes per second, and the latency makes up for what they miss.
pub(crate) fn timed(flow: Flow, timing: Timing, grain: Grain) -> Flow {
    let rate = rate(flow.bytes, timing.transfer, grain);
    let on_the_way = rate.and_then(|rate| flow.bytes.time_at(rate)).unwrap_or_default();
    Flow { latency: timing.total.saturating_sub(on_the_way), rate_cap: rate, ..flow }
}

/// The least rate on the grain that takes no longer than `time`; none where no byte takes any.
fn rate(bytes: Bytes, time: SimDuration, grain: Grain) -> Option<Bandwidth> {
    if bytes == Bytes::ZERO || time == SimDuration::ZERO {
        return None;
    }
    let exact = (u128::from(bytes.0) * PS_PER_SEC).div_ceil(u128::from(time.as_ps()));
    let exact = u64::try_from(exact).ok()?;
    let rate = match grain {
        Grain::Exact => exact,
        Grain::Coarse => {
            let dropped = (u64::BITS - exact.leading_zeros()).saturating_sub(7);
            exact.checked_add((1 << dropped) - 1)? >> dropped << dropped
        }
    };
    Bandwidth::new(rate)
}

#[cfg(test)]
mod tests {
    use masim_engine::PathId;

    use super::*;

    #[test]
    fn a_timed_flow_takes_its_time() {
        for grain in [Grain::Exact, Grain::Coarse] {
            for (bytes, total, transfer) in [(1_000_003, 50.0, 7.3), (1, 3.0, 0.001), (1 << 34, 9e4, 8.9e4)] {
                let timing = Timing::from_us(total, transfer);
                let bare =
                    Flow { path: PathId(0), bytes: Bytes(bytes), latency: SimDuration::ZERO, rate_cap: None };
                let flow = timed(bare, timing, grain);
                let on_the_way = flow.bytes.time_at(flow.rate_cap.unwrap()).unwrap();
                assert_eq!(flow.latency + on_the_way, timing.total);
                assert!(on_the_way <= timing.transfer);
                let least = if grain == Grain::Exact { 0.999 } else { 0.983 };
                assert!(bytes < 100 || on_the_way.as_us() >= least * transfer, "{on_the_way:?}");
            }
        }
    }

    #[test]
    fn nothing_to_send_is_latency_alone() {
        let bare = Flow { path: PathId(0), bytes: Bytes::ZERO, latency: SimDuration::ZERO, rate_cap: None };
        let flow = timed(bare, Timing::from_us(5.0, 0.0), Grain::Exact);
        assert_eq!((flow.rate_cap, flow.latency.as_us()), (None, 5.0));
    }
}
