//! Sets of flows that need no file: what GPUs commonly do to a network.

use masim_engine::LinkId;
use masim_units::{Bytes, SimDuration};

use super::case::Case;
use super::flow::CaseFlow;
use crate::fabric::nominal_rates;
use crate::inputs::topology::{Cluster, GpuIdx};

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every GPU to every other.
    AllToAll,
    /// A ring all-reduce over all GPUs in order, one flow round the ring.
    Ring,
    /// Every other GPU to the first.
    Incast,
    /// Every GPU to one other, and from one other: a random cycle, the same for the same number of GPUs.
    Permutation,
}

/// How large flows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All equal.
    Equal,
    /// From half to one and a half of the size, by who receives.
    ByDestination,
    /// The same, by sender and receiver.
    ByPair,
}

/// Why a pattern has no flows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nobody to send to.
    #[error("cluster `{0}` has one GPU, which has nobody to send to")]
    OneGpu(String),
    /// Too many flows.
    #[error("{n_flows} flows between {n_gpus} GPUs are more than {max}, the most that a case may have")]
    TooMany {
        /// With this cluster.
        n_flows: u64,
        /// Of the cluster.
        n_gpus: u32,
        /// The limit.
        max: usize,
    },
}

impl Pattern {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllToAll => "all_to_all",
            Self::Ring => "ring",
            Self::Incast => "incast",
            Self::Permutation => "permutation",
        }
    }

    /// The flows between the GPUs of `cluster`, all sent at once: `bytes` each; of a ring, `bytes` in the buffer
    /// that is reduced.
    ///
    /// # Errors
    ///
    /// [`PatternError`] where there are no flows, or too many.
    pub fn case(self, cluster: &Cluster, bytes: Bytes, sizes: Sizes) -> Result<Case, PatternError> {
        let n = cluster.n_gpus();
        if n < 2 {
            return Err(PatternError::OneGpu(cluster.name.clone()));
        }
        let n_flows = u64::from(n) * u64::from(n - 1);
        let max = super::file::N_FLOWS_MAX;
        if self == Self::AllToAll && n_flows > max as u64 {
            return Err(PatternError::TooMany { n_flows, n_gpus: n, max });
        }
        let pair = |(src, dst)| pair(cluster, src, dst, sized(bytes, sizes, src, dst));
        let flows = match self {
            Self::AllToAll => {
                let others = |src| (0..n).filter(move |&dst| dst != src).map(move |dst| (src, dst));
                (0..n).flat_map(others).map(pair).collect()
            }
            Self::Ring => vec![ring(cluster, bytes)],
            Self::Incast => (1..n).map(|src| pair((src, 0))).collect(),
            Self::Permutation => cycle(n).into_iter().map(pair).collect(),
        };
        Ok(Case {
            name: format!("{} on {}", self.name(), cluster.name),
            line: 0,
            links: nominal_rates(cluster),
            link_names: cluster.links.iter().map(|link| link.name.clone()).collect(),
            ends: cluster.gpus.iter().map(|gpu| gpu.name.clone()).collect(),
            flows,
            expected_s: None,
        })
    }
}

fn pair(cluster: &Cluster, src: u32, dst: u32, bytes: Bytes) -> CaseFlow {
    let route = cluster.route(GpuIdx(src), GpuIdx(dst));
    let start = SimDuration::ZERO;
    CaseFlow { src, dst, start, latency: route.latency, bytes, route: route.links.clone() }
}

/// `2 (n - 1) / n` of the bytes cross every link of the ring; each of `2 (n - 1)` steps waits for the slowest hop.
fn ring(cluster: &Cluster, bytes: Bytes) -> CaseFlow {
    let n = cluster.n_gpus();
    let steps = || (0..n).map(|src| cluster.route(GpuIdx(src), GpuIdx((src + 1) % n)));
    let links: Vec<LinkId> = steps().flat_map(|route| route.links.iter().copied()).collect();
    let slowest = steps().map(|route| route.latency.as_ps()).max().unwrap_or(0);
    let latency = SimDuration::from_ps(slowest.saturating_mul(2 * u64::from(n - 1)));
    let share = (u128::from(bytes.0) * 2 * u128::from(n - 1)).div_ceil(u128::from(n));
    let bytes = Bytes(u64::try_from(share).unwrap_or(u64::MAX));
    CaseFlow { src: 0, dst: 0, start: SimDuration::ZERO, latency, bytes, route: links }
}

/// The size of one flow.
fn sized(bytes: Bytes, sizes: Sizes, src: u32, dst: u32) -> Bytes {
    let draw = match sizes {
        Sizes::Equal => return bytes,
        Sizes::ByDestination => mixed(u64::from(dst)),
        Sizes::ByPair => mixed(u64::from(src) << 32 | u64::from(dst)),
    };
    let least = u128::from(bytes.0 / 2);
    let more = (u128::from(bytes.0) * u128::from(draw)) >> 64;
    Bytes(u64::try_from(least + more).unwrap_or(u64::MAX))
}

/// A cycle through all GPUs in random order.
fn cycle(n: u32) -> Vec<(u32, u32)> {
    let mut order: Vec<u32> = (0..n).collect();
    order.sort_by_key(|&gpu| mixed(u64::from(gpu)));
    let mut next: Vec<_> = (0..order.len()).map(|at| (order[at], order[(at + 1) % order.len()])).collect();
    next.sort_unstable();
    next
}

/// A number that looks random and is always the same.
///
/// # Source
///
/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (`SplitMix64`).
fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
