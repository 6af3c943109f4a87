use super::*;
use crate::inputs::measurement::Work;
use crate::inputs::topology::Dtype;

const A100: Chip = Chip { n_sms: 108.0, matrix: 312e6, memory: 2.039e6, l2: 41_943_040.0 };
const H100: Chip = Chip { n_sms: 132.0, matrix: 989.4e6, memory: 3.352e6, l2: 52_428_800.0 };

fn params() -> PrefillParams {
    PrefillParams::from_values(PrefillParams::START)
}

fn work(
    batch: u64,
    q_len: u64,
    kv_len: u64,
    (n_heads, n_kv_heads): (u64, u64),
    head_dim: u64,
) -> PrefillWork {
    PrefillWork { dtype: Dtype::Bf16, batch, q_len, kv_len, n_heads, n_kv_heads, head_dim }
}

fn time(work: &PrefillWork) -> f64 {
    prefill_us(&params(), work, &A100)
}

/// 4 tiles of 64 queries visit 256 + 192 + 128 + 64 keys; one of at least 100 lacks 36.
/// Two tiles that end at 74 and 10 keys lack 26 and 90.
#[test]
fn tiles_visit_the_keys_before_them() {
    let of = |q_len: f64, kv_len: f64| PrefillBatch {
        n_sequences: 1.0,
        q_len,
        kv_len,
        query_bytes: 2.0,
        cache_bytes: 2.0,
    };
    assert!((tile_keys(&of(256.0, 256.0), 52.0) - 640.0).abs() < 1e-9);
    assert!((tile_keys(&of(64.0, 64.0), 100.0) - 100.0).abs() < 1e-9);
    assert!((tile_keys(&of(74.0, 74.0), 100.0) - 200.0).abs() < 1e-9);
    assert!((tile_keys(&of(64.0, 4096.0), 52.0) - 4096.0).abs() < 1e-9);
}

/// 16 sequences of 4096 tokens, 32 heads of width 128, 8 of them with keys:
/// key:     2 * 64 * 288 FLOP * 108 / (312e6 * 0.613)        = 0.020 817 us
/// tiles:   64 of a sequence, 64 * 4096 - 64 * 64 * 63 / 2   = 133 120 keys, 2771.1 us + 64 * 2.44 = 2927.3 us
/// all:     16 * 32 * 2927.3 / 108                           = 13 878 us
/// longest: (4096 * 0.020 817 + 2.44) * 1.15 = 100.9 us, of which 0.59 are seen: 59.5 us
/// queries: 65 536 * 32 * 128 * 2 B * 2.13 / 2.039e6         = 560.8 us
/// cache:   bytes 65 536 * 2048 * 2 B * 2.24 / 2.039e6 = 294.9 us; blocks 65 536 * 2.12 * 512 / (2048 * 108) = 321.6 us;
///          together (294.9^2 + 321.6^2)^(1/2)               = 436.3 us
/// time:    8.4 + 13 878 + 59.5 + 560.8 + 436.3              = 14 943 us
#[test]
fn a_long_prompt_takes_the_time_of_its_parts() {
    let found = time(&work(16, 4096, 4096, (32, 8), 128));
    assert!((found - 14_943.0).abs() < 2.0, "{found}");
}

#[test]
fn nothing_is_below_the_bound() {
    let mut magic = params();
    (magic.launch_us, magic.matrix_share, magic.block_us, magic.alone) = (1e-9, 100.0, 1e-9, 1e-9);
    (magic.query_passes, magic.write_us, magic.cache_passes) = (1e-9, 1e-9, 1e-9);
    for (batch, q_len, kv_len) in
        [(1, 1, 1), (1, 1, 65_536), (64, 300, 300), (1, 16_384, 16_384), (8, 512, 40_000)]
    {
        for heads in [(1, 1), (32, 32), (64, 8), (96, 1)] {
            for head_dim in [64, 128, 256] {
                for params in [params(), magic] {
                    let work = work(batch, q_len, kv_len, heads, head_dim);
                    let (demand, _) = Demand::of(&Work::Prefill(work)).unwrap();
                    for chip in [A100, H100] {
                        let found = prefill_us(&params, &work, &chip);
                        let bound = demand.bound_us(&chip);
                        assert!(found >= bound, "{work:?}: {found} < {bound}");
                    }
                }
            }
        }
    }
}

