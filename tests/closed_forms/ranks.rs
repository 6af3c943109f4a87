//! Number of tokens of an expert-parallel rank.

use masim_core::scenario::{ExpertLoad, MoeSpec};
use masim_core::work::routing::RoutingSource;

/// With E experts on N ranks and k choices, a rank gets a token with probability `1 - C(E - E/N, k)/C(E, k)`.
///
/// E = 256, k = 8: 0.9965, 0.9036, 0.6618 for N = 2, 4, 8. Of 20,000 tokens a share p is known to
/// sqrt(p (1 - p) / 20000): 0.0004, 0.0021, 0.0033; four of them are allowed.
#[test]
fn a_rank_gets_the_share_of_tokens_that_combinatorics_says() {
    const N_TOKENS: u32 = 20_000;
    let moe = MoeSpec {
        gated: false,
        n_routed_experts: 256,
        n_shared_experts: 0,
        experts_per_token: 8,
        expert_hidden: 1,
    };
    let routing = RoutingSource::new(ExpertLoad::Uniform, moe, 1, N_TOKENS, 11).step(0);
    for (n_ranks, rounded) in [(2, 0.9965), (4, 0.9036), (8, 0.6618)] {
        let per_rank = 256 / n_ranks;
        let misses = (0..8).map(|i| f64::from(256 - per_rank - i) / f64::from(256 - i)).product::<f64>();
        let expected = 1.0 - misses;
        assert!((expected - rounded).abs() < 1e-4, "{expected} is the published {rounded}");
        for rank in 0..n_ranks {
            let is_here = |expert: &u16| u32::from(*expert) / per_rank == rank;
            let n_here =
                (0..N_TOKENS).filter(|token| routing[0].experts_of(*token).iter().any(is_here)).count();
            let share = n_here as f64 / f64::from(N_TOKENS);
            let error = (expected * (1.0 - expected) / f64::from(N_TOKENS)).sqrt();
            assert!((share - expected).abs() < 4.0 * error, "{n_ranks} ranks: {share} {expected}");
        }
    }
}
