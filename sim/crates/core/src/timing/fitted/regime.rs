//! Regimes: work of a family whose times err alike.

use crate::inputs::measurement::{DecodeWork, Family, MoeWork, PrefillWork, Work};
use crate::timing::accuracy::{band, band_of_bytes, bands};
use crate::timing::provenance::Regime;

/// Products that take less, or more than the second, err differently: launches, choice of kernel, plain arithmetic.
const SHORT_GEMM_US: f64 = 12.0;
const LONG_GEMM_US: f64 = 300.0;

/// Tiles of 64 queries from which the multiprocessors of any card of today are all busy: 16 for each of 108.
const MANY_TILES: u64 = 16 * 108;

/// Pairs of a sequence and a key/value head from which caches are not split: 1.6 for each of 108 multiprocessors.
const MANY_CACHES: u64 = 173;

/// With as few experts on a rank, its load is a matter of luck.
const FEW_EXPERTS: u64 = 4;

/// The names of the regimes of `family`.
pub const fn regimes(family: Family) -> &'static [&'static str] {
    match family {
        Family::Gemm => &["short", "middle", "long"],
        Family::AttentionPrefill => &["few_queries", "few_tiles", "many_tiles"],
        Family::AttentionDecode => &["short_cache", "split_cache", "whole_cache"],
        Family::Moe => &["few_experts", "many_experts"],
        Family::Elementwise | Family::Collective | Family::P2p => bands(family),
    }
}

/// The regime of `work`, which is predicted to take `time_us`.
pub fn regime(work: &Work, time_us: f64) -> Regime {
    let name = match work {
        Work::Gemm(_) if time_us < SHORT_GEMM_US => "short",
        Work::Gemm(_) if time_us < LONG_GEMM_US => "middle",
        Work::Gemm(_) => "long",
        Work::Prefill(work) => of_prefill(work),
        Work::Decode(work) => of_decode(work),
        Work::Moe(work) => of_experts(work),
        Work::Elementwise(_) | Work::Collective(_) | Work::Pairs(_) => band(work),
    };
    Regime { family: work.family(), name }
}

/// The regime of communication of `bytes`.
pub fn regime_of_bytes(family: Family, bytes: u64) -> Regime {
    Regime { family, name: band_of_bytes(bytes) }
}

fn of_prefill(work: &PrefillWork) -> &'static str {
    match work.batch * work.n_heads * work.q_len.div_ceil(64) {
        _ if work.q_len < 256 => "few_queries",
        ..MANY_TILES => "few_tiles",
        MANY_TILES.. => "many_tiles",
    }
}

fn of_decode(work: &DecodeWork) -> &'static str {
    match work.batch * work.n_kv_heads {
        _ if work.kv_len <= 128 => "short_cache",
        ..MANY_CACHES if work.n_kv_heads < work.n_heads => "split_cache",
        _ => "whole_cache",
    }
}

fn of_experts(work: &MoeWork) -> &'static str {
    if work.n_experts.div_ceil(work.ep) <= FEW_EXPERTS { "few_experts" } else { "many_experts" }
}
