//! Minimal arithmetic and memory traffic of work, and the roofline over them.

use super::Chip;
use super::moe::hottest::hottest_rank;
use crate::inputs::measurement::{ElementwiseKind, Work};
use crate::inputs::topology::{Dtype, GpuCard};

/// Arithmetic and traffic of one kernel, inputs and outputs once each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Operations on matrix units.
    pub flops: f64,
    /// Bytes from and to the device memory.
    pub bytes: f64,
}

impl Demand {
    /// Demand of `work` and its number format; none for communication.
    ///
    /// Experts count as if every rank had the mean load.
    pub fn of(work: &Work) -> Option<(Self, Dtype)> {
        let real = |n: u64| n as f64;
        let (dtype, flops, elements) = match *work {
            Work::Gemm(work) => {
                let (m, n, k) = (real(work.m), real(work.n), real(work.k));
                (work.dtype, 2.0 * m * n * k, m * k + k * n + m * n)
            }
            Work::Prefill(work) => {
                let (batch, heads) = (real(work.batch), real(work.n_heads) * real(work.head_dim));
                let (new, all) = (real(work.q_len), real(work.kv_len));
                // Every new token sees itself and all before it.
                let pairs = new * (all - new) + new * (new + 1.0) / 2.0;
                let caches = 2.0 * all * real(work.n_kv_heads) * real(work.head_dim);
                (work.dtype, 4.0 * batch * pairs * heads, batch * (2.0 * new * heads + caches))
            }
            Work::Decode(work) => {
                let (batch, heads) = (real(work.batch), real(work.n_heads) * real(work.head_dim));
                let old = real(work.kv_len);
                let caches = 2.0 * old * real(work.n_kv_heads) * real(work.head_dim);
                (work.dtype, 4.0 * batch * old * heads, batch * (2.0 * heads + caches))
            }
            Work::Moe(work) => {
                let rows = real(work.tokens) * real(work.top_k) / real(work.ep);
                // A skewed load leaves experts without a row.
                let n_activated = (real(work.n_experts) / real(work.ep))
                    .min(rows)
                    .min(hottest_rank(&work, 0.0).n_activated);
                let width = real(work.expert_hidden) / real(work.tp);
                let matrices = 3.0 * real(work.hidden) * width;
                (work.dtype, 2.0 * rows * matrices, n_activated * matrices + 2.0 * rows * real(work.hidden))
            }
            Work::Elementwise(work) => {
                (work.dtype, 0.0, n_arrays(work.kind) * real(work.tokens) * real(work.width))
            }
            Work::Collective(_) | Work::Pairs(_) => return None,
        };
        Some((Self { flops, bytes: elements * dtype.bytes() as f64 }, dtype))
    }

    /// The shortest possible time in microseconds.
    pub fn bound_us(&self, chip: &Chip) -> f64 {
        (self.flops / chip.matrix).max(self.bytes / chip.memory)
    }
}

/// Arrays of `[tokens, width]` that are read and written.
fn n_arrays(kind: ElementwiseKind) -> f64 {
    match kind {
        ElementwiseKind::Add | ElementwiseKind::MlpAct => 3.0,
        ElementwiseKind::AttnRope
        | ElementwiseKind::InputLayernorm
        | ElementwiseKind::PostAttentionLayernorm => 2.0,
    }
}

/// The roofline of `work` at the efficiencies that `card` assumes, launched one by one, in microseconds.
///
/// None for communication, and where the card cannot do the arithmetic.
///
/// # Source
///
/// Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
pub fn roofline_us(work: &Work, card: &GpuCard) -> Option<f64> {
    let (demand, dtype) = Demand::of(work)?;
    let chip = Chip::new(card, dtype)?;
    let compute = demand.flops / (chip.matrix * card.roofline.matrix);
    let memory = demand.bytes / (chip.memory * card.roofline.memory);
    Some(compute.max(memory) + card.roofline.launch_eager.as_us())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::measurement::{GemmWork, PrefillWork};

    /// 2 x 4096 x 4096 x 4096 = 137.4 GFLOP; 3 x 4096 x 4096 x 2 B = 100.7 MB.
    #[test]
    fn a_square_product_needs_three_matrices() {
        let (dtype, side) = (Dtype::Bf16, 4096);
        let (demand, _) = Demand::of(&Work::Gemm(GemmWork { dtype, m: side, n: side, k: side })).unwrap();
        assert!((demand.flops - 137_438_953_472.0).abs() < 1.0);
        assert!((demand.bytes - 100_663_296.0).abs() < 1.0);
    }

    /// Two new tokens behind one cached: they see 2 and 3 tokens; 4 x 5 pairs x 1 head x 8 = 160 FLOP.
    #[test]
    fn new_tokens_see_what_is_before_them() {
        let work = PrefillWork {
            dtype: Dtype::Bf16,
            batch: 1,
            q_len: 2,
            kv_len: 3,
            n_heads: 1,
            n_kv_heads: 1,
            head_dim: 8,
        };
        let (demand, _) = Demand::of(&Work::Prefill(work)).unwrap();
        assert!((demand.flops - 160.0).abs() < 1e-9);
    }
}
