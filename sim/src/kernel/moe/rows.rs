//! How many rows each expert of the hottest rank gets.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::draws;
use crate::measurement::{Distribution, MoeWork};

/// Heights of the tiles that libraries choose from.
pub const TILE_ROWS: [u64; 4] = [16, 32, 64, 128];
/// Summaries that are kept; beyond that all are forgotten.
const N_KEPT_MAX: usize = 4096;

/// What the experts of one rank get, as far as time depends on it; expectations are not whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertRows {
    /// Experts of the rank.
    pub n_experts: f64,
    /// Tokens that the kernel is given, whether an expert of this rank wants them or not.
    pub tokens: f64,
    /// Rows over all experts of the rank: a token is a row of each expert that it chose.
    pub rows: f64,
    /// Experts with at least one row: their weights are read.
    pub n_activated: f64,
    /// Tiles that cover the rows of every expert, for each of [`TILE_ROWS`].
    pub blocks: [f64; TILE_ROWS.len()],
}

impl ExpertRows {
    /// The summary of a rank whose experts get `counts` of `tokens` tokens.
    pub fn new(tokens: u64, counts: &[u64]) -> Self {
        let mut rows = Self::empty(tokens, counts.len() as u64);
        for &count in counts {
            rows.add(count, 1);
        }
        rows
    }

    pub(super) fn empty(tokens: u64, n_experts: u64) -> Self {
        Self {
            n_experts: n_experts as f64,
            tokens: tokens as f64,
            rows: 0.0,
            n_activated: 0.0,
            blocks: [0.0; TILE_ROWS.len()],
        }
    }

    /// Gives `count` rows to each of `n` experts.
    pub(super) fn add(&mut self, count: u64, n: u64) {
        if count == 0 {
            return;
        }
        self.rows += (count * n) as f64;
        self.n_activated += n as f64;
        for (blocks, height) in self.blocks.iter_mut().zip(TILE_ROWS) {
            // Rounded up; heights are powers of two, and a division would take most of the time of a draw.
            *blocks += (((count + height - 1) >> height.trailing_zeros()) * n) as f64;
        }
    }

    /// Adds `other` in the share `weight`.
    pub(super) fn accumulate(&mut self, other: &Self, weight: f64) {
        self.rows += other.rows * weight;
        self.n_activated += other.n_activated * weight;
        for (mine, theirs) in self.blocks.iter_mut().zip(other.blocks) {
            *mine += theirs * weight;
        }
    }
}

/// The expected rows of the hottest rank of `work`.
///
/// Where tokens are fewer than experts, what rounding leaves over decides which experts are active: `idle_share` of it
/// goes to idle experts beside each other, the rest to the busiest.
pub fn hottest_rank(work: &MoeWork, idle_share: f64) -> ExpertRows {
    let to_idle = idle_share.clamp(0.0, 1.0);
    let [busiest, idle] = drawn(work);
    let mut rows = ExpertRows { rows: 0.0, n_activated: 0.0, blocks: [0.0; TILE_ROWS.len()], ..busiest };
    rows.accumulate(&busiest, 1.0 - to_idle);
    rows.accumulate(&idle, to_idle);
    rows
}

/// Everything that the draws depend on; the exponent as its bits.
type Key = (u64, u64, u64, u64, u8, u64);

/// The summaries with leftovers given to the busiest and to idle experts, from what this thread has seen before.
fn drawn(work: &MoeWork) -> [ExpertRows; 2] {
    thread_local! {
        static SEEN: RefCell<BTreeMap<Key, [ExpertRows; 2]>> = const { RefCell::new(BTreeMap::new()) };
    }
    let (kind, exponent) = match work.distribution {
        Distribution::Balanced => return [balanced(work); 2],
        Distribution::Uniform => (0, 0),
        Distribution::PowerLaw { exponent } => (1, exponent.to_bits()),
    };
    let key = (work.tokens, work.top_k, work.n_experts, work.ep, kind, exponent);
    SEEN.with_borrow_mut(|seen| {
        if let Some(rows) = seen.get(&key) {
            return *rows;
        }
        if N_KEPT_MAX <= seen.len() {
            seen.clear();
        }
        let rows = draws::expected(work);
        seen.insert(key, rows);
        rows
    })
}

/// Every expert gets as many; the rank that is timed has the larger share of what does not divide.
fn balanced(work: &MoeWork) -> ExpertRows {
    let n_experts = work.n_experts.div_ceil(work.ep);
    let rows = (work.tokens * work.top_k).div_ceil(work.ep);
    let mut summary = ExpertRows::empty(work.tokens, n_experts);
    summary.add(rows / n_experts + 1, rows % n_experts);
    summary.add(rows / n_experts, n_experts - rows % n_experts);
    summary
}
