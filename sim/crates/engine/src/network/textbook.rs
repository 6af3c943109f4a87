//! Max-min fairness as textbooks write it: short, quadratic and obvious. The solver is checked against it.

use crate::network::rate::UNLIMITED;

/// A flow: how often it crosses which links, and its cap.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) crossings: Vec<(usize, u64)>,
    pub(super) cap: u64,
}

/// The rate of each flow: all rise together until a link is full or a cap is reached, which stops those
/// concerned, and so on.
pub(super) fn rates(capacities: &[u64], flows: &[Flow]) -> Vec<u64> {
    let mut rates = vec![None; flows.len()];
    loop {
        let full_at = |link| level_when_full(capacities, flows, &rates, link);
        let levels: Vec<_> = (0..capacities.len()).map(full_at).collect();
        let limit = |flow: &Flow| {
            flow.crossings.iter().map(|&(link, _)| levels[link]).min().unwrap_or(UNLIMITED).min(flow.cap)
        };
        let rising = flows.iter().zip(&rates).filter(|(_, rate)| rate.is_none());
        let Some(level) = rising.map(|(flow, _)| limit(flow)).min() else {
            return rates.into_iter().flatten().collect();
        };
        for (flow, rate) in flows.iter().zip(&mut rates) {
            if rate.is_none() && limit(flow) == level {
                *rate = Some(level);
            }
        }
    }
}

/// The common rate of the rising flows at which `link` is full.
fn level_when_full(capacities: &[u64], flows: &[Flow], rates: &[Option<u64>], link: usize) -> u64 {
    let (mut left, mut weight) = (capacities[link], 0);
    for (flow, rate) in flows.iter().zip(rates) {
        let crossings: u64 = flow.crossings.iter().filter(|(at, _)| *at == link).map(|(_, n)| n).sum();
        match rate {
            Some(rate) => left -= crossings * rate,
            None => weight += crossings,
        }
    }
    left.checked_div(weight).unwrap_or(UNLIMITED)
}
