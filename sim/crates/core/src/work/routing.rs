//! What is drawn at random: which experts each token chooses, and how long each context is.
//!
//! Popularity is a property of a layer and is drawn once per seed; the choices are drawn anew for each
//! step. They depend on seed, layer, step, request and position alone: every strategy sees the same tokens, and
//! nobody's experts change with the batch around them.

mod draws;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use draws::{Alias, Stream};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::scenario::{ContextLen, ExpertLoad, MoeSpec};

/// The experts of every token of a batch in one layer of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRouting {
    experts_per_token: usize,
    /// `[token, choice]`
    experts: Vec<u16>,
    n_activated: u32,
}

impl LayerRouting {
    /// The experts of `token`, all different.
    pub fn experts_of(&self, token: u32) -> &[u16] {
        let first = token as usize * self.experts_per_token;
        &self.experts[first..first + self.experts_per_token]
    }

    /// The choices of tokens one after the other.
    #[cfg(test)]
    pub(crate) fn of_choices<const K: usize>(choices: &[[u16; K]]) -> Self {
        let experts: Vec<u16> = choices.iter().flatten().copied().collect();
        let distinct = experts.iter().collect::<std::collections::BTreeSet<_>>().len();
        Self { experts_per_token: K, experts, n_activated: u32::try_from(distinct).unwrap() }
    }

    /// Tokens that chose.
    pub fn n_tokens(&self) -> u32 {
        u32::try_from(self.experts.len() / self.experts_per_token).expect("input validation bounds the batch")
    }

    /// Experts that at least one token chose.
    pub fn n_activated(&self) -> u32 {
        self.n_activated
    }
}

/// The choices of one step, by layer.
pub type StepRouting = Vec<LayerRouting>;

/// Popularity of the experts of one layer; sums to 1.
///
/// # Panics
///
/// When a histogram does not fit the experts or sums to zero, which input validation excludes.
pub fn popularity(load: &ExpertLoad, n_experts: u32, seed: u64, layer: u32) -> Vec<f64> {
    let n = n_experts as usize;
    let mut rng = rng_for(seed, Purpose::Popularity, 0, layer);
    let mut weights: Vec<f64> = match load {
        ExpertLoad::Balanced | ExpertLoad::Uniform => vec![1.0; n],
        ExpertLoad::Zipf { exponent } => (1..=n).map(|rank| libm::pow(rank as f64, -exponent)).collect(),
        // Inverse of the distribution function of a density ~ x^-a on [1, infinity).
        ExpertLoad::PowerLaw { exponent } => {
            (0..n).map(|_| libm::pow(1.0 - rng.random::<f64>(), -1.0 / (exponent - 1.0))).collect()
        }
        ExpertLoad::Histogram { tokens } => tokens.iter().map(|&count| count as f64).collect(),
    };
    assert_eq!(weights.len(), n, "one count for each expert");
    if matches!(load, ExpertLoad::Zipf { .. }) {
        weights.shuffle(&mut rng);
    }
    let sum: f64 = weights.iter().sum();
    assert!(sum > 0.0, "a load without tokens");
    weights.iter().map(|weight| weight / sum).collect()
}

/// The tokens that choose experts in one step: so many of each request, request after request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchTokens {
    /// Requests, numbered from zero.
    pub n_requests: u32,
    /// Tokens of each.
    pub of_each: u32,
}

impl BatchTokens {
    fn count(self) -> usize {
        self.n_requests as usize * self.of_each as usize
    }
}

