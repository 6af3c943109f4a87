//! The rows of the experts of one rank.

/// Heights of the tiles that libraries choose from.
pub const TILE_ROWS: [u64; 4] = [16, 32, 64, 128];

/// Rows of the experts of one rank, as far as time depends on them; expectations are not whole numbers.
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
