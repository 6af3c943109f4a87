use super::*;
use crate::inputs::measurement::Work;
use crate::inputs::topology::Dtype;

const A100: Chip = Chip { n_sms: 108.0, matrix: 312e6, memory: 2.039e6, l2: 41_943_040.0 };
const H100: Chip = Chip { n_sms: 132.0, matrix: 989.4e6, memory: 3.352e6, l2: 52_428_800.0 };

fn params() -> DecodeParams {
    DecodeParams::from_values(DecodeParams::START)
}

fn work(batch: u64, kv_len: u64, n_heads: u64, n_kv_heads: u64, head_dim: u64) -> DecodeWork {
    DecodeWork { dtype: Dtype::Bf16, batch, kv_len, n_heads, n_kv_heads, head_dim }
}

fn time(work: &DecodeWork) -> f64 {
    decode_us(&params(), work, &A100)
}

/// 2 sequences of 4 heads with own keys, 8192 keys each: 8 blocks on 108 SMs, not split.
/// key:     2 * 64 * (128 + 128 + 32) FLOP * 108 / (312e6 * 0.567) = 0.022 505 us
/// block:   0.57 + 8192 * 0.022 505                                = 184.934 us
/// memory:  2 * 8192 * 4 * 2 * 128 * 2 B / (2.039e6 * 0.845)       = 19.48 us; (1 + (19.48/184.93)^4)^(1/4) = 1.000 031
/// queries: 2 * 4 * 128 * 2 B * 2.46 / 2.039e6                     = 0.002 us
/// time:    7.65 + 184.934 * 1.000 031 + 0.002                     = 192.59 us
#[test]
fn few_blocks_that_are_not_split_take_their_own_time() {
    let found = time(&work(2, 8192, 4, 4, 128));
    assert!((found - 192.59).abs() < 0.02, "{found}");
}

/// traffic: 1024 * 4096 * 8 * 2 * 128 * 2 B = 17.18 GB, 8426 us at 2039 GB/s
/// at 0.845 of the rate                     = 9971 us; other costs below a tenth
#[test]
fn a_large_batch_takes_the_time_of_its_keys() {
    let found = time(&work(1024, 4096, 64, 8, 128));
    assert!(9971.0 < found && found < 1.1 * 9971.0, "{found}");
}

#[test]
fn nothing_is_below_the_bound() {
    // Parameters that no kernel reaches.
    let mut magic = params();
    (magic.launch_us, magic.matrix_share, magic.memory_share) = (1e-9, 100.0, 100.0);
    for (batch, kv_len, n_heads, n_kv_heads) in
        [(1, 2, 1, 1), (64, 4096, 64, 8), (1, 131_072, 64, 1), (512, 700, 96, 1)]
    {
        for head_dim in [64, 128, 256] {
            for params in [params(), magic] {
                let work = work(batch, kv_len, n_heads, n_kv_heads, head_dim);
                let (demand, _) = Demand::of(&Work::Decode(work)).unwrap();
                for chip in [A100, H100] {
                    let found = decode_us(&params, &work, &chip);
                    assert!(found >= demand.bound_us(&chip), "{work:?}: {found}");
                }
            }
        }
    }
}

/// Every pair of sizes one step apart, in each direction in which there is more work.
#[test]
fn more_work_never_takes_less_time() {
    let batches =
        [1, 2, 3, 4, 7, 8, 13, 16, 21, 27, 32, 54, 64, 86, 100, 108, 109, 128, 173, 217, 256, 600, 2048];
    let lengths = [1, 2, 127, 128, 129, 255, 300, 512, 1000, 1024, 4096, 10_000, 16_384, 65_536, 131_072];
    for (n_heads, n_kv_heads) in [(1, 1), (8, 8), (32, 32), (8, 1), (32, 4), (64, 8), (7, 1), (96, 1)] {
        for head_dim in [64, 128, 256] {
            for pair in batches.windows(2) {
                for &kv_len in &lengths {
                    let of = |batch| work(batch, kv_len, n_heads, n_kv_heads, head_dim);
                    assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?} {}", of(pair[0]), pair[1]);
                }
            }
            for pair in lengths.windows(2) {
                for &batch in &batches {
                    let of = |kv_len| work(batch, kv_len, n_heads, n_kv_heads, head_dim);
                    assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?} {}", of(pair[0]), pair[1]);
                }
            }
        }
    }
    for pair in [1, 2, 3, 4, 5, 8, 10, 16, 40].windows(2) {
        for group in [1, 4, 8] {
            for (batch, kv_len) in [(1, 16_384), (8, 1024), (30, 300), (256, 4096)] {
                let of = |n_kv_heads| work(batch, kv_len, group * n_kv_heads, n_kv_heads, 128);
                assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?}", of(pair[0]));
            }
        }
    }
    for pair in [2, 3, 8, 16, 40, 64, 65, 128].windows(2) {
        for (batch, kv_len) in [(1, 16_384), (8, 1024), (30, 300), (256, 4096)] {
            let of = |n_heads| work(batch, kv_len, n_heads, 1, 128);
            assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?}", of(pair[0]));
        }
    }
}

#[test]
fn one_more_sequence_or_key_is_no_cliff() {
    // The second sequence, not looked at here, brings the copies that regroup queries.
    for batch in 2..400 {
        let (one, next) = (time(&work(batch, 2048, 32, 8, 128)), time(&work(batch + 1, 2048, 32, 8, 128)));
        assert!(next < 1.35 * one, "{batch}: {one} {next}");
    }
    for kv_len in 1..3000 {
        let (one, next) = (time(&work(24, kv_len, 32, 8, 128)), time(&work(24, kv_len + 1, 32, 8, 128)));
        assert!(next < 1.02 * one, "{kv_len}: {one} {next}");
    }
}

#[test]
fn mixed_lengths_lie_between_their_mean_and_their_longest() {
    let heads = Heads::grouped(32, 8, 128);
    let equal = DecodeBatch::new(&work(64, 4096, 32, 8, 128));
    let mixed = DecodeBatch { kv_len_max: 32_768.0, ..equal };
    let longest = DecodeBatch { kv_tokens: 64.0 * 32_768.0, ..mixed };
    let of = |batch: &DecodeBatch| decode_batch_us(&params(), batch, heads, &A100);
    assert!(of(&equal) <= of(&mixed) && of(&mixed) < of(&longest));
}

/// A cache of one byte an element halves the traffic, and the time where traffic is what counts.
#[test]
fn a_smaller_cache_format_saves_its_traffic() {
    let heads = Heads::grouped(64, 8, 128);
    let wide = DecodeBatch::new(&work(1024, 4096, 64, 8, 128));
    let narrow = DecodeBatch { cache_bytes: 1.0, ..wide };
    let of = |batch: &DecodeBatch| decode_batch_us(&params(), batch, heads, &H100);
    let ratio = of(&narrow) / of(&wide);
    assert!(0.5 < ratio && ratio < 0.6, "{ratio}");
}

/// An H100 has 1.64 times the memory rate and 3.2 times the matrix rate of an A100.
#[test]
fn another_chip_is_faster_by_its_figures() {
    let large = work(512, 4096, 64, 8, 128);
    let ratio = time(&large) / decode_us(&params(), &large, &H100);
    assert!(1.6 < ratio && ratio < 1.9, "{ratio}");
}
