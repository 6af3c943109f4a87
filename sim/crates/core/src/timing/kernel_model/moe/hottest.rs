//! Number of rows of each expert of the hottest rank.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::draws;
use super::rows::{ExpertRows, TILE_ROWS};
use crate::inputs::measurement::{Distribution, MoeWork};

/// Summaries that are kept; beyond that all are forgotten.
const N_KEPT_MAX: usize = 4096;

/// The expected rows of the hottest rank of `work`.
///
/// With fewer tokens than experts, rows that rounding leaves over decide which experts are active: `idle_share` of them
/// go to idle experts beside each other, the rest to the busiest.
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
