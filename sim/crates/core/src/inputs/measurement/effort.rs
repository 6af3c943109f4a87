//! Upper limits of the work that a line may describe.

use super::table::{Mistake, Work};

/// Multiply-adds, or elements, of one operation: an A100 that reads as many elements is busy for two weeks.
const EFFORT_MAX: u64 = 1 << 60;

/// Refuses work that no machine would be asked to do, though each of its sizes may be sound by itself.
///
/// # Errors
///
/// The column with the largest size, and what all of them make together.
pub(super) fn check_effort(work: &Work) -> Result<(), Mistake> {
    for sizes in sizes(work) {
        let product = sizes.iter().map(|&(_, size)| size as f64).product::<f64>();
        if product > EFFORT_MAX as f64 {
            let (column, size) =
                sizes.into_iter().max_by_key(|&(_, size)| size).expect("a product has factors");
            let message = format!(
                "found {size}; with the other sizes of the line that makes {product:.1e} multiply-adds or elements, expected at \
                 most {EFFORT_MAX} (2^60)"
            );
            return Err((column, message));
        }
    }
    Ok(())
}

/// The sizes that make the work when they are multiplied, by column; those of communication are bounded one by one.
fn sizes(work: &Work) -> Vec<Vec<(&'static str, u64)>> {
    match work {
        Work::Gemm(it) => vec![vec![("m", it.m), ("n", it.n), ("k", it.k)]],
        Work::Prefill(it) => vec![vec![
            ("batch", it.batch),
            ("q_len", it.q_len),
            ("kv_len", it.kv_len),
            ("n_heads", it.n_heads),
            ("head_dim", it.head_dim),
        ]],
        Work::Decode(it) => vec![vec![
            ("batch", it.batch),
            ("kv_len", it.kv_len),
            ("n_heads", it.n_heads),
            ("head_dim", it.head_dim),
        ]],
        Work::Moe(it) => {
            let of_a_row = [("hidden", it.hidden), ("expert_hidden", it.expert_hidden)];
            let rows = [&[("tokens", it.tokens), ("top_k", it.top_k)], &of_a_row[..]].concat();
            vec![rows, [&[("n_experts", it.n_experts)], &of_a_row[..]].concat()]
        }
        Work::Elementwise(it) => vec![vec![("tokens", it.tokens), ("width", it.width)]],
        Work::Collective(_) | Work::Pairs(_) => Vec::new(),
    }
}
