//! Rows per expert by drawing them, always with the same numbers.

use super::rows::ExpertRows;
use crate::measurement::{Distribution, MoeWork};

/// Quantiles that stand for a distribution.
const N_QUANTILES: usize = 256;
/// Experts that are drawn in all where there are several ranks: 64 draws of 128 experts.
const N_SAMPLES: u64 = 8192;
/// With more rows per expert than this, what rounding leaves over does not matter.
const MEAN_ROWS_EXACT: u64 = 40;
/// Largest mean at which quantiles of the binomial distribution are summed up rather than taken from the normal one.
const MEAN_SUMMED: f64 = 64.0;

/// The expected summary of the hottest rank, with leftovers of rounding given to the busiest and to idle experts.
pub(super) fn expected(work: &MoeWork) -> [ExpertRows; 2] {
    let n_draws = match work.ep {
        1 => (N_SAMPLES / 4 / work.n_experts).clamp(4, 32),
        _ => (N_SAMPLES / work.n_experts).clamp(12, 128),
    };
    let quantiles = quantiles(work);
    let mut bytes = Bytes::new();
    let mut drawn = vec![0.0; usize::try_from(work.n_experts).expect("checked when read")];
    let mut counts = vec![0_u64; drawn.len()];
    let mut scratch = Vec::new();
    let mut sums = [ExpertRows::empty(work.tokens, work.n_experts.div_ceil(work.ep)); 2];
    for _ in 0..n_draws {
        drawn.fill_with(|| quantiles[usize::from(bytes.next())]);
        let leftover = round(work, &drawn, &mut counts);
        let few = work.tokens * work.top_k <= MEAN_ROWS_EXACT * work.n_experts;
        if !few || leftover == 0 {
            let hottest = hottest(work, &counts);
            sums.iter_mut().for_each(|sum| sum.accumulate(&hottest, 1.0 / n_draws as f64));
            continue;
        }
        let exact = counts.clone();
        for (sum, to_idle) in sums.iter_mut().zip([false, true]) {
            counts.copy_from_slice(&exact);
            settle(&mut counts, leftover, to_idle, &mut scratch);
            sum.accumulate(&hottest(work, &counts), 1.0 / n_draws as f64);
        }
    }
    sums
}

/// Scales `drawn` to the rows of all experts and rounds; returns the rows that are missing.
fn round(work: &MoeWork, drawn: &[f64], counts: &mut [u64]) -> i64 {
    let n_rows = work.tokens * work.top_k;
    let scale = match work.distribution {
        // Experts are chosen one by one: the number of rows comes out by itself, on average.
        Distribution::Balanced | Distribution::Uniform => 1.0,
        Distribution::PowerLaw { .. } => n_rows as f64 / drawn.iter().sum::<f64>(),
    };
    let mut excess = 0;
    for (count, x) in counts.iter_mut().zip(drawn) {
        let rounded = (x * scale).round_ties_even() as u64;
        // A token chooses an expert once.
        *count = rounded.min(work.tokens);
        excess += rounded - *count;
    }
    while 0 < excess {
        let Some(least) = counts.iter_mut().rev().min() else { break };
        let room = (work.tokens - *least).min(excess);
        if room == 0 {
            break;
        }
        *least += room;
        excess -= room;
    }
    match work.distribution {
        Distribution::Balanced | Distribution::Uniform => 0,
        Distribution::PowerLaw { .. } => n_rows as i64 - counts.iter().sum::<u64>() as i64,
    }
}

/// Adds the rows that rounding lost, or takes those that it found from the busiest.
fn settle(counts: &mut [u64], leftover: i64, to_idle: bool, order: &mut Vec<(u64, usize)>) {
    let n = counts.len();
    let (all, some) = (leftover.unsigned_abs() / n as u64, (leftover.unsigned_abs() % n as u64) as usize);
    order.clear();
    order.extend(counts.iter().enumerate().map(|(idx, &count)| match to_idle && 0 < leftover {
        true => (count, n - idx),
        false => (u64::MAX - count, idx),
    }));
    if some < n {
        order.select_nth_unstable(some);
    }
    for (position, &(_, place)) in order.iter().enumerate() {
        let count = &mut counts[if to_idle && 0 < leftover { n - place } else { place }];
        let change = all + u64::from(position < some);
        *count = if 0 < leftover { *count + change } else { count.saturating_sub(change) };
    }
}

