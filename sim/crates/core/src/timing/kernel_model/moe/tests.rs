use rand::RngExt;
use rand_pcg::Pcg64;

use super::hottest::hottest_rank;
use super::params::MoeParams;
use super::product::{Product, product_us};
use super::rows::{ExpertRows, TILE_ROWS};
use super::{Experts, around_us, moe_us};
use crate::inputs::measurement::{Distribution, MoeWork};
use crate::inputs::topology::Dtype;
use crate::timing::kernel_model::Chip;

const A100: Chip = Chip { n_sms: 108.0, matrix: 312e6, memory: 2.039e6, l2: 41_943_040.0 };
const H200: Chip = Chip { n_sms: 132.0, matrix: 989e6, memory: 4.8e6, l2: 52_428_800.0 };
const MIXTRAL: MoeWork = MoeWork {
    dtype: Dtype::Bf16,
    tokens: 256,
    hidden: 4096,
    expert_hidden: 14336,
    top_k: 2,
    n_experts: 8,
    tp: 1,
    ep: 1,
    distribution: Distribution::Uniform,
};
const DEEPSEEK: MoeWork =
    MoeWork { hidden: 7168, expert_hidden: 2048, top_k: 8, n_experts: 256, ep: 8, ..MIXTRAL };
const DISTRIBUTIONS: [Distribution; 4] = [
    Distribution::Balanced,
    Distribution::Uniform,
    Distribution::PowerLaw { exponent: 1.01 },
    Distribution::PowerLaw { exponent: 1.2 },
];

fn start() -> MoeParams {
    MoeParams::from_values(MoeParams::START)
}

/// A library that finds the best tile, one that follows its rule, and what lies between.
fn libraries() -> [MoeParams; 3] {
    [MoeParams { fixed_rule: 1e-3, foreign_rows: 0.02, ..start() }, start(), ruled()]
}

fn ruled() -> MoeParams {
    MoeParams { fixed_rule: 1.0, foreign_rows: 1.3, lone_tile: 2.5, overlap: 1.2, ..start() }
}

/// The hottest rank reads the weights of its activated experts and multiplies its rows.
fn bound_us(work: &MoeWork, rows: &ExpertRows, chip: &Chip) -> f64 {
    let weights = 3.0 * work.hidden as f64 * (work.expert_hidden / work.tp) as f64;
    (2.0 * rows.rows * weights / chip.matrix).max(2.0 * rows.n_activated * weights / chip.memory)
}

fn grid() -> impl Iterator<Item = MoeWork> {
    [MIXTRAL, DEEPSEEK].into_iter().flat_map(|model| {
        DISTRIBUTIONS.into_iter().flat_map(move |distribution| {
            [1, 7, 64, 1000, 30_000].into_iter().flat_map(move |tokens| {
                [(1, 1), (1, 4), (8, 1), (2, 8)].map(|(tp, ep)| MoeWork {
                    tokens,
                    tp,
                    ep,
                    distribution,
                    ..model
                })
            })
        })
    })
}

#[test]
fn no_time_is_below_the_roofline_of_the_hottest_rank() {
    for work in grid() {
        for chip in [A100, H200] {
            for params in libraries() {
                let rows = hottest_rank(&work, params.leftover_idle);
                let (time, bound) = (moe_us(&params, &work, &chip), bound_us(&work, &rows, &chip));
                assert!(bound < time, "{work:?}: {time} us, at least {bound} us");
            }
        }
    }
}

#[test]
fn a_better_card_is_faster() {
    for work in grid() {
        assert!(moe_us(&start(), &work, &H200) < moe_us(&start(), &work, &A100), "{work:?}");
    }
}

#[test]
fn wider_models_take_longer() {
    for work in grid() {
        for params in libraries() {
            let narrow = moe_us(&params, &work, &A100);
            let hidden = moe_us(&params, &MoeWork { hidden: work.hidden + 1024, ..work }, &A100);
            // To a width that no library has tuned either: 14336 and 2048 are in its table.
            let expert_hidden =
                moe_us(&params, &MoeWork { expert_hidden: 2 * work.expert_hidden, ..work }, &A100);
            assert!(narrow < hidden, "{work:?}: hidden");
            assert!(narrow < expert_hidden, "{work:?}: expert_hidden");
        }
    }
}

