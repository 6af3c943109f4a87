//! Rows per expert by drawing them, always with the same numbers.

use std::cmp::Reverse;

use super::rows::ExpertRows;
use crate::inputs::measurement::{Distribution, MoeWork};

/// Quantiles that stand for a distribution.
const N_QUANTILES: usize = 256;
/// Experts that are drawn in all where there are several ranks: 64 draws of 128 experts.
const N_SAMPLES: u64 = 8192;
/// With more rows per expert than this, what rounding leaves over does not matter.
const MEAN_ROWS_EXACT: u64 = 40;
/// More rows than an expert gets.
const COUNT_MAX: u64 = 1 << 47;
/// Largest mean at which quantiles of the binomial distribution are summed up rather than taken from the normal one.
const MEAN_SUMMED: f64 = 64.0;

/// The expected summary of the hottest rank, with leftovers of rounding given to the busiest and to idle experts.
pub(super) fn expected(work: &MoeWork) -> [ExpertRows; 2] {
    let n_draws = match work.ep {
        1 => (N_SAMPLES / 4 / work.n_experts).clamp(4, 32),
        _ => (N_SAMPLES / work.n_experts).clamp(12, 128),
    };
    let weight = 1.0 / n_draws as f64;
    let quantiles = quantiles(work);
    let mut bytes = Bytes::new();
    let mut drawn = vec![0.0; size(work.n_experts)];
    let (mut counts, mut settled) = (vec![0; drawn.len()], vec![0; drawn.len()]);
    let mut order = Vec::with_capacity(drawn.len());
    let mut sums = [ExpertRows::empty(work.tokens, work.n_experts.div_ceil(work.ep)); 2];
    for _ in 0..n_draws {
        let total = bytes.fill(&mut drawn, &quantiles);
        let leftover = round(work, &drawn, total, &mut counts);
        if leftover == Leftover::None {
            let hottest = hottest(work, &counts);
            for sum in &mut sums {
                sum.accumulate(&hottest, weight);
            }
            continue;
        }
        for (sum, to_idle) in sums.iter_mut().zip([false, true]) {
            settled.copy_from_slice(&counts);
            settle(&mut settled, leftover, to_idle, &mut order);
            sum.accumulate(&hottest(work, &settled), weight);
        }
    }
    sums
}

/// Rows by which rounded counts miss their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leftover {
    None,
    Missing(u64),
    Surplus(u64),
}

/// Scales `drawn`, which add up to `total`, to the rows of all experts and rounds.
fn round(work: &MoeWork, drawn: &[f64], total: f64, counts: &mut [u64]) -> Leftover {
    let n_rows = work.tokens * work.top_k;
    let chosen = !matches!(work.distribution, Distribution::PowerLaw { .. });
    // Where experts are chosen one by one, the number of rows comes out by itself, on average.
    let scale = if chosen { 1.0 } else { n_rows as f64 / total };
    let (mut sum, mut excess) = (0, 0);
    for (count, x) in counts.iter_mut().zip(drawn) {
        let rounded = nearest(x * scale);
        // A token chooses an expert once.
        *count = rounded.min(work.tokens);
        excess += rounded - *count;
        sum += rounded;
    }
    while 0 < excess {
        let Some(least) = counts.iter_mut().rev().min() else { break };
        let moved = (work.tokens - *least).min(excess);
        if moved == 0 {
            break;
        }
        *least += moved;
        excess -= moved;
    }
    if chosen || MEAN_ROWS_EXACT * work.n_experts < n_rows || sum == n_rows {
        Leftover::None
    } else if sum < n_rows {
        Leftover::Missing(n_rows - sum)
    } else {
        Leftover::Surplus(sum - n_rows)
    }
}

/// Adds the rows that rounding lost to the busiest or to idle experts, or takes what it found from the busiest.
fn settle(counts: &mut [u64], leftover: Leftover, to_idle: bool, order: &mut Vec<u64>) {
    let (n_rows, add) = match leftover {
        Leftover::None => return,
        Leftover::Missing(n_rows) => (n_rows, true),
        Leftover::Surplus(n_rows) => (n_rows, false),
    };
    let n = counts.len();
    let (each, some) = (n_rows / n as u64, size(n_rows % n as u64));
    let backward = add && to_idle;
    // First the count, then the place, in one number: there are fewer than 2^16 experts.
    if backward {
        least(counts.iter().rev().zip(0..).map(|(&count, place)| (count << 16) | place), some, order);
    } else {
        let keys = counts.iter().zip(0..).map(|(&count, place)| ((COUNT_MAX - count) << 16) | place);
        least(keys, some, order);
    }
    let one_more =
        order.iter().map(|key| if backward { n - 1 - size(key & 0xffff) } else { size(key & 0xffff) });
    if add {
        counts.iter_mut().filter(|_| each > 0).for_each(|count| *count += each);
        one_more.for_each(|idx| counts[idx] += 1);
    } else {
        counts.iter_mut().filter(|_| each > 0).for_each(|count| *count = count.saturating_sub(each));
        one_more.for_each(|idx| counts[idx] = counts[idx].saturating_sub(1));
    }
}