/// The choices of `tokens` in one layer of one step.
fn draw_layer(
    load: &ExpertLoad,
    moe: MoeSpec,
    tokens: BatchTokens,
    seed: u64,
    step: u32,
    layer: u32,
) -> LayerRouting {
    let (n_experts, k) = (moe.n_routed_experts, moe.experts_per_token);
    let n_tokens = tokens.count();
    let as_u16 =
        |expert: usize| u16::try_from(expert).expect("input validation bounds the number of experts");
    let mut experts = Vec::with_capacity(n_tokens * k as usize);
    if matches!(load, ExpertLoad::Balanced) {
        // Any n_experts / k consecutive tokens load every expert once. A token's experts lie as far
        // apart as they can, so that it rarely finds two on one GPU: the most copies to send.
        let apart = (n_experts / k) as usize;
        let choices = |token: usize| (0..k as usize).map(move |choice| token + choice * apart);
        let all = (0..n_tokens).flat_map(choices);
        experts.extend(all.map(|choice| as_u16(choice % n_experts as usize)));
    } else {
        let popularity = popularity(load, n_experts, seed, layer);
        let mut alias = Alias::new(&popularity);
        let place = Stream::of(seed).of_key(u64::from(step) << 32 | u64::from(layer));
        for request in 0..tokens.n_requests {
            for position in 0..tokens.of_each {
                let own = place.of_key(u64::from(request) << 32 | u64::from(position));
                alias.choose(k, own, &mut experts);
            }
        }
    }
    let mut is_chosen = vec![false; n_experts as usize];
    for &expert in &experts {
        is_chosen[usize::from(expert)] = true;
    }
    let n_activated = is_chosen.iter().map(|&is_chosen| u32::from(is_chosen)).sum();
    LayerRouting { experts_per_token: k as usize, experts, n_activated }
}

/// Log-normal draws are cut here, at the longest context that a file may give: 2^24.
const LONGEST_DRAWN: f64 = 16_777_216.0;

/// Tokens in the cache of each sequence of a batch.
pub fn context_lens(context: &ContextLen, batch: u32, seed: u64) -> Vec<u32> {
    let mut rng = rng_for(seed, Purpose::Context, 0, 0);
    let n = batch as usize;
    match context {
        ContextLen::Fixed(len) => vec![*len; n],
        ContextLen::Uniform { min, max } => (0..n).map(|_| rng.random_range(*min..=*max)).collect(),
        ContextLen::Lognormal { mean, sigma } => {
            // The mean of a log-normal is exp(mu + sigma^2 / 2).
            let mu = libm::log(*mean) - sigma * sigma / 2.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the value is clamped"
            )]
            let draw = |z: f64| libm::exp(mu + sigma * z).round().clamp(1.0, LONGEST_DRAWN) as u32;
            (0..n).map(|_| draw(standard_normal(&mut rng))).collect()
        }
        ContextLen::List(lens) => lens.iter().copied().cycle().take(n).collect(),
        ContextLen::Trace(trace) => {
            (0..n).map(|_| trace.context_at(rng.random_range(0..trace.n_steps()))).collect()
        }
    }
}

/// Box and Muller's transform with a portable logarithm, so that draws are equal on every platform.
pub(crate) fn standard_normal(rng: &mut Pcg64) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * libm::log(radius)).sqrt() * libm::cos(2.0 * std::f64::consts::PI * angle)
}

/// What a stream of random numbers is for; each purpose has its own.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Popularity = 1,
    Context = 3,
    Jitter = 4,
}

/// The generator of one purpose, step and layer; each place has a stream of its own.
pub(crate) fn rng_for(seed: u64, purpose: Purpose, step: u32, layer: u32) -> Pcg64 {
    let place = (purpose as u128) << 64 | u128::from(step) << 32 | u128::from(layer);
    Pcg64::new(u128::from(seed), place)
}

/// Memory of the choices that a source keeps for whoever asks again: a large step has some megabytes, and drawing them
/// anew takes less than simulating the step.
const KEPT_BYTES: usize = 64 << 20;

/// Steps that are kept however large they are: so many may be in the engine at once.
const N_KEPT_MIN: usize = 4;

/// Choices that were drawn.
#[derive(Debug, Default)]
struct Drawn {
    /// The first steps, as far as they fit.
    first: BTreeMap<u32, Arc<StepRouting>>,
    /// Later steps, the last drawn first.
    recent: VecDeque<(u32, Arc<StepRouting>)>,
}

/// The choices of all steps of one load, drawn when asked for; those of the first steps are kept.
#[derive(Debug)]
pub struct RoutingSource {
    load: ExpertLoad,
    moe: MoeSpec,
    n_layers: u32,
    tokens: BatchTokens,
    seed: u64,
    kept_bytes: usize,
    drawn: Mutex<Drawn>,
}

impl RoutingSource {
    /// Nothing is drawn yet.
    pub fn new(load: ExpertLoad, moe: MoeSpec, n_layers: u32, tokens: BatchTokens, seed: u64) -> Self {
        Self { load, moe, n_layers, tokens, seed, kept_bytes: KEPT_BYTES, drawn: Mutex::default() }
    }

