//! One product of every expert of a rank with its rows.

use super::params::MoeParams;
use super::rows::{ExpertRows, TILE_ROWS};
use crate::kernel::Chip;

/// Weights `[k, n]` of each expert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// Columns.
    pub n: f64,
    /// Depth.
    pub k: f64,
    /// Bytes of a number.
    pub bytes: f64,
    /// Whether the library has a tuned tile for these experts.
    pub tuned: bool,
}

/// A tile of the output and how well it runs.
struct Tile {
    rows: f64,
    columns: f64,
    /// How many of them cover the rows, a column of tiles.
    n_blocks: f64,
    /// Share of the peak.
    share: f64,
    /// What inputs beyond the L2 cost.
    spill: f64,
}

/// Columns of the tiles that a tuned library chooses from.
const COLUMNS: f64 = 128.0;
/// Largest height: where the parameter of efficiency holds.
const ROWS_MAX: f64 = 128.0;
/// The library's fixed rule: tiles of 16 x 32 up to one token for each expert, then 64 x 64.
const SMALL: (usize, f64) = (0, 32.0);
const LARGE: (usize, f64) = (2, 64.0);
/// Numbers that rows of weights must be a multiple of to be loaded in full width.
const ALIGNED: f64 = 16.0;
/// Inputs as many times the L2 have half of the effect.
const SPILL_HALF: f64 = 4.0;

/// Microseconds of one grouped product without its launch.
///
/// # Shapes
///
/// `[rows of the expert, k] x [k, n]` for each expert.
pub fn product_us(params: &MoeParams, rows: &ExpertRows, product: Product, chip: &Chip) -> f64 {
    if rows.rows <= 0.0 {
        return 0.0;
    }
    let fixed = if product.tuned { 0.0 } else { params.fixed_rule.min(1.0) };
    let best = (0..TILE_ROWS.len())
        .map(|idx| tile_us(params, rows, product, best_tile(params, rows, idx), chip))
        .fold(f64::INFINITY, f64::min);
    let ruled = tile_us(params, rows, product, ruled_tile(params, rows), chip);
    let misaligned = if product.k % ALIGNED == 0.0 { 0.0 } else { params.misaligned };
    (best + fixed * (ruled - best)) * (1.0 + misaligned)
}

fn best_tile(params: &MoeParams, rows: &ExpertRows, idx: usize) -> Tile {
    let height = TILE_ROWS[idx] as f64;
    // A tile reads as many weights whatever its height.
    let share =
        params.matrix_share * height / ROWS_MAX * (ROWS_MAX + params.half_rows) / (height + params.half_rows);
    Tile { rows: height, columns: COLUMNS, n_blocks: rows.blocks[idx], share, spill: 0.0 }
}

fn ruled_tile(params: &MoeParams, rows: &ExpertRows) -> Tile {
    let ((idx, columns), share, spill) = match rows.tokens <= rows.n_experts {
        true => (SMALL, params.small_share, 0.0),
        false => (LARGE, params.large_share, params.spill),
    };
    Tile { rows: TILE_ROWS[idx] as f64, columns, n_blocks: rows.blocks[idx], share, spill }
}

/// Arithmetic of all tiles and memory traffic, of which the shorter is hidden in part.
fn tile_us(params: &MoeParams, rows: &ExpertRows, product: Product, tile: Tile, chip: &Chip) -> f64 {
    let Product { n, k, bytes, .. } = product;
    let per_sm = tile.n_blocks * (n / tile.columns).ceil() / chip.n_sms;
    let inputs = bytes * k * rows.tokens.min(rows.rows);
    let spilled = inputs / (inputs + SPILL_HALF * chip.l2);
    let rate = chip.matrix / chip.n_sms * tile.share.min(1.0);
    let one_us = 2.0 * tile.rows * tile.columns * k / rate * (1.0 + tile.spill * spilled);
    // Alone on its SM a tile waits for memory at each step of its depth.
    let arithmetic = one_us * libm::hypot(params.lone_tile, per_sm);
    let traffic = bytes * (rows.n_activated * n * k + rows.rows * (n + k));
    let n_waves = rows.n_activated * n / tile.columns / chip.n_sms;
    let last_wave = 1.0 + params.last_wave / n_waves.max(1.0);
    let memory = traffic / (chip.memory * params.memory_share.min(1.0)) * last_wave;
    longer(arithmetic, memory, params.overlap.max(1.0))
}

/// The `power` norm of both: their sum for 1, the longer of both for large ones.
fn longer(a: f64, b: f64, power: f64) -> f64 {
    let (most, least) = (a.max(b), a.min(b));
    most * libm::pow(1.0 + libm::pow(least / most, power), 1.0 / power)
}
