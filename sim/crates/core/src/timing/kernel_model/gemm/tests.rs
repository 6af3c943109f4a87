use super::*;
use crate::inputs::topology::Dtype;

const A100: Chip = Chip { n_sms: 108.0, matrix: 312e6, memory: 2.039e6, l2: 40.0 * 1_048_576.0 };
const H100: Chip = Chip { n_sms: 132.0, matrix: 989.4e6, memory: 3.352e6, l2: 50.0 * 1_048_576.0 };
const B200: Chip = Chip { n_sms: 148.0, matrix: 2250e6, memory: 8e6, l2: 126.0 * 1_048_576.0 };

fn params() -> GemmParams {
    GemmParams::from_values(GemmParams::START)
}

fn work(m: u64, n: u64, k: u64) -> GemmWork {
    GemmWork { dtype: Dtype::Bf16, m, n, k }
}

fn us(chip: &Chip, m: u64, n: u64, k: u64) -> f64 {
    gemm_us(&params(), &work(m, n, k), chip)
}

/// Sizes from 1 to 65,536, and their neighbours.
fn sizes() -> Vec<u64> {
    let mut sizes: Vec<u64> = (0..=16_u32).flat_map(|bits| [1 << bits, (1 << bits) + 1, 3 << bits]).collect();
    sizes.retain(|&size| size <= 65_536);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Parameters without latencies, with all ideal: 108 tiles of 128 x 256 on 108 SMs, 64 steps of 32.
///
/// step = 2 x 32,768 x 32 x 108 / 312e6 = 0.725 937 us; loads are free (`l2_ratio` 1e9)
/// on chip = 64 x 0.725 937 = 46.460 us; memory = 2 x (1152 x 2048 + 2048 x 3072 + 1152 x 3072) B / 2.039e6 = 11.96 us
/// contention 0, launch 2: 48.46 us
#[test]
fn one_full_round_takes_its_arithmetic() {
    let ideal = GemmParams {
        launch_us: 2.0,
        matrix_share: 1.0,
        l2_ratio: 1e9,
        memory_share: 1.0,
        memory_ramp_us: 1e-9,
        step_us: 1e-9,
        tile_us: 1e-9,
        write_ratio: 1e-9,
        drift: 1e-9,
        contention: 1e-9,
        split_us: 1e3,
        reduce_ratio: 1.0,
    };
    let time = gemm_us(&ideal, &work(1152, 3072, 2048), &A100);
    assert!((time - 48.460).abs() < 1e-3, "{time}");
}

/// One token: 4096 x 4096 weights of 2 B are 33.55 MB; at 2.039e6 B/us 16.46 us, at 0.8064 of it 20.41 us, then
/// sqrt(20.41 x 0.3606) = 2.71 us of ramp and 2.861 us of launch: 25.99 us at least, contention on top.
#[test]
fn one_token_reads_the_weights() {
    let time = us(&A100, 1, 4096, 4096);
    assert!((25.98..25.98 * 1.15).contains(&time), "{time}");
}

#[test]
fn no_product_beats_the_roofline() {
    for chip in [A100, H100, B200] {
        for m in sizes() {
            for (n, k) in [(1, 1), (64, 65_536), (4096, 4096), (57_344, 8192), (129, 255)] {
                let (demand, _) = Demand::of(&Work::Gemm(work(m, n, k))).unwrap();
                assert!(us(&chip, m, n, k) > demand.bound_us(&chip), "{m} {n} {k}");
            }
        }
    }
}

/// More rows, columns or depth never take less time.
#[test]
fn more_work_takes_no_less_time() {
    for chip in [A100, H100, B200] {
        for (a, b) in [(1, 4096), (17, 129), (128, 8192), (300, 3584), (4096, 4096), (8192, 512)] {
            for place in [0, 1, 2] {
                let time = |size: u64| match place {
                    0 => us(&chip, size, a, b),
                    1 => us(&chip, a, size, b),
                    _ => us(&chip, a, b, size),
                };
                let times: Vec<f64> = sizes().into_iter().map(time).collect();
                for pair in times.windows(2) {
                    assert!(pair[0] <= pair[1] * (1.0 + 1e-12), "{place} {a} {b}: {pair:?}");
                }
            }
        }
    }
}

/// From one row to the next nothing doubles.
#[test]
fn there_is_no_cliff() {
    for (n, k) in [(4096, 4096), (14_336, 4096), (1024, 8192), (57_344, 8192)] {
        for m in 1..2100 {
            let (here, there) = (us(&A100, m, n, k), us(&A100, m + 1, n, k));
            assert!(there < 1.45 * here, "{m} {n} {k}: {here} {there}");
        }
    }
}

/// Dense products reach 55 to 80 % of the datasheet's peak on cards that nothing was fitted to.
#[test]
fn other_cards_reach_what_such_cards_reach() {
    let flops = 2.0 * 8192.0_f64.powi(3);
    for chip in [A100, H100, B200] {
        let share = flops / us(&chip, 8192, 8192, 8192) / chip.matrix;
        assert!((0.55..0.85).contains(&share), "{share}");
    }
    let eight_bits = GemmWork { dtype: Dtype::Fp8, m: 4096, n: 4096, k: 4096 };
    let fast = Chip { matrix: 1978.9e6, ..H100 };
    assert!(gemm_us(&params(), &eight_bits, &fast) < us(&H100, 4096, 4096, 4096));
}