    /// True if every step has the same choices.
    pub fn is_constant(&self) -> bool {
        matches!(self.load, ExpertLoad::Balanced) || self.moe.n_routed_experts == self.moe.experts_per_token
    }

    /// The choices of step `idx`; equal for equal sources, whatever was asked before.
    pub fn step(&self, idx: u32) -> Arc<StepRouting> {
        let idx = if self.is_constant() { 0 } else { idx };
        let n_kept = self.kept_bytes / self.step_bytes();
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        // Half of the memory is of the first steps, with which every plan begins.
        if (idx as usize) < n_kept / 2 {
            return Arc::clone(drawn.first.entry(idx).or_insert_with(|| self.draw(idx)));
        }
        if let Some((_, known)) = drawn.recent.iter().find(|(step, _)| *step == idx) {
            return Arc::clone(known);
        }
        let step = self.draw(idx);
        drawn.recent.truncate((n_kept / 2).max(N_KEPT_MIN) - 1);
        drawn.recent.push_front((idx, Arc::clone(&step)));
        step
    }

    fn draw(&self, step: u32) -> Arc<StepRouting> {
        let draw = |layer| draw_layer(&self.load, self.moe, self.tokens, self.seed, step, layer);
        Arc::new((0..self.n_layers).map(draw).collect())
    }

    /// Memory of the choices of one step.
    fn step_bytes(&self) -> usize {
        let choices = self.tokens.count() * self.moe.experts_per_token as usize;
        self.n_layers as usize * (size_of::<LayerRouting>() + choices * size_of::<u16>())
    }
}

/// Everything that the choices of a source depend on: load, experts, layers, tokens and seed.
type Tokens = (ExpertLoad, MoeSpec, u32, BatchTokens, u64);

/// Sources shared by the rows of a sweep that see the same tokens.
#[derive(Debug, Default)]
pub struct RoutingPool {
    sources: Mutex<BTreeMap<Tokens, Arc<RoutingSource>>>,
}

