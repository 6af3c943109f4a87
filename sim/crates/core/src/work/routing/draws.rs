//! Draws of experts: for each token distinct ones, one after the other, in proportion to their popularity among those that are left.
//!
//! Every token has a stream of numbers of its own, so that nobody's experts depend on who else is in the batch.

/// Popularity of the chosen experts beyond which those that are left are weighed one by one: drawing again would take four attempts.
const MOSTLY_CHOSEN: f64 = 0.75;

/// Numbers that depend on a key alone.
///
/// # Source
///
/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream(u64);

impl Stream {
    /// The stream of a seed.
    pub(super) fn of(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The stream of its own that `key` has within this one.
    pub(super) fn of_key(self, key: u64) -> Self {
        Self(mix(self.0 ^ mix(key.wrapping_add(GOLDEN))))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number from 0 to 1, 1 excluded.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / TWO_TO_53
    }
}

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

const TWO_TO_53: f64 = 9_007_199_254_740_992.0;

/// A bijection in which every bit depends on every other.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Draws from a popularity, each in the same time whatever the number of experts.
///
/// # Source
///
/// Walker, "An efficient method for generating discrete random variables with general distributions", ACM TOMS 3(3),
/// 1977; the table is made as by Vose, IEEE TSE 17(9), 1991.
#[derive(Debug)]
pub(super) struct Alias<'a> {
    /// Sums to 1.
    popularity: &'a [f64],
    slots: Vec<Slot>,
    /// The token that chose each expert last.
    chosen_by: Vec<u64>,
    n_tokens: u64,
}

/// An equal share of all draws, which two experts divide.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Below this share of 2^64, the expert of the slot itself.
    own: u64,
    other: u16,
}

impl<'a> Alias<'a> {
    pub(super) fn new(popularity: &'a [f64]) -> Self {
        let n = popularity.len();
        let mut filled: Vec<f64> = popularity.iter().map(|share| share * n as f64).collect();
        let mut slots: Vec<Slot> =
            (0..n).map(|expert| Slot { own: u64::MAX, other: narrow(expert) }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|&expert| filled[expert] < 1.0);
        while let (Some(short), Some(&long)) = (small.pop(), large.last()) {
            slots[short] = Slot { own: part_of_range(filled[short]), other: narrow(long) };
            filled[long] -= 1.0 - filled[short];
            if filled[long] < 1.0 {
                large.pop();
                small.push(long);
            }
        }
        Self { popularity, slots, chosen_by: vec![0; n], n_tokens: 0 }
    }

    /// Appends `k` different experts, drawn with the numbers of `stream`.
    pub(super) fn choose(&mut self, k: u32, mut stream: Stream, experts: &mut Vec<u16>) {
        self.n_tokens += 1;
        let mut chosen = 0.0;
        for _ in 0..k {
            let expert =
                if chosen < MOSTLY_CHOSEN { self.again(&mut stream) } else { self.weighed(&mut stream) };
            self.chosen_by[expert] = self.n_tokens;
            chosen += self.popularity[expert];
            experts.push(narrow(expert));
        }
    }

    /// Draws until an expert is new to the token.
    fn again(&self, stream: &mut Stream) -> usize {
        loop {
            let scaled = u128::from(stream.next()) * self.slots.len() as u128;
            #[expect(clippy::cast_possible_truncation, reason = "the upper and the lower half")]
            let (at, share) = ((scaled >> 64) as usize, scaled as u64);
            let Slot { own, other } = self.slots[at];
            let expert = if share < own { at } else { usize::from(other) };
            if self.is_open(expert) {
                return expert;
            }
        }
    }

