//! The regime of each piece of work.

use crate::inputs::measurement::{DecodeWork, Family, MoeWork, PrefillWork, Work};
use crate::timing::accuracy::{Length, MANY_ROWS, length};
use crate::timing::regime::Regime;

/// Products that take less, or more than the second, err differently: launches, choice of kernel, plain arithmetic.
const SHORT_GEMM_US: f64 = 12.0;
const LONG_GEMM_US: f64 = 300.0;

/// Tiles of 64 queries from which the multiprocessors of any card of today are all busy: 16 for each of 108.
const MANY_TILES: u64 = 16 * 108;

/// Pairs of a sequence and a key/value head from which caches are not split: 1.6 for each of 108 multiprocessors.
const MANY_CACHES: u64 = 173;

/// With as few experts on a rank, its load is a matter of luck.
const FEW_EXPERTS: u64 = 4;

/// The regime of `work`, which is predicted to take `time_us`.
pub fn regime(work: &Work, time_us: f64) -> Regime {
    match work {
        Work::Gemm(_) => regime_of_product(time_us),
        Work::Prefill(work) => of_prefill(work),
        Work::Decode(work) => of_decode(work),
        Work::Moe(work) => of_experts(work),
        Work::Elementwise(work) => regime_of_rows(work.tokens),
        Work::Collective(work) => regime_of_bytes(Family::Collective, work.bytes),
        Work::Pairs(work) => regime_of_bytes(Family::P2p, work.bytes_per_pair),
    }
}

/// The regime of a product that takes `time_us`.
pub fn regime_of_product(time_us: f64) -> Regime {
    match time_us {
        _ if time_us < SHORT_GEMM_US => Regime::ShortGemm,
        _ if time_us < LONG_GEMM_US => Regime::MiddleGemm,
        _ => Regime::LongGemm,
    }
}

/// The regime of an elementwise kernel over `tokens` rows.
pub fn regime_of_rows(tokens: u64) -> Regime {
    if tokens >= MANY_ROWS { Regime::ManyTokens } else { Regime::FewTokens }
}

/// The regime of communication of `bytes`.
///
/// # Panics
///
/// For a family of kernels.
pub fn regime_of_bytes(family: Family, bytes: u64) -> Regime {
    match (family, length(bytes)) {
        (Family::Collective, Length::Short) => Regime::ShortCollective,
        (Family::Collective, Length::Middle) => Regime::MiddleCollective,
        (Family::Collective, Length::Long) => Regime::LongCollective,
        (Family::P2p, Length::Short) => Regime::ShortP2p,
        (Family::P2p, Length::Middle) => Regime::MiddleP2p,
        (Family::P2p, Length::Long) => Regime::LongP2p,
        (
            Family::Gemm
            | Family::AttentionPrefill
            | Family::AttentionDecode
            | Family::Moe
            | Family::Elementwise,
            _,
        ) => unreachable!("kernels of `{}` are not told apart by bytes", family.name()),
    }
}

fn of_prefill(work: &PrefillWork) -> Regime {
    match work.batch * work.n_heads * work.q_len.div_ceil(64) {
        _ if work.q_len < 256 => Regime::FewQueries,
        ..MANY_TILES => Regime::FewTiles,
        MANY_TILES.. => Regime::ManyTiles,
    }
}

fn of_decode(work: &DecodeWork) -> Regime {
    match work.batch * work.n_kv_heads {
        _ if work.kv_len <= 128 => Regime::ShortCache,
        ..MANY_CACHES if work.n_kv_heads < work.n_heads => Regime::SplitCache,
        _ => Regime::WholeCache,
    }
}

fn of_experts(work: &MoeWork) -> Regime {
    if work.n_experts.div_ceil(work.ep) <= FEW_EXPERTS { Regime::FewExperts } else { Regime::ManyExperts }
}
