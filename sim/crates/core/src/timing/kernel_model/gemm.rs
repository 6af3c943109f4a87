//! Products of activations with weights, as cuBLAS and CUTLASS compute them.
//!
//! A kernel cuts the result into tiles, and may cut the depth too. Multiprocessors take tiles in rounds; in the last
//! round some have none. Of all ways to cut, the fastest counts: libraries choose well, though not always.

use super::{Chip, Demand};
use crate::inputs::measurement::{GemmWork, Work};
use crate::timing::params::params;

/// Rows and columns of the tiles that a kernel may use.
///
/// # Source
///
/// The menu of cuBLAS and CUTLASS for tensor cores (`CUBLASLT_MATMUL_TILE_*`, `ampere_*_s16816gemm_*`). Tiles that are
/// taller than wide and those of 32x32 were tried and changed no error.
const TILES: [Tile; 6] = [
    Tile { rows: 128.0, columns: 256.0 },
    Tile { rows: 128.0, columns: 128.0 },
    Tile { rows: 64.0, columns: 256.0 },
    Tile { rows: 64.0, columns: 128.0 },
    Tile { rows: 64.0, columns: 64.0 },
    Tile { rows: 32.0, columns: 64.0 },
];

/// Into how many parts the depth may be cut.
const SPLITS: [f64; 10] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0];

/// Bytes of each row that a step through the depth reads: 32 elements of 16 bits, as `CUTLASS` stages them.
const STEP_BYTES: f64 = 64.0;

/// Fewer steps than this are not worth a part.
const PART_STEPS_MIN: f64 = 4.0;

/// Up to this area two tiles share a multiprocessor: registers and stages of a larger one leave no room.
const AREA_SHARED: f64 = 8192.0;

/// Partial sums are 32 bits wide; they are written and read.
const PARTIAL_BYTES: f64 = 8.0;

params! {
    /// Parameters of products.
    ///
    /// # Units
    ///
    /// Times are microseconds; the others are shares and ratios beside the chip's figures.
    ///
    /// # Source
    ///
    /// The values to start from: fitted to three stacks on an A100 of 80 GB together.
    GemmParams {
        /// From the kernel's start to its first load, and its end.
        launch_us: 2.861,
        /// Share of the matrix peak inside a tile before loads count; above 1 where loads hide behind arithmetic.
        matrix_share: 0.9225,
        /// Rate from the L2 cache to all multiprocessors as a multiple of the memory's rate.
        l2_ratio: 2.949,
        /// Share of the memory's rate that large transfers reach.
        memory_share: 0.8064,
        /// A transfer of this duration takes twice as long.
        memory_ramp_us: 0.3606,
        /// The shortest time of a step through the depth: latency over the stages in flight.
        step_us: 0.1437,
        /// Start of a tile.
        tile_us: 0.4564,
        /// Writing a tile as a multiple of its bytes at the memory's rate.
        write_ratio: 0.912,
        /// Share of the idle part of rounds that vanishes because multiprocessors drift apart; 1 at most.
        drift: 0.5524,
        /// Mutual delay of arithmetic and memory when both take as long.
        contention: 0.2319,
        /// Time of a cut through the depth, once.
        split_us: 2.293,
        /// Partial sums as a multiple of their bytes at the memory's rate.
        reduce_ratio: 0.3181,
    }
}

/// Part of the result that one block of threads computes.
#[derive(Clone, Copy, Debug)]
struct Tile {
    rows: f64,
    columns: f64,
}

impl Tile {
    fn area(self) -> f64 {
        self.rows * self.columns
    }

    /// Number of tiles that a multiprocessor holds at once.
    fn n_resident(self) -> f64 {
        if self.area() <= AREA_SHARED { 2.0 } else { 1.0 }
    }
}

/// Microseconds of a product, launch included.
///
/// # Shapes
///
/// `A: [m, k]`, `B: [k, n]`, `C: [m, n]`; one multiply-add counts as 2 FLOPs.
pub fn gemm_us(params: &GemmParams, work: &GemmWork, chip: &Chip) -> f64 {
    let (demand, _) = Demand::of(&Work::Gemm(*work)).expect("products have a demand");
    let product = Product::new(params, work, chip, &demand);
    let best = TILES.iter().fold(f64::INFINITY, |best, &tile| product.with_tile_us(tile, best));
    params.launch_us + best.max(demand.bound_us(chip))
}

