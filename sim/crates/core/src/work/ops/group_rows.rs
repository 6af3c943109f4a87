//! How the rows of a grouped product lie over its experts.

use crate::timing::kernel_model::moe::rows::TILE_ROWS;

/// Rows by expert, as far as the time of a product depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupRows {
    /// Experts of the GPU.
    pub n_experts: u64,
    /// Tokens whose rows they are; a token has a row for each of its experts.
    pub tokens: u64,
    /// Rows over all experts.
    pub rows: u64,
    /// Experts with at least one row: their weights are read.
    pub n_activated: u64,
    /// Tiles that cover the rows of every expert, for each height of [`TILE_ROWS`].
    pub blocks: [u64; TILE_ROWS.len()],
}

impl GroupRows {
    /// `counts` rows for each expert of a GPU, of `tokens` tokens.
    pub fn of_counts(tokens: u64, counts: impl IntoIterator<Item = u64>) -> Self {
        let mut all = Self { n_experts: 0, tokens, rows: 0, n_activated: 0, blocks: [0; TILE_ROWS.len()] };
        for count in counts {
            all.n_experts += 1;
            all.rows += count;
            all.n_activated += u64::from(count > 0);
            for (blocks, height) in all.blocks.iter_mut().zip(TILE_ROWS) {
                *blocks += count.div_ceil(height);
            }
        }
        all
    }

    /// `rows` rows as evenly as they go over `n_activated` of `n_experts` experts.
    pub fn even(tokens: u64, rows: u64, (n_activated, n_experts): (u64, u64)) -> Self {
        let active = n_activated.min(rows);
        let (each, more) = (rows.checked_div(active).unwrap_or(0), rows.checked_rem(active).unwrap_or(0));
        let blocks = TILE_ROWS.map(|height| {
            more * (each + 1).div_ceil(height) + active.saturating_sub(more) * each.div_ceil(height)
        });
        Self { n_experts, tokens, rows, n_activated: active, blocks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 17 rows take 2 tiles of 16, 1 of 32; 16 rows 1 of each; nothing takes none.
    #[test]
    fn tiles_cover_the_rows_of_each_expert() {
        let rows = GroupRows::of_counts(20, [17, 16, 0]);
        assert_eq!((rows.n_experts, rows.rows, rows.n_activated), (3, 33, 2));
        assert_eq!(rows.blocks, [3, 2, 2, 2]);
    }

    #[test]
    fn an_even_load_is_that_of_equal_counts() {
        assert_eq!(
            GroupRows::even(8, 50, (3, 4)),
            GroupRows { n_experts: 4, ..GroupRows::of_counts(8, [17, 17, 16]) }
        );
        assert_eq!(GroupRows::even(0, 0, (3, 4)), GroupRows::of_counts(0, [0; 4]));
    }
}
