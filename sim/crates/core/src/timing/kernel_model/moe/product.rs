//! One product of every expert of a rank with its rows.

use super::params::MoeParams;
use super::rows::{ExpertRows, TILE_ROWS};
use crate::timing::kernel_model::Chip;

/// Weights `[k, n]` of each expert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// Columns.
    pub n: u64,
    /// Depth.
    pub k: u64,
    /// Bytes of a number.
    pub bytes: u64,
    /// True if the library has a tuned tile for these experts.
    pub tuned: bool,
}

/// A tile of the output and how well it runs.
struct Tile {
    rows: f64,
    columns: f64,
    /// Number of tiles that cover the rows, in one column.
    n_blocks: f64,
    /// Share of the peak.
    share: f64,
}

/// Columns of the tiles that a tuned library chooses from.
const COLUMNS: f64 = 128.0;
/// Largest height: where the parameter of efficiency holds.
const ROWS_MAX: f64 = 128.0;
/// The library's fixed rule: tiles of 16 x 32 up to one token for each expert, then 64 x 64.
const SMALL: (usize, f64) = (0, 32.0);
const LARGE: (usize, f64) = (2, 64.0);
/// Numbers that rows of weights must be a multiple of to be loaded in full width.
const ALIGNED: u64 = 16;
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
    let best = best_us(params, rows, product, chip);
    let ruled = ruled_us(params, rows, product, chip);
    let misaligned = if product.k.is_multiple_of(ALIGNED) { 0.0 } else { params.misaligned };
    (best + fixed * (ruled - best)) * (1.0 + misaligned)
}

/// With the height of tiles that takes least arithmetic: traffic is the same for all.
fn best_us(params: &MoeParams, rows: &ExpertRows, product: Product, chip: &Chip) -> f64 {
    let arithmetic = std::iter::zip(TILE_ROWS, rows.blocks).map(|(height, n_blocks)| {
        let height = height as f64;
        // A tile reads as many weights whatever its height.
        let share = params.matrix_share * height / ROWS_MAX * (ROWS_MAX + params.half_rows)
            / (height + params.half_rows);
        arithmetic_us(params, product, &Tile { rows: height, columns: COLUMNS, n_blocks, share }, chip)
    });
    let least = arithmetic.fold(f64::INFINITY, f64::min);
    longer(least, memory_us(params, rows, product, COLUMNS, chip), params.overlap)
}

/// With the tile of the fixed rule.
fn ruled_us(params: &MoeParams, rows: &ExpertRows, product: Product, chip: &Chip) -> f64 {
    let few = rows.tokens <= rows.n_experts;
    let (idx, columns) = if few { SMALL } else { LARGE };
    let share = if few { params.small_share } else { params.large_share };
    let inputs = (product.bytes * product.k) as f64 * rows.tokens.min(rows.rows);
    let spilled = if few { 0.0 } else { params.spill * inputs / (inputs + SPILL_HALF * chip.l2) };
    let tile = Tile { rows: TILE_ROWS[idx] as f64, columns, n_blocks: rows.blocks[idx], share };
    let arithmetic = arithmetic_us(params, product, &tile, chip) * (1.0 + spilled);
    longer(arithmetic, memory_us(params, rows, product, columns, chip), params.overlap)
}

fn arithmetic_us(params: &MoeParams, product: Product, tile: &Tile, chip: &Chip) -> f64 {
    let per_sm = tile.n_blocks * (product.n as f64 / tile.columns).ceil() / chip.n_sms;
    let rate = chip.matrix / chip.n_sms * tile.share.min(1.0);
    let one_us = 2.0 * tile.rows * tile.columns * product.k as f64 / rate;
    // Alone on its SM a tile waits for memory at each step of its depth.
    one_us * (params.lone_tile * params.lone_tile + per_sm * per_sm).sqrt()
}

/// Weights of activated experts once, rows in and out.
fn memory_us(params: &MoeParams, rows: &ExpertRows, product: Product, columns: f64, chip: &Chip) -> f64 {
    let (n, k) = (product.n as f64, product.k as f64);
    let traffic = product.bytes as f64 * (rows.n_activated * n * k + rows.rows * (n + k));
    let n_waves = rows.n_activated * n / columns / chip.n_sms;
    let last_wave = 1.0 + params.last_wave / n_waves.max(1.0);
    traffic / (chip.memory * params.memory_share.min(1.0)) * last_wave
}

/// The norm of both: their sum for the power 1, the longer of both for large ones.
fn longer(a: f64, b: f64, power: f64) -> f64 {
    let (most, least, power) = (a.max(b), a.min(b), power.max(1.0));
    most * libm::pow(1.0 + libm::pow(least / most, power), 1.0 / power)
}
