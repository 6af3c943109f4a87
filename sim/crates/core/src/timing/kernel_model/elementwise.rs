//! Kernels that move bytes: sums, norms, rotations, activations, and all that streams through memory.

use super::{Chip, Demand};
use crate::inputs::measurement::{ElementwiseKind, ElementwiseWork, Work};
use crate::timing::params::params;

/// Rows that a multiprocessor works on at once: blocks of up to 1,024 threads, one for a row.
const ROWS_RESIDENT: f64 = 2.0;

params! {
    /// Parameters of elementwise kernels.
    ///
    /// # Units
    ///
    /// `launch_us` is microseconds, times of a column nanoseconds; the others are shares and ratios beside the chip's figures.
    ///
    /// # Source
    ///
    /// The values to start from: fitted to the kernels of vLLM and PyTorch on an A100 of 80 GB that Vidur measured.
    ElementwiseParams {
        /// From the kernel's start to its first load, and its end.
        launch_us: 1.842,
        /// Share of the memory's rate that large transfers reach.
        memory_share: 0.7983,
        /// Rate of what stays in the L2 cache as a multiple of the memory's rate.
        l2_ratio: 1.362,
        /// Share of the L2 cache that holds what is moved.
        l2_share: 0.6465,
        /// Traffic of a norm as a multiple of its input and output: rows are read again, residuals and sums move too.
        norm_traffic: 2.469,
        /// Time of a row of a norm for each column.
        norm_column_ns: 0.663,
        /// Rate of all multiprocessors in norms as a multiple of the memory's rate.
        norm_share: 0.4535,
        /// Time of a row of a rotation for each column.
        rope_column_ns: 0.5012,
        /// Rate of all multiprocessors in rotations as a multiple of the memory's rate.
        rope_share: 0.4485,
        /// Time of a row of an activation for each column.
        act_column_ns: 0.544,
        /// Rate of all multiprocessors in activations as a multiple of the memory's rate.
        act_share: 0.4983,
        /// Share of the idle part of rounds that vanishes because multiprocessors drift apart; 1 at most.
        drift: 0.6427,
    }
}

/// Parameters of a kernel that gives each row to a block.
struct Rows {
    /// Time of one row alone.
    row_us: f64,
    /// Rate of all multiprocessors together, bytes/us.
    rate: f64,
}

/// Microseconds of an elementwise kernel, launch included: never below the bound of the memory.
pub fn elementwise_us(params: &ElementwiseParams, work: &ElementwiseWork, chip: &Chip) -> f64 {
    let (demand, _) = Demand::of(&Work::Elementwise(*work)).expect("elementwise kernels have a demand");
    let width = work.width as f64;
    let rows =
        |column_ns: f64, share: f64| Rows { row_us: column_ns * width / 1e3, rate: chip.memory * share };
    let (traffic, rows) = match work.kind {
        ElementwiseKind::Add => (1.0, None),
        ElementwiseKind::AttnRope => (1.0, Some(rows(params.rope_column_ns, params.rope_share))),
        ElementwiseKind::MlpAct => (1.0, Some(rows(params.act_column_ns, params.act_share))),
        ElementwiseKind::InputLayernorm | ElementwiseKind::PostAttentionLayernorm => {
            (params.norm_traffic, Some(rows(params.norm_column_ns, params.norm_share)))
        }
    };
    let memory = memory_us(params, traffic * demand.bytes, chip);
    let on_chip =
        rows.map_or(0.0, |rows| rows_us(&rows, work.tokens as f64, demand.bytes, params.drift, chip));
    (params.launch_us + memory.max(on_chip)).max(demand.bound_us(chip))
}

/// Microseconds of a kernel that does nothing but move `bytes`, reads and writes together, launch included.
///
/// For what was not measured by itself: embeddings, permutations, sums, quantisation, sampling.
pub fn stream_us(params: &ElementwiseParams, bytes: f64, chip: &Chip) -> f64 {
    (params.launch_us + memory_us(params, bytes, chip)).max(bytes / chip.memory)
}