/// Puts the `n` least of different `keys` into `found`, in no particular order.
fn least(keys: impl Iterator<Item = u64>, n: usize, found: &mut Vec<u64>) {
    // Rounding mostly misses by a few rows: then one look at each key is enough.
    const FEW: usize = 12;
    found.clear();
    if n > FEW {
        found.extend(keys);
        found.select_nth_unstable(n);
        found.truncate(n);
        return;
    }
    for key in keys {
        if found.len() == n {
            if found.last().is_none_or(|&last| last < key) {
                continue;
            }
            found.pop();
        }
        let at = found.iter().rposition(|&other| other < key).map_or(0, |before| before + 1);
        found.insert(at, key);
    }
}

/// The summary of the rank with most rows; ranks hold experts that are numbered one after the other.
fn hottest(work: &MoeWork, counts: &[u64]) -> ExpertRows {
    let of = |rank: u64| {
        let first = |rank: u64| size(rank * work.n_experts / work.ep);
        &counts[first(rank)..first(rank + 1)]
    };
    let hottest = (0..work.ep).max_by_key(|&rank| (of(rank).iter().sum::<u64>(), Reverse(rank)));
    ExpertRows::new(work.tokens, of(hottest.expect("there is a rank")))
}

/// The whole number nearest to `x`, which lies between 0 and 2^51: the last bit of `x + 2^52` is worth 1.
fn nearest(x: f64) -> u64 {
    (x + (1_u64 << 52) as f64).to_bits() & ((1 << 52) - 1)
}

fn size(n: u64) -> usize {
    usize::try_from(n).expect("experts fit the memory")
}

/// Quantiles of the rows of one expert, before they are scaled.
fn quantiles(work: &MoeWork) -> [f64; N_QUANTILES] {
    let middle = |idx: usize| (idx as f64 + 0.5) / N_QUANTILES as f64;
    let chance = work.top_k as f64 / work.n_experts as f64;
    match work.distribution {
        Distribution::Balanced => [chance; N_QUANTILES],
        Distribution::Uniform => binomial(work.tokens as f64, chance),
        Distribution::PowerLaw { exponent } => {
            let (least, most) = if work.n_experts < work.tokens * work.top_k {
                (1.0, (0.8 * work.tokens as f64).max(1.0))
            } else {
                (0.01, 2.0)
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
/// Vigna, `SplitMix64`, 2015.
struct Bytes {
    state: u64,
    word: u64,
    n_left: u32,
}

impl Bytes {
    fn new() -> Self {
        Self { state: 0, word: 0, n_left: 0 }
    }

    /// Fills `drawn` with quantiles drawn one by one; the result is their sum, from the first to the last.
    fn fill(&mut self, drawn: &mut [f64], quantiles: &[f64; N_QUANTILES]) -> f64 {
        let mut sum = 0.0;
        for x in drawn {
            *x = quantiles[usize::from(self.draw())];
            sum += *x;
        }
        sum
    }

    fn draw(&mut self) -> u8 {
        if self.n_left == 0 {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (self.word, self.n_left) = (mixed ^ (mixed >> 31), 8);
        }
        let [byte, ..] = self.word.to_le_bytes();
        self.word >>= 8;
        self.n_left -= 1;
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_those_that_sorting_finds() {
        let keys: Vec<u64> = (0..100).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let mut found = Vec::new();
        for n in 0..40 {
            least(keys.iter().copied(), n, &mut found);
            found.sort_unstable();
            assert_eq!(found, sorted[..n]);
        }
    }

    /// Experts have 3 rows each: two missing rows go to the busiest, in order of their places, or to idle experts from
    /// the end.
    #[test]
    fn leftovers_go_to_the_busiest_or_to_idle_experts() {
        let settled = |counts: [u64; 4], leftover, to_idle| {
            let mut counts = counts.to_vec();
            settle(&mut counts, leftover, to_idle, &mut Vec::new());
            counts
        };
        let counts = [3, 9, 9, 0];
        assert_eq!(settled(counts, Leftover::Missing(2), false), [3, 10, 10, 0]);
        assert_eq!(settled(counts, Leftover::Missing(2), true), [4, 9, 9, 1]);
        assert_eq!(settled(counts, Leftover::Missing(5), false), [4, 11, 10, 1]);
        assert_eq!(settled(counts, Leftover::Surplus(6), true), [2, 7, 7, 0]);
    }
}