/// The summary of the rank with most rows; ranks hold experts that are numbered one after the other.
fn hottest(work: &MoeWork, counts: &[u64]) -> ExpertRows {
    let first = |rank: u64| (rank * work.n_experts / work.ep) as usize;
    let of = |rank: u64| &counts[first(rank)..first(rank + 1)];
    let hottest =
        (0..work.ep).max_by_key(|&rank| (of(rank).iter().sum::<u64>(), u64::MAX - rank)).unwrap_or(0);
    ExpertRows::new(work.tokens, of(hottest))
}

/// Quantiles of the rows of one expert, before they are scaled.
fn quantiles(work: &MoeWork) -> [f64; N_QUANTILES] {
    let middle = |idx: usize| (idx as f64 + 0.5) / N_QUANTILES as f64;
    let chance = work.top_k as f64 / work.n_experts as f64;
    match work.distribution {
        Distribution::Balanced => [chance; N_QUANTILES],
        Distribution::Uniform => binomial(work.tokens as f64, chance),
        Distribution::PowerLaw { exponent } => {
            let (least, most) = match work.n_experts < work.tokens * work.top_k {
                true => (1.0, (0.8 * work.tokens as f64).max(1.0)),
                false => (0.01, 2.0),
            };
            let power = 1.0 - exponent;
            if power.abs() < 1e-6 {
                let range = libm::log(most / least);
                return std::array::from_fn(|idx| least * libm::exp(range * middle(idx)));
            }
            let (low, high) = (libm::pow(least, power), libm::pow(most, power));
            std::array::from_fn(|idx| libm::pow(low + (high - low) * middle(idx), 1.0 / power))
        }
    }
}

/// Quantiles of how often something of that chance happens in `n` trials.
fn binomial(n: f64, chance: f64) -> [f64; N_QUANTILES] {
    let mean = n * chance;
    let deviation = (mean * (1.0 - chance)).sqrt();
    let middle = |idx: usize| (idx as f64 + 0.5) / N_QUANTILES as f64;
    if MEAN_SUMMED < mean || 1.0 <= chance {
        return std::array::from_fn(|idx| {
            (mean + deviation * normal_quantile(middle(idx))).round().clamp(0.0, n)
        });
    }
    let mut density = libm::exp(n * libm::log1p(-chance));
    let (mut sum, mut count) = (density, 0.0);
    std::array::from_fn(|idx| {
        while sum < middle(idx) && count < n {
            density *= (n - count) / (count + 1.0) * chance / (1.0 - chance);
            sum += density;
            count += 1.0;
        }
        count
    })
}

/// The point below which a standard normal number lies with probability `p`, to three digits.
///
/// # Source
///
/// Abramowitz and Stegun, 26.2.23.
fn normal_quantile(p: f64) -> f64 {
    let tail = p.min(1.0 - p);
    let t = (-2.0 * libm::log(tail)).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - above / below) * if p < 0.5 { -1.0 } else { 1.0 }
}

/// Bytes that look random and are always the same.
///
/// # Source
///
/// Vigna, SplitMix64, 2015.
struct Bytes {
    state: u64,
    word: u64,
    n_left: u32,
}

impl Bytes {
    fn new() -> Self {
        Self { state: 0, word: 0, n_left: 0 }
    }

    fn next(&mut self) -> u8 {
        if self.n_left == 0 {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (self.word, self.n_left) = (mixed ^ mixed >> 31, 8);
        }
        let byte = (self.word & 0xff) as u8;
        self.word >>= 8;
        self.n_left -= 1;
        byte
    }
}
