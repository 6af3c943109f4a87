//! The parameters of grouped experts.

use crate::timing::params::params;

params! {
    /// Parameters of grouped experts.
    ///
    /// Shares above 1 count as 1, so that no time is below what the card could do.
    MoeParams {
        /// Launches of all kernels of the operator, microseconds.
        launch_us: 30.0,
        /// Extra time of the gate beyond the experts that its kernel can handle, microseconds.
        wide_gate_us: 15.0,
        /// Bytes that the gate moves for each token and expert.
        gate_bytes: 35.0,
        /// Share of the memory's rate that is reached.
        memory_share: 0.9,
        /// Share of the peak that the best tile of 128 rows reaches.
        matrix_share: 0.6,
        /// Rows of a tile whose arithmetic takes as long as loading its weights.
        half_rows: 20.0,
        /// Share of the peak that tiles of the fixed rule for few tokens reach.
        small_share: 0.35,
        /// Share of the peak that tiles of the fixed rule for many tokens reach.
        large_share: 0.4,
        /// Weight of the fixed rule of the library where it has no tuned tile: 0 for the best tile, 1 for the rule.
        fixed_rule: 0.4,
        /// Time of a tile alone on its SM beside one among many.
        lone_tile: 1.2,
        /// Share of a wave of tiles in which the memory waits for the last.
        last_wave: 0.2,
        /// Overlap of arithmetic and memory: 1 for one after the other, large for the longer of both.
        overlap: 1.8,
        /// Extra time of tiles of the fixed rule with inputs far beyond the L2, as a share of their time.
        spill: 1.0,
        /// Extra time of weights whose rows are not a multiple of 16 numbers, as a share of the product's time.
        misaligned: 1.8,
        /// Passes over a row of the residual stream around the products.
        passes: 2.2,
        /// Share of the rows of other ranks that pass through all kernels nevertheless.
        foreign_rows: 0.3,
        /// Share of the rows that rounding a skewed load leaves over which idle experts get.
        leftover_idle: 0.5,
    }
}
