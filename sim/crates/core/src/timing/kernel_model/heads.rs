//! Reads, products and outputs of the heads of attention.

use super::Chip;

/// Rows of queries that a block multiplies at once, used or not.
///
/// # Source
///
/// Dao, "FlashAttention-2", 2023: tiles of 64 or 128 rows; the kernels over paged caches take 64.
pub(super) const TILE_ROWS: f64 = 64.0;

/// Cost of the exponentials of a score, as further columns of its products.
///
/// # Source
///
/// An A100 does 16 exponentials and 1024 multiply-adds of matrices in a cycle of an SM, so that one costs as much as 32
/// columns of both products; about half hides behind them. FlashAttention-2 on an RTX 4090, which has half the matrix
/// rate, does 127, 142 and 151 TFLOP/s at head dimensions 32, 64 and 128 (benchmark of TVM's tile language): 8 columns.
const SOFTMAX_COLUMNS: f64 = 16.0;

/// The heads of one GPU, as an attention kernel sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Query heads.
    pub n_heads: f64,
    /// Key/value heads that are read apart; query heads share them evenly.
    pub n_kv_heads: f64,
    /// Width of a query and a key.
    pub score_dim: f64,
    /// Width of a value.
    pub value_dim: f64,
    /// Elements read for each key, of all heads together.
    pub n_read: f64,
    /// Elements that the cache keeps of each token.
    pub n_kept: f64,
}

impl Heads {
    /// Heads of one width with a key and a value each for `n_kv_heads` groups.
    pub fn grouped(n_heads: u64, n_kv_heads: u64, head_dim: u64) -> Self {
        let (n_kv_heads, head_dim) = (n_kv_heads as f64, head_dim as f64);
        let n_kept = 2.0 * n_kv_heads * head_dim;
        let n_heads = n_heads as f64;
        Self { n_heads, n_kv_heads, score_dim: head_dim, value_dim: head_dim, n_read: n_kept, n_kept }
    }

    /// Query heads that share a key.
    pub(super) fn group(self) -> f64 {
        self.n_heads / self.n_kv_heads
    }

    /// Elements of the queries and outputs of one token.
    pub(super) fn n_query(self) -> f64 {
        self.n_heads * (self.score_dim + self.value_dim)
    }

    /// FLOPs for each pair of a query and a key, of all heads.
    pub(super) fn pair_flop(self) -> f64 {
        2.0 * self.n_query()
    }

    /// Time for which one SM multiplies a tile of queries with one key and its value.
    pub(super) fn tile_key_us(self, matrix_share: f64, chip: &Chip) -> f64 {
        let columns = self.score_dim + self.value_dim + 2.0 * SOFTMAX_COLUMNS;
        2.0 * TILE_ROWS * columns * chip.n_sms / (chip.matrix * matrix_share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keys: 64 rows * 2 * (128 + 128 + 32) columns = 36 864 FLOP;
    /// SM:   312e6 FLOP/us / 108 * 0.5              = 1 444 444 FLOP/us; 36 864 / 1 444 444 = 0.025 521 us
    #[test]
    fn a_key_takes_the_time_of_its_columns() {
        let chip = Chip { n_sms: 108.0, matrix: 312e6, memory: 2.039e6, l2: 40e6 };
        let heads = Heads::grouped(32, 8, 128);
        assert!((heads.tile_key_us(0.5, &chip) - 0.025_521).abs() < 1e-6);
        assert!((heads.group() - 4.0).abs() < 1e-12);
        assert!((heads.pair_flop() - 4.0 * 32.0 * 128.0).abs() < 1e-9);
    }
}