#[test]
fn more_tokens_take_longer_where_load_does_not_depend_on_chance() {
    for distribution in [Distribution::Balanced, Distribution::Uniform] {
        for model in [MIXTRAL, DEEPSEEK] {
            for params in libraries() {
                let mut before = 0.0;
                for power in 0..17 {
                    let work = MoeWork { tokens: 1 << power, distribution, ..model };
                    let time = moe_us(&params, &work, &A100);
                    assert!(before <= time * 1.001, "{work:?}: {time} us after {before} us");
                    before = time;
                }
            }
        }
    }
}

/// 64 rows of one expert, weights `[64, 128]`, on 100 SMs of 1 FLOP/us each, at half of the peak whatever the height.
///
/// arithmetic = 2 * 64 * 64 * 128 FLOP / 50 FLOP/us             = 20 971.52 us for tiles of 16, 32 and 64 rows
/// memory     = 2 B * (64 * 128 + 64 * (64 + 128)) / 10 B/us    =  4 096 us
/// one after the other                                          = 25 067.52 us
#[test]
fn one_expert_by_hand() {
    let chip = Chip { n_sms: 100.0, matrix: 100.0, memory: 10.0, l2: 1e30 };
    let params = MoeParams {
        memory_share: 1.0,
        matrix_share: 0.5,
        half_rows: 1e-9,
        fixed_rule: 0.0,
        lone_tile: 0.0,
        last_wave: 0.0,
        overlap: 1.0,
        ..start()
    };
    let rows = ExpertRows::new(64, &[64]);
    let product = Product { n: 128, k: 64, bytes: 2, tuned: false };
    let time = product_us(&params, &rows, product, &chip);
    assert!((time - 25_067.52).abs() < 1e-3, "{time}");
}

/// Rows 0, 1, 16 and 130 of four experts: 147 rows, three experts active;
/// tiles of 16: 1 + 1 + 9, of 32: 1 + 1 + 5, of 64: 1 + 1 + 3, of 128: 1 + 1 + 2.
#[test]
fn rows_are_padded_to_tiles_expert_by_expert() {
    let rows = ExpertRows::new(140, &[0, 1, 16, 130]);
    assert_eq!(TILE_ROWS, [16, 32, 64, 128]);
    let blocks = [11.0, 7.0, 5.0, 4.0];
    assert_eq!(rows, ExpertRows { n_experts: 4.0, tokens: 140.0, rows: 147.0, n_activated: 3.0, blocks });
}

/// 3 tokens x 8 choices over 8 ranks of 32 experts: 3 rows for 3 experts of a rank.
/// 4000 tokens: 4000 rows over 32 experts of a rank, 125 each: one tile of 128 rows or two of 64.
#[test]
fn a_balanced_load_is_exact() {
    let few = MoeWork { tokens: 3, distribution: Distribution::Balanced, ..DEEPSEEK };
    let rows = hottest_rank(&few, 0.5);
    assert_eq!(rows, ExpertRows { rows: 3.0, n_activated: 3.0, blocks: [3.0; 4], ..rows });
    let rows = hottest_rank(&MoeWork { tokens: 4000, ..few }, 0.5);
    let blocks = [256.0, 128.0, 64.0, 32.0];
    assert_eq!(rows, ExpertRows { rows: 4000.0, n_activated: 32.0, blocks, ..rows });
}

/// An expert is idle with probability `(1 - k/E)^tokens`: 256 (1 - (1 - 1/32)^16) = 101.95 of 256 are active for 16
/// tokens, 251.6 for 128.
#[test]
fn a_uniform_load_activates_as_many_experts_as_chance_says() {
    for (tokens, active) in [(16, 101.95), (128, 251.6)] {
        let work = MoeWork { tokens, ep: 1, ..DEEPSEEK };
        let rows = hottest_rank(&work, 0.5);
        assert!((rows.n_activated / active - 1.0).abs() < 0.05, "{tokens}: {rows:?}");
        assert!((rows.rows / (8.0 * tokens as f64) - 1.0).abs() < 0.05, "{tokens}: {rows:?}");
    }
}

