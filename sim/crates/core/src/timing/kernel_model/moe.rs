//! The experts of one rank: gate, rows gathered by expert, two grouped products, and the weighted sum.
//!
//! The hottest rank is timed: ranks wait for it. Two kinds of libraries differ in parameters only: those that choose the
//! best tile for every shape, and those that follow a fixed rule but for shapes in a table.

pub mod rows;
mod draws;
pub mod hottest;
pub mod params;
pub mod product;
pub mod tuned;

#[cfg(test)]
mod tests;

use self::hottest::hottest_rank;
use self::params::MoeParams;
use self::product::{Product, product_us};
use self::rows::ExpertRows;
use self::tuned::is_tuned;
use super::Chip;
use crate::inputs::measurement::MoeWork;

/// Experts that the gate's own kernel handles; beyond, it is put together from several.
const GATE_EXPERTS_MAX: u64 = 128;

/// The experts that one rank holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experts {
    /// Experts of the rank.
    pub n_experts: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Hidden width of an expert on this rank.
    pub width: u64,
    /// Matrices `[hidden, width]` of an expert beside the one that leads back: 2 for gated ones, else 1.
    pub n_up: u64,
    /// Bytes of a number.
    pub bytes: u64,
}

impl Experts {
    /// The product that leads into the hidden width, and the one that leads back.
    pub fn products(&self) -> [Product; 2] {
        let tuned = is_tuned(self.n_experts, self.width);
        let product = |n, k| Product { n, k, bytes: self.bytes, tuned };
        [product(self.n_up * self.width, self.hidden), product(self.hidden, self.width)]
    }
}

/// Microseconds of the whole gated operator on its hottest rank, launches included.
pub fn moe_us(params: &MoeParams, work: &MoeWork, chip: &Chip) -> f64 {
    let experts = Experts {
        n_experts: work.n_experts.div_ceil(work.ep),
        hidden: work.hidden,
        width: work.expert_hidden.div_ceil(work.tp),
        n_up: 2,
        bytes: work.dtype.bytes(),
    };
    let rows = hottest_rank(work, params.leftover_idle);
    let n_foreign = ((work.tokens * work.top_k) as f64 - rows.rows).max(0.0);
    let products: f64 =
        experts.products().into_iter().map(|product| product_us(params, &rows, product, chip)).sum();
    params.launch_us
        + gate_us(params, work.tokens, work.n_experts, chip)
        + products
        + around_us(params, &rows, &experts, n_foreign, chip)
}

/// Microseconds of choosing among `n_experts` experts, without the scores and the launch.
pub fn gate_us(params: &MoeParams, tokens: u64, n_experts: u64, chip: &Chip) -> f64 {
    let wide = if n_experts <= GATE_EXPERTS_MAX { 0.0 } else { params.wide_gate_us };
    wide + params.gate_bytes * tokens as f64 * n_experts as f64 / memory(params, chip)
}

/// Microseconds of what lies around and between the products: rows gathered, activation, weighted sum.
///
/// `n_foreign` rows belong to other ranks; some libraries carry them along.
pub fn around_us(
    params: &MoeParams,
    rows: &ExpertRows,
    experts: &Experts,
    n_foreign: f64,
    chip: &Chip,
) -> f64 {
    let (hidden, width, n_up) = (experts.hidden as f64, experts.width as f64, experts.n_up as f64);
    // The activation reads what the first product wrote and writes one width.
    let own = rows.rows * (params.passes * hidden + (n_up + 1.0) * width);
    // Zeros for both products, then activation and sum as for rows of this rank.
    let foreign = params.foreign_rows * n_foreign * (2.0 * hidden + (2.0 * n_up + 1.0) * width);
    experts.bytes as f64 * (own + foreign + rows.tokens * hidden) / memory(params, chip)
}

/// The rate at which these kernels move bytes, bytes/us.
pub fn memory(params: &MoeParams, chip: &Chip) -> f64 {
    chip.memory * params.memory_share.min(1.0)
}
