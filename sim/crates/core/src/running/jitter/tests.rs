use super::*;

/// Mean of the largest of `n` draws: the integral of 1 - F^n, by the trapezoidal rule over the logarithm.
fn largest_of(n: i32, width: f64) -> f64 {
    let variance = (1.0 + width * width).ln();
    let (mu, sigma) = (-variance / 2.0, variance.sqrt());
    let below = |x: f64| 0.5 * libm::erfc(-((x.ln() - mu) / sigma) / 2.0_f64.sqrt());
    let (n_steps, top) = (200_000, 1.0 + 12.0 * width);
    let at = |idx: i32| top * f64::from(idx) / f64::from(n_steps);
    let area = |idx: i32| (1.0 - below(at(idx).max(1e-300)).powi(n)) * top / f64::from(n_steps);
    (1..=n_steps).map(area).sum()
}

fn draws(width: f64, n: u32) -> Vec<f64> {
    (0..n).map(|task| factor(7, (3, task), width)).collect()
}

/// Of 40,000 draws the mean strays by 0.1 / 200 = 0.0005, the deviation by 0.1 / sqrt(2 x 40,000) = 0.0004 (more for a
/// skewed draw); a log-normal has skewness (w + 2) sqrt(w - 1) with w = 1 + 0.01: 0.301.
#[test]
fn draws_have_mean_one_their_width_and_a_tail_to_the_right() {
    let all = draws(0.1, 40_000);
    let n = all.len() as f64;
    let moment = |power: i32, about: f64| all.iter().map(|x| (x - about).powi(power)).sum::<f64>() / n;
    let (mean, deviation) = (moment(1, 0.0), moment(2, 1.0).sqrt());
    assert!((mean - 1.0).abs() < 0.0025, "{mean}");
    assert!((deviation - 0.1).abs() < 0.003, "{deviation}");
    let skewness = moment(3, mean) / deviation.powi(3);
    assert!((skewness - 0.301).abs() < 0.08, "{skewness}");
    assert!(draws(0.0, 10).iter().all(|&factor| (factor - 1.0).abs() < f64::EPSILON));
}

/// The normal's expected maxima are 0.5642, 1.1630 and 1.6292 deviations for 2, 5 and 12; right-skewed draws have more.
#[test]
fn the_slowest_of_many_is_as_slow_as_the_quadrature_says() {
    for (n, normal) in [(2, 0.5642), (5, 1.1630), (12, 1.6292)] {
        let width = 0.1;
        let expected = largest_of(n, width);
        assert!(
            1.0 + 0.98 * normal * width < expected && expected < 1.0 + 1.15 * normal * width,
            "{expected}"
        );
        let all = draws(width, 12_000);
        let groups = all.chunks_exact(usize::try_from(n).unwrap());
        let slowest: Vec<f64> = groups.map(|group| group.iter().copied().fold(0.0, f64::max)).collect();
        let mean = slowest.iter().sum::<f64>() / slowest.len() as f64;
        // At least 1,000 groups, whose slowest stray by at most 0.1.
        assert!(
            (mean - expected).abs() < 3.5 * width / (slowest.len() as f64).sqrt(),
            "{n}: {mean} {expected}"
        );
    }
}

#[test]
fn a_draw_depends_on_seed_step_and_task_alone() {
    let all = [(7, (3, 1)), (8, (3, 1)), (7, (4, 1)), (7, (3, 2))].map(|(seed, at)| factor(seed, at, 0.05));
    assert_eq!(all[0].to_bits(), factor(7, (3, 1), 0.05).to_bits());
    assert!(all[1..].iter().all(|other| other.to_bits() != all[0].to_bits()));
}