/// A product on a chip.
struct Product<'a> {
    params: &'a GemmParams,
    chip: &'a Chip,
    m: f64,
    n: f64,
    k: f64,
    element_bytes: f64,
    /// Inputs and output once through memory.
    memory_us: f64,
}

impl<'a> Product<'a> {
    fn new(params: &'a GemmParams, work: &GemmWork, chip: &'a Chip, demand: &Demand) -> Self {
        let streamed = demand.bytes / (chip.memory * params.memory_share);
        Self {
            params,
            chip,
            m: work.m as f64,
            n: work.n as f64,
            k: work.k as f64,
            element_bytes: work.dtype.bytes() as f64,
            memory_us: streamed + (streamed * params.memory_ramp_us).sqrt(),
        }
    }

    /// The best time with `tile` over all cuts through the depth, or `best` where that is better.
    fn with_tile_us(&self, tile: Tile, mut best: f64) -> f64 {
        let n_tiles = (self.m / tile.rows).ceil() * (self.n / tile.columns).ceil();
        let step = self.step_us(tile);
        let edge = self.edge_us(tile);
        // However it is cut, all multiprocessors together take this long.
        let n_steps = self.k * self.element_bytes / STEP_BYTES;
        let floor = self.memory_us.max(n_steps * n_tiles / self.chip.n_sms * step);
        for parts in SPLITS {
            let reduce = self.reduce_us(parts);
            if floor + reduce >= best {
                break;
            }
            let on_chip =
                self.on_chip_us(n_tiles * parts, self.n_steps(parts), step, edge, tile.n_resident());
            let (long, short) = (on_chip.max(self.memory_us), on_chip.min(self.memory_us));
            let overlap = (short / long) * (short / long);
            best = best.min(long * (1.0 + self.params.contention * overlap * overlap) + reduce);
        }
        best
    }

    /// A step through the depth with one tile on each multiprocessor: arithmetic and loads from L2.
    fn step_us(&self, tile: Tile) -> f64 {
        let depth = STEP_BYTES / self.element_bytes;
        let share = self.chip.n_sms;
        let arithmetic = 2.0 * tile.area() * depth * share / (self.chip.matrix * self.params.matrix_share);
        let loads =
            (tile.rows + tile.columns) * STEP_BYTES * share / (self.chip.memory * self.params.l2_ratio);
        (arithmetic * arithmetic + loads * loads).sqrt()
    }

    /// Start and end of a tile; starts of tiles that share a multiprocessor overlap.
    fn edge_us(&self, tile: Tile) -> f64 {
        let written = tile.area() * self.element_bytes * self.chip.n_sms / self.chip.memory;
        self.params.tile_us / tile.n_resident() + self.params.write_ratio * written
    }

    fn n_steps(&self, parts: f64) -> f64 {
        let steps = (self.k * self.element_bytes / (parts * STEP_BYTES)).ceil();
        if parts > 1.0 { steps.max(PART_STEPS_MIN) } else { steps }
    }

    /// The multiprocessors' time for `n_tiles` of `n_steps`.
    fn on_chip_us(&self, n_tiles: f64, n_steps: f64, step: f64, edge: f64, n_resident: f64) -> f64 {
        let latency = self.params.step_us;
        let per_sm = n_tiles / self.chip.n_sms;
        let busiest = per_sm.ceil();
        let n_full = (busiest / n_resident).floor();
        let left = busiest - n_full * n_resident;
        let last = if left > 0.0 { (left * step).max(latency) } else { 0.0 };
        let in_rounds = n_full * (n_resident * step).max(latency) + last;
        let even = (per_sm * step).max(latency);
        let drift = self.params.drift.min(1.0);
        n_steps * ((1.0 - drift) * in_rounds + drift * even) + busiest * edge
    }

    /// Partial sums of a depth in `parts`.
    fn reduce_us(&self, parts: f64) -> f64 {
        if parts > 1.0 {
            let bytes = parts * self.m * self.n * PARTIAL_BYTES;
            self.params.split_us + self.params.reduce_ratio * bytes / self.chip.memory
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests;
