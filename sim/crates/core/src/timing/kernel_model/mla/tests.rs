use super::*;

const H100: Chip = Chip { n_sms: 132.0, matrix: 989.4e6, memory: 3.352e6, l2: 52_428_800.0 };
const DEEPSEEK: Latent = Latent { n_heads: 128, kv_lora_rank: 512, rope_dim: 64, nope_dim: 128, v_dim: 128 };

fn decode(n_sequences: f64, kv_len: f64, latent: &Latent) -> f64 {
    let batch = DecodeBatch {
        n_sequences,
        kv_tokens: n_sequences * kv_len,
        kv_len_max: kv_len,
        query_bytes: 2.0,
        cache_bytes: 2.0,
    };
    mla_decode_us(&DecodeParams::from_values(DecodeParams::START), &batch, latent, &H100)
}

fn prefill(n_sequences: f64, q_len: f64, kv_len: f64, latent: &Latent) -> f64 {
    let batch = PrefillBatch { n_sequences, q_len, kv_len, query_bytes: 2.0, cache_bytes: 2.0 };
    mla_prefill_us(&PrefillParams::from_values(PrefillParams::START), &batch, latent, &H100)
}

/// A cached token is 512 + 64 elements; a pair of query and key takes 2 * 128 * (576 + 512) = 278 528 FLOP absorbed,
/// 2 * 128 * (192 + 128) = 81 920 FLOP expanded.
#[test]
fn a_token_has_one_latent_for_all_heads() {
    let (absorbed, expanded) = (DEEPSEEK.absorbed(), DEEPSEEK.expanded());
    for heads in [absorbed, expanded] {
        assert!((heads.n_kept - 576.0).abs() < 1e-9);
    }
    assert!((absorbed.n_read - 576.0).abs() < 1e-9);
    assert!((absorbed.pair_flop() - 278_528.0).abs() < 1e-6);
    assert!((expanded.pair_flop() - 81_920.0).abs() < 1e-6);
}

/// 64 sequences of 4096: 64 * 4096 * 278 528 FLOP / 989.4e6 = 73.8 us of arithmetic,
/// 64 * 4096 * 576 * 2 B / 3.352e6 = 90.1 us of memory; with few heads memory alone remains.
#[test]
fn decode_stays_above_both_bounds() {
    let found = decode(64.0, 4096.0, &DEEPSEEK);
    assert!(90.1 < found && found < 4.0 * 90.1, "{found}");
    let few = decode(64.0, 4096.0, &Latent { n_heads: 16, ..DEEPSEEK });
    assert!(90.1 < few && few < found, "{few}");
}

#[test]
fn more_work_never_takes_less_time() {
    for pair in [1.0, 2.0, 5.0, 16.0, 66.0, 130.0, 256.0, 1000.0].windows(2) {
        for kv_len in [1.0, 200.0, 4096.0, 65_536.0] {
            assert!(
                decode(pair[0], kv_len, &DEEPSEEK) <= decode(pair[1], kv_len, &DEEPSEEK),
                "{pair:?} {kv_len}"
            );
            assert!(
                decode(kv_len, pair[0], &DEEPSEEK) <= decode(kv_len, pair[1], &DEEPSEEK),
                "{pair:?} {kv_len}"
            );
            let of = |n| prefill(n, 256.0, 1024.0, &DEEPSEEK);
            assert!(of(pair[0]) <= of(pair[1]), "{pair:?}");
        }
    }
}

/// 4096 tokens: 0.5 * 4096 * 4097 * 81 920 FLOP / 989.4e6 = 694.7 us.
#[test]
fn prefill_stays_above_its_arithmetic() {
    let found = prefill(1.0, 4096.0, 4096.0, &DEEPSEEK);
    assert!(694.7 < found && found < 2.5 * 694.7, "{found}");
}
