//! What the experts of a group can expect of a micro-batch.

use crate::plan::ExpertLayout;
use crate::scenario::{ExpertLoad, Scenario};
use crate::work::routing::popularity;

/// The expectation of one group in one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GroupLoad {
    /// Rows per token of the micro-batch.
    pub(super) choices_per_token: f64,
    /// Share of the tokens with an expert in the group.
    pub(super) token_share: f64,
    /// Experts with at least one token.
    pub(super) activated: f64,
}

/// Expectations of every group in `layer` for a micro-batch of `n_tokens`.
///
/// A token chooses expert `e` with probability `min(1, k p_e)`, and experts independently of each other:
/// exact for a balanced load, close for others.
pub(super) fn group_loads(
    scenario: &Scenario,
    layout: &ExpertLayout,
    layer: u32,
    n_tokens: f64,
) -> Vec<GroupLoad> {
    let moe = scenario.model.ffn.as_moe();
    let is_balanced = matches!(scenario.load, ExpertLoad::Balanced);
    let mut loads =
        vec![GroupLoad { choices_per_token: 0.0, token_share: 0.0, activated: 0.0 }; layout.groups.len()];
    let popularity = popularity(&scenario.load, moe.n_routed_experts, scenario.seed, layer);
    for (hosts, popularity) in layout.map(layer).hosts().iter().zip(popularity) {
        let chosen = (popularity * f64::from(moe.experts_per_token)).min(1.0) / hosts.len() as f64;
        for &host in hosts {
            let load = &mut loads[host as usize];
            load.choices_per_token += chosen;
            if is_balanced {
                load.token_share = load.choices_per_token.min(1.0);
                load.activated += (chosen * n_tokens).min(1.0);
            } else {
                load.token_share = 1.0 - (1.0 - load.token_share) * (1.0 - chosen);
                load.activated += 1.0 - libm::pow(1.0 - chosen, n_tokens);
            }
        }
    }
    loads
}