    /// An open expert in proportion to its popularity; among those without any, the first.
    fn weighed(&self, stream: &mut Stream) -> usize {
        let open = || (0..self.popularity.len()).filter(|&expert| self.is_open(expert));
        let mut at = stream.share() * open().map(|expert| self.popularity[expert]).sum::<f64>();
        let mut last_with_weight = None;
        for expert in open().filter(|&expert| self.popularity[expert] > 0.0) {
            last_with_weight = Some(expert);
            at -= self.popularity[expert];
            if at < 0.0 {
                break;
            }
        }
        last_with_weight
            .or_else(|| open().next())
            .expect("a token chooses at most as many experts as there are")
    }

    fn is_open(&self, expert: usize) -> bool {
        self.chosen_by[expert] != self.n_tokens
    }
}

fn narrow(expert: usize) -> u16 {
    u16::try_from(expert).expect("input validation bounds the number of experts")
}

/// `share` of 2^64.
fn part_of_range(share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is at least 0, and casts end at the largest number"
    )]
    let part = (share * TWO_TO_53 * 2048.0) as u64;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-square of how often each ordered pair of two experts was drawn, against `p_i p_j / (1 - p_i)`.
    fn chi_square(popularity: &[f64], n_tokens: u64) -> f64 {
        let n = popularity.len();
        let mut alias = Alias::new(popularity);
        let mut counts = vec![0_u32; n * n];
        for token in 0..n_tokens {
            let mut experts = Vec::new();
            alias.choose(2, Stream::of(7).of_key(3).of_key(token), &mut experts);
            counts[usize::from(experts[0]) * n + usize::from(experts[1])] += 1;
        }
        let mut sum = 0.0;
        for (one, p) in popularity.iter().enumerate() {
            for (two, q) in popularity.iter().enumerate() {
                let count = f64::from(counts[one * n + two]);
                let expected = if one == two { 0.0 } else { n_tokens as f64 * p * q / (1.0 - p) };
                assert!(expected > 0.0 || count < 0.5, "{one} and {two} cannot be");
                if expected > 0.0 {
                    sum += (count - expected) * (count - expected) / expected;
                }
            }
        }
        sum
    }

    /// Five experts are 20 pairs: 19 degrees of freedom, whose chi-square exceeds 50.8 once in 10,000. With 0.9 for one
    /// of them, the second is mostly weighed.
    #[test]
    fn pairs_are_drawn_without_replacement() {
        for popularity in [[0.2; 5], [0.4, 0.3, 0.2, 0.06, 0.04], [0.9, 0.04, 0.03, 0.02, 0.01]] {
            let sum = chi_square(&popularity, 200_000);
            assert!(sum < 50.8, "{popularity:?}: {sum}");
        }
    }

    /// 256 experts of Zipf's law: 255 degrees of freedom; 99.99 % lie below 350.
    #[test]
    fn first_choices_follow_the_popularity() {
        let weights: Vec<f64> = (1..=256).map(|rank| libm::pow(f64::from(rank), -0.8)).collect();
        let popularity: Vec<f64> = weights.iter().map(|it| it / weights.iter().sum::<f64>()).collect();
        let mut alias = Alias::new(&popularity);
        let mut counts = [0_u32; 256];
        let n_tokens = 500_000_u32;
        for token in 0..n_tokens {
            let mut experts = Vec::new();
            alias.choose(1, Stream::of(1).of_key(u64::from(token)), &mut experts);
            counts[usize::from(experts[0])] += 1;
        }
        let deviation = |(count, share): (&u32, &f64)| {
            let expected = share * f64::from(n_tokens);
            (f64::from(*count) - expected) * (f64::from(*count) - expected) / expected
        };
        let sum: f64 = counts.iter().zip(&popularity).map(deviation).sum();
        assert!(sum < 350.0, "{sum}");
    }

    #[test]
    fn experts_that_nobody_wants_come_last() {
        let popularity = [0.0, 1.0, 0.0, 0.0];
        let mut experts = Vec::new();
        Alias::new(&popularity).choose(4, Stream::of(1), &mut experts);
        assert_eq!(experts, [1, 0, 2, 3]);
    }
}
