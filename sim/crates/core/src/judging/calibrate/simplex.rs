//! The downhill simplex of Nelder and Mead.

/// Evaluations of one descent.
const N_EVALUATIONS: usize = 4000;
/// Descents, each from where the last ended: a collapsed simplex is spread again.
const N_DESCENTS: usize = 3;
/// The first step along each axis.
const STEP: f64 = 0.15;

/// The lowest point of `cost` that descents from `start` find.
///
/// # Source
///
/// Gao and Han, "Implementing the Nelder-Mead simplex algorithm with adaptive parameters", 2012.
pub(super) fn minimize(start: &[f64], cost: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut best = start.to_vec();
    for _ in 0..N_DESCENTS {
        best = Simplex::around(&best, &cost).descend(&cost);
    }
    best
}

/// A point and its cost.
type Corner = (f64, Vec<f64>);

/// Corners in order of cost.
struct Simplex {
    corners: Vec<Corner>,
}

impl Simplex {
    fn around(start: &[f64], cost: &impl Fn(&[f64]) -> f64) -> Self {
        let mut corners = vec![(cost(start), start.to_vec())];
        for axis in 0..start.len() {
            let mut point = start.to_vec();
            point[axis] += STEP;
            corners.push((cost(&point), point));
        }
        Self { corners }
    }

    fn descend(mut self, cost: &impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let n = self.corners.len() - 1;
        let size = n as f64;
        let (expand, contract, shrink) = (1.0 + 2.0 / size, 0.75 - 0.5 / size, 1.0 - 1.0 / size);
        let mut n_left = N_EVALUATIONS;
        while n_left > 0 {
            // Equal costs keep their order, so that every run takes the same way.
            self.corners.sort_by(|a, b| a.0.total_cmp(&b.0));
            if self.corners[n].0 - self.corners[0].0 < 1e-10 {
                break;
            }
            let center = self.center();
            let worst = self.corners[n].clone();
            let along = |step: f64| {
                let point: Vec<_> = center.iter().zip(&worst.1).map(|(c, w)| c + step * (c - w)).collect();
                (cost(&point), point)
            };
            let mirrored = along(1.0);
            n_left = n_left.saturating_sub(2);
            let second = self.corners[n - 1].0;
            let next = if mirrored.0 < self.corners[0].0 {
                let far = along(expand);
                if far.0 < mirrored.0 { far } else { mirrored }
            } else if mirrored.0 < second {
                mirrored
            } else {
                let is_outside = mirrored.0 < worst.0;
                along(if is_outside { contract } else { -contract })
            };
            if next.0 < worst.0 {
                self.corners[n] = next;
            } else {
                self.shrink(shrink, cost);
                n_left = n_left.saturating_sub(n);
            }
        }
        self.corners.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.corners.swap_remove(0).1
    }

    /// The middle of all corners but the worst.
    fn center(&self) -> Vec<f64> {
        let n = self.corners.len() - 1;
        let sum_of = |axis: usize| self.corners[..n].iter().map(|(_, point)| point[axis]).sum::<f64>();
        (0..n).map(|axis| sum_of(axis) / n as f64).collect()
    }

    fn shrink(&mut self, share: f64, cost: &impl Fn(&[f64]) -> f64) {
        let best = self.corners[0].1.clone();
        for (value, point) in &mut self.corners[1..] {
            for (x, lowest) in point.iter_mut().zip(&best) {
                *x = lowest + share * (*x - lowest);
            }
            *value = cost(point);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lowest at (1, 1), at the end of a bent valley.
    #[test]
    fn the_valley_of_rosenbrock_is_descended() {
        let cost =
            |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]) * (x[1] - x[0] * x[0]) + (1.0 - x[0]) * (1.0 - x[0]);
        let found = minimize(&[-1.2, 1.0], cost);
        assert!(found.iter().all(|x| (x - 1.0).abs() < 1e-3), "{found:?}");
    }
}