#[test]
fn more_work_never_takes_less_time() {
    let lengths = [1, 2, 15, 16, 63, 64, 65, 100, 128, 129, 256, 500, 512, 1024, 1500, 4096, 16_384, 131_072];
    let batches = [1, 2, 3, 8, 50, 256];
    let shapes = [(1, 1), (2, 1), (8, 8), (32, 4), (64, 8), (96, 1)];
    for heads in shapes {
        for head_dim in [64, 128, 256] {
            for &kv_len in &lengths {
                let chunks: Vec<u64> = lengths.into_iter().filter(|q_len| *q_len <= kv_len).collect();
                for pair in chunks.windows(2) {
                    let of = |q_len| work(3, q_len, kv_len, heads, head_dim);
                    assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?} {}", of(pair[0]), pair[1]);
                }
                for pair in batches.windows(2) {
                    let of = |batch| work(batch, chunks[chunks.len() / 2], kv_len, heads, head_dim);
                    assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?} {}", of(pair[0]), pair[1]);
                }
            }
            for &q_len in &lengths {
                for pair in lengths.windows(2).filter(|pair| q_len <= pair[0]) {
                    let of = |kv_len| work(2, q_len, kv_len, heads, head_dim);
                    assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?} {}", of(pair[0]), pair[1]);
                }
            }
        }
    }
    for pair in [(1, 1), (2, 1), (8, 1), (8, 2), (16, 4), (16, 16), (32, 16), (64, 64), (96, 96)].windows(2) {
        for (q_len, kv_len) in [(2, 2), (128, 128), (512, 8192), (4096, 4096)] {
            let of = |heads| work(4, q_len, kv_len, heads, 128);
            assert!(time(&of(pair[0])) <= time(&of(pair[1])), "{:?}", of(pair[0]));
        }
    }
}

#[test]
fn one_more_token_is_no_cliff() {
    for length in 16..3000 {
        let of = |length| time(&work(4, length, length, (32, 8), 128));
        let (one, next) = (of(length), of(length + 1));
        assert!(one <= next && next < 1.25 * one, "{length}: {one} {next}");
    }
}

/// One query against a long cache: the kernel of decode splits it, that of prefill would not.
#[test]
fn a_single_query_is_decoded() {
    use crate::inputs::measurement::DecodeWork;
    let decode = DecodeParams::from_values(DecodeParams::START);
    let cached = DecodeWork {
        dtype: Dtype::Bf16,
        batch: 4,
        kv_len: 32_768,
        n_heads: 32,
        n_kv_heads: 8,
        head_dim: 128,
    };
    let decoded = decode::decode_us(&decode, &cached, &A100);
    let found = time(&work(4, 1, 32_768, (32, 8), 128));
    assert!((found / decoded - 1.0).abs() < 0.02, "{found} {decoded}");
}

/// A chunk's tiles all see the cached keys: 512 queries against 8192 keys are about 8 tiles * 8192 keys, 15.5 times those of
/// 512 alone (8 tiles, 2304 keys ... 512) but for the parts that do not grow.
#[test]
fn a_chunk_sees_its_cached_keys() {
    let alone = time(&work(8, 512, 512, (32, 8), 128));
    let chunk = time(&work(8, 512, 8192, (32, 8), 128));
    assert!(10.0 < chunk / alone && chunk / alone < 29.0, "{alone} {chunk}");
}

/// An H100 has 3.17 times the matrix rate of an A100; FlashAttention-3 reaches 500 to 650 TFLOP/s in long causal prompts.
#[test]
fn another_chip_is_faster_by_its_figures() {
    let long = work(4, 16_384, 16_384, (32, 8), 128);
    let ratio = time(&long) / prefill_us(&params(), &long, &H100);
    assert!(2.8 < ratio && ratio < 3.2, "{ratio}");
    let rate =
        f64::from(4 * 32 * 4 * 128) * 0.5 * 16_384.0 * 16_385.0 / prefill_us(&params(), &long, &H100) / 1e6;
    assert!(400.0 < rate && rate < 650.0, "{rate}");
}