/// Time of the traffic that does not fit into L2 and goes through memory.
fn memory_us(params: &ElementwiseParams, bytes: f64, chip: &Chip) -> f64 {
    let kept = bytes.min(params.l2_share * chip.l2);
    kept / (chip.memory * params.l2_ratio) + (bytes - kept) / (chip.memory * params.memory_share)
}

/// The multiprocessors' time for `n_rows` rows that move `bytes` together.
fn rows_us(rows: &Rows, n_rows: f64, bytes: f64, drift: f64, chip: &Chip) -> f64 {
    let busy = bytes / n_rows * chip.n_sms / rows.rate;
    let per_sm = n_rows / chip.n_sms;
    let busiest = per_sm.ceil();
    let n_full = (busiest / ROWS_RESIDENT).floor();
    let left = busiest - n_full * ROWS_RESIDENT;
    let last = if left > 0.0 { (left * busy).max(rows.row_us) } else { 0.0 };
    let in_rounds = n_full * (ROWS_RESIDENT * busy).max(rows.row_us) + last;
    let even = (per_sm * busy.max(rows.row_us / ROWS_RESIDENT)).max(rows.row_us);
    let drift = drift.min(1.0);
    (1.0 - drift) * in_rounds + drift * even
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::topology::Dtype;

    const A100: Chip = Chip { n_sms: 108.0, matrix: 312e6, memory: 2.039e6, l2: 40.0 * 1_048_576.0 };
    const H100: Chip = Chip { n_sms: 132.0, matrix: 989.4e6, memory: 3.352e6, l2: 50.0 * 1_048_576.0 };

    fn us(kind: ElementwiseKind, tokens: u64, width: u64, chip: &Chip) -> f64 {
        let params = ElementwiseParams::from_values(ElementwiseParams::START);
        elementwise_us(&params, &ElementwiseWork { dtype: Dtype::Bf16, kind, tokens, width }, chip)
    }

    /// 3 arrays x 4096 x 8192 x 2 B = 201.33 MB. L2 keeps 0.6465 x 41.94 MB = 27.12 MB, at 1.362 x 2.039e6 B/us 9.76 us;
    /// the other 174.21 MB at 0.7983 x 2.039e6 B/us take 107.03 us; with the launch 118.63 us.
    #[test]
    fn a_large_sum_goes_through_memory() {
        let time = us(ElementwiseKind::Add, 4096, 8192, &A100);
        assert!((time - 118.63).abs() < 0.02, "{time}");
    }

    /// One row of 8192: 8192 x 0.663 ns = 5.43 us, and 1.842 us of launch.
    #[test]
    fn one_row_is_one_block() {
        let time = us(ElementwiseKind::InputLayernorm, 1, 8192, &A100);
        assert!((time - 7.273).abs() < 0.001, "{time}");
    }

    /// A sum is a stream of its three arrays.
    #[test]
    fn a_stream_is_a_sum() {
        let params = ElementwiseParams::from_values(ElementwiseParams::START);
        let stream = stream_us(&params, 3.0 * 512.0 * 4096.0 * 2.0, &A100);
        assert!((stream - us(ElementwiseKind::Add, 512, 4096, &A100)).abs() < 1e-9);
    }

    #[test]
    fn nothing_beats_memory_and_more_rows_take_no_less() {
        for chip in [A100, H100] {
            for kind in ElementwiseKind::ALL {
                for width in [1, 128, 640, 4096, 24_576, 65_536] {
                    let mut before = 0.0;
                    for tokens in (0..=15_u32).flat_map(|bits| [1 << bits, (1 << bits) + 1]) {
                        let work = ElementwiseWork { dtype: Dtype::Bf16, kind, tokens, width };
                        let (demand, _) = Demand::of(&Work::Elementwise(work)).unwrap();
                        let time = us(kind, tokens, width, &chip);
                        assert!(time >= demand.bound_us(&chip));
                        assert!(before <= time * (1.0 + 1e-12), "{kind:?} {tokens} {width}: {before} {time}");
                        before = time;
                    }
                }
            }
        }
    }
}