/// The procedure of the source, line by line: draw, scale, round, cap, settle one row at a time, find the hottest rank.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rows are rounded, not negative, and few"
)]
fn plain_draw(work: &MoeWork, to_idle: bool, rng: &mut Pcg64) -> ExpertRows {
    let Distribution::PowerLaw { exponent } = work.distribution else { panic!("a power law") };
    let (n, n_rows) = (work.n_experts as usize, work.tokens * work.top_k);
    let (low, high) = if work.n_experts < n_rows { (1.0, 0.8 * work.tokens as f64) } else { (0.01, 2.0) };
    let power = 1.0 - exponent;
    let drawn: Vec<f64> = (0..n)
        .map(|_| {
            let u = rng.random::<f64>();
            libm::pow(
                libm::pow(low, power) + (libm::pow(high, power) - libm::pow(low, power)) * u,
                1.0 / power,
            )
        })
        .collect();
    let sum: f64 = drawn.iter().sum();
    let mut counts: Vec<u64> =
        drawn.iter().map(|x| ((x / sum * n_rows as f64).round_ties_even() as u64).min(work.tokens)).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&idx| (std::cmp::Reverse(counts[idx]), idx));
    if to_idle {
        order.reverse();
    }
    let mut at = 0;
    while counts.iter().sum::<u64>() < n_rows {
        let idx = order[at % n];
        counts[idx] += u64::from(counts[idx] < work.tokens);
        at += 1;
    }
    while n_rows < counts.iter().sum::<u64>() {
        let busiest = (0..n).max_by_key(|&idx| counts[idx]).unwrap();
        counts[busiest] -= 1;
    }
    let ranks = counts.chunks((work.n_experts / work.ep) as usize);
    ExpertRows::new(work.tokens, ranks.max_by_key(|rank| rank.iter().sum::<u64>()).unwrap())
}

#[test]
fn the_hottest_rank_is_that_of_a_plain_monte_carlo() {
    let n_draws = 400;
    for (tokens, ep, exponent) in
        [(4, 8, 1.01), (16, 16, 1.2), (64, 8, 1.01), (256, 32, 1.2), (4096, 64, 1.01)]
    {
        let work = MoeWork { tokens, ep, distribution: Distribution::PowerLaw { exponent }, ..DEEPSEEK };
        for to_idle in [false, true] {
            let mut rng = Pcg64::new(7, 11);
            let mut plain = ExpertRows::empty(tokens, work.n_experts / ep);
            for _ in 0..n_draws {
                plain.accumulate(&plain_draw(&work, to_idle, &mut rng), 1.0 / f64::from(n_draws));
            }
            let ours = hottest_rank(&work, f64::from(u8::from(to_idle)));
            let pairs = [(ours.rows, plain.rows), (ours.n_activated, plain.n_activated)];
            for (ours, plain) in pairs.into_iter().chain(std::iter::zip(ours.blocks, plain.blocks)) {
                assert!((ours / plain - 1.0).abs() < 0.15, "{work:?} {to_idle}: {ours}, plain {plain}");
            }
        }
    }
}

#[test]
fn draws_do_not_depend_on_what_was_asked_before() {
    let ask = || grid().map(|work| moe_us(&start(), &work, &A100)).collect::<Vec<_>>();
    let first = ask();
    assert_eq!(first, ask());
    assert_eq!(first, std::thread::spawn(ask).join().unwrap());
}

/// Ungated experts have two matrices: 2/3 of the arithmetic.
#[test]
fn experts_without_a_gate_are_possible() {
    let rows = ExpertRows::new(4096, &[4096; 4]);
    let experts = Experts { n_experts: 4, hidden: 4096, width: 16384, n_up: 2, bytes: 2 };
    let time = |n_up| {
        let experts = Experts { n_up, ..experts };
        let products =
            experts.products().into_iter().map(|product| product_us(&start(), &rows, product, &A100));
        products.sum::<f64>() + around_us(&start(), &rows, &experts, 0.0, &A100)
    };
    let ratio = time(1) / time(2);
    assert!((ratio - 2.0 / 3.0).abs() < 0.03, "{ratio}");
}