impl RoutingPool {
    /// The source of these tokens, made when first asked for.
    pub fn source(
        &self,
        load: &ExpertLoad,
        moe: MoeSpec,
        n_layers: u32,
        tokens: BatchTokens,
        seed: u64,
    ) -> Arc<RoutingSource> {
        let key = (load.clone(), moe, n_layers, tokens, seed);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(RoutingSource::new(load.clone(), moe, n_layers, tokens, seed));
        Arc::clone(sources.entry(key).or_insert_with(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOE: MoeSpec = MoeSpec {
        gated: false,
        n_routed_experts: 16,
        n_shared_experts: 0,
        experts_per_token: 2,
        expert_hidden: 64,
    };

    fn decoded(n_requests: u32) -> BatchTokens {
        BatchTokens { n_requests, of_each: 1 }
    }

    fn tokens_per_expert(load: ExpertLoad, n_tokens: u32) -> Vec<u32> {
        let step = RoutingSource::new(load, MOE, 1, decoded(n_tokens), 7).step(3);
        let mut counts = vec![0; 16];
        for token in 0..n_tokens {
            let experts = step[0].experts_of(token);
            assert_ne!(experts[0], experts[1], "a token's experts are distinct");
            for &expert in experts {
                counts[usize::from(expert)] += 1;
            }
        }
        counts
    }

    #[test]
    fn balanced_is_exact() {
        assert_eq!(tokens_per_expert(ExpertLoad::Balanced, 1024), [128; 16]);
    }

    #[test]
    fn no_expert_exceeds_its_share_of_one_choice_per_token() {
        let counts = tokens_per_expert(ExpertLoad::Zipf { exponent: 50.0 }, 1000);
        assert_eq!(counts.iter().max(), Some(&1000));
        assert_eq!(counts.iter().sum::<u32>(), 2000);
    }

    /// 16 experts, 32,000 choices: 2,000 each, standard deviation 41; five of them are 205.
    #[test]
    fn uniform_is_multinomial() {
        let counts = tokens_per_expert(ExpertLoad::Uniform, 16_000);
        assert!(counts.iter().all(|&n| n.abs_diff(2000) < 205), "{counts:?}");
        assert!(counts.iter().any(|&n| n != 2000), "random counts are not exact");
    }

    #[test]
    fn a_pool_gives_equal_tokens_one_source_and_others_their_own() {
        let pool = RoutingPool::default();
        let of = |load: &ExpertLoad, seed| pool.source(load, MOE, 2, decoded(8), seed);
        let zipf = |exponent| ExpertLoad::Zipf { exponent };
        let first = of(&zipf(0.8), 1);
        assert!(Arc::ptr_eq(&first, &of(&zipf(0.8), 1)));
        let power = ExpertLoad::PowerLaw { exponent: 0.8 };
        let counts = |last| ExpertLoad::Histogram { tokens: vec![1, last] };
        let others =
            [of(&zipf(0.9), 1), of(&zipf(0.8), 2), of(&power, 1), of(&counts(2), 1), of(&counts(3), 1)];
        for (at, one) in others.iter().enumerate() {
            assert!(!Arc::ptr_eq(one, &first) && others[..at].iter().all(|other| !Arc::ptr_eq(one, other)));
        }
    }

    #[test]
    fn a_step_does_not_depend_on_what_was_asked_before() {
        let source = || RoutingSource::new(ExpertLoad::Zipf { exponent: 0.8 }, MOE, 4, decoded(64), 1);
        let (one, two) = (source(), source());
        two.step(0);
        assert_eq!(one.step(5), two.step(5));
        assert_ne!(one.step(5), one.step(6));
        // Late steps are drawn anew.
        let late = one.step(2_000);
        assert!((2_001..2_040).all(|step| one.step(step) != late));
        assert_eq!(one.step(2_000), late);
    }

    /// 64 tokens with two choices of two bytes each in 4 layers, and what holds them: 1.2 kB for each step.
    #[test]
    fn kept_steps_fit_in_memory_however_many_are_asked_for() {
        let n_kept = |kept_bytes| {
            let load = ExpertLoad::Uniform;
            let mut source = RoutingSource::new(load, MOE, 4, decoded(64), 1);
            source.kept_bytes = kept_bytes;
            (0..100).for_each(|step| drop(source.step(step)));
            let drawn = source.drawn.lock().unwrap();
            let all = drawn.first.values().chain(drawn.recent.iter().map(|(_, step)| step));
            let bytes = |step: &Arc<StepRouting>| -> usize {
                step.iter().map(|layer| size_of_val(layer) + 2 * layer.experts.len()).sum()
            };
            let held: usize = all.map(bytes).sum();
            assert!(held <= kept_bytes.max(N_KEPT_MIN * 2_000), "{held}");
            (drawn.first.len(), drawn.recent.len())
        };
        let (first, recent) = n_kept(20_000);
        assert!(first > 2 && recent > N_KEPT_MIN, "{first} {recent}");
        assert_eq!(n_kept(1_000), (0, N_KEPT_MIN), "steps in the engine at once");
    }

    /// Token 1 of request 2 among 4 tokens each, and among 7: what other requests do moves nobody.
    #[test]
    fn the_experts_of_a_request_do_not_depend_on_the_batch() {
        let step = |n_requests, of_each| {
            let tokens = BatchTokens { n_requests, of_each };
            RoutingSource::new(ExpertLoad::Zipf { exponent: 0.8 }, MOE, 2, tokens, 1).step(3)
        };
        let (small, large, long) = (step(3, 4), step(50, 4), step(3, 7));
        for layer in 0..2 {
            for token in 0..12 {
                assert_eq!(small[layer].experts_of(token), large[layer].experts_of(token));
            }
            assert_eq!(small[layer].experts_of(2 * 4 + 1), long[layer].experts_of(2 * 7 + 1));
        }
        assert_ne!(small[0], small[1], "layers differ");
    }

    #[test]
    fn the_mean_of_log_normal_contexts_is_the_mean_asked_for() {
        let lens = context_lens(&ContextLen::Lognormal { mean: 2000.0, sigma: 0.5 }, 20_000, 1);
        let mean = lens.iter().map(|&len| f64::from(len)).sum::<f64>() / 20_000.0;
        // Standard error of the mean: 2000 sqrt(exp(0.25) - 1) / sqrt(20000) = 7.5.
        assert!((mean - 2000.0).abs() < 40.0, "{mean}");
    }
}
