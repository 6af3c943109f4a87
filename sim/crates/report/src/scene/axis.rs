//! Axes: which values are labeled, and where a value stands.

use super::{Anchor, Dash, GRID, HEAD, INK, Scene, TEXT, text_width};
use crate::number::tidy;

/// Map from values to positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal steps are equal distances.
    Linear,
    /// Equal factors are equal distances.
    Log,
}

/// A range of values with its labels.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// True if lines across the panel stand at the labeled values.
    grid: bool,
    /// Labeled values.
    pub(crate) ticks: Vec<(f64, String)>,
}

/// Beyond this factor between most and least an axis is logarithmic.
const LOG_FROM: f64 = 8.0;

impl Axis {
    /// An axis that holds all of `values`, logarithmic where the range demands it.
    pub(crate) fn fit(values: impl IntoIterator<Item = f64>) -> Self {
        let (least, most) = range(values);
        if least > 0.0 && most / least > LOG_FROM { Self::log(least, most) } else { Self::linear(most) }
    }

    /// From zero to a round value above `most`.
    pub(crate) fn linear(most: f64) -> Self {
        let step = nice_step(most / 5.0);
        let n = libm::ceil(most / step * (1.0 - 1e-9)).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "about five")]
        let ticks =
            (0..=n as u32).map(|idx| f64::from(idx) * step).map(|value| (value, tidy(value))).collect();
        Self { scale: Scale::Linear, low: 0.0, high: n * step, grid: true, ticks }
    }

    /// A logarithmic axis a little wider than from `least` to `most`.
    pub(crate) fn log(least: f64, most: f64) -> Self {
        let (low, high) = (least / 1.15, most * 1.15);
        let candidates: [&[f64]; 4] =
            [&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
        let ticks = candidates.map(|mantissas| log_ticks(low, high, mantissas));
        let ticks = ticks.into_iter().find(|ticks| ticks.len() <= 8).unwrap_or_default();
        Self { scale: Scale::Log, low, high, grid: true, ticks }
    }

    /// Whole positions from 0 to `n - 1` with half a step of room at both ends, labeled by `labels`.
    pub(crate) fn positions(labels: impl IntoIterator<Item = String>) -> Self {
        let ticks: Vec<_> = labels.into_iter().enumerate().map(|(idx, label)| (idx as f64, label)).collect();
        Self { scale: Scale::Linear, low: -0.5, high: ticks.len() as f64 - 0.5, grid: false, ticks }
    }

    /// Position of `value`, between 0 and 1.
    pub(crate) fn at(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => libm::log(value / self.low) / libm::log(self.high / self.low),
        }
    }

    /// ` (log)` for axis titles.
    pub(crate) fn suffix(&self) -> &'static str {
        match self.scale {
            Scale::Linear => "",
            Scale::Log => " (log)",
        }
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (least, most) = finite.fold((f64::INFINITY, 0.0_f64), |(l, m), value| (l.min(value), m.max(value)));
    if least.is_finite() && most > 0.0 { (least, most) } else { (0.0, 1.0) }
}

/// 1, 2 or 5 times a power of ten, at least `raw`.
fn nice_step(raw: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(raw)));
    let steps = [1.0, 2.0, 5.0, 10.0].map(|mantissa| mantissa * power);
    steps.into_iter().find(|step| *step >= raw * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn log_ticks(low: f64, high: f64, mantissas: &[f64]) -> Vec<(f64, String)> {
    #[expect(clippy::cast_possible_truncation, reason = "an exponent")]
    let (first, last) = (libm::floor(libm::log10(low)) as i32, libm::ceil(libm::log10(high)) as i32);
    let decades = (first..=last).map(|exponent| libm::pow(10.0, f64::from(exponent)));
    let values = decades.flat_map(|decade| mantissas.iter().map(move |mantissa| mantissa * decade));
    values.filter(|value| low <= *value && *value <= high).map(|value| (value, tidy(value))).collect()
}

/// A panel: a rectangle in pixels with two axes.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Left, top, right, bottom.
    pub(crate) corners: (f64, f64, f64, f64),
    /// Horizontal.
    pub(crate) x: Axis,
    /// Vertical.
    pub(crate) y: Axis,
}

impl Frame {
    /// Position of a pair of values.
    pub(crate) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (left, top, right, bottom) = self.corners;
        (left + self.x.at(x) * (right - left), bottom - self.y.at(y) * (bottom - top))
    }

    /// Draws grid, labels and titles. The vertical title stands above the axis, so that it reads
    /// horizontally; `title` stands above it. Labels that would touch their neighbor are left out.
    pub(crate) fn draw(&self, scene: &mut Scene, title: &str, x_title: &str, y_title: &str) {
        let (left, top, right, bottom) = self.corners;
        if !title.is_empty() {
            scene.text((left, top - 34.0), title, HEAD, Anchor::Start);
        }
        scene.text((left, top - 13.0), format!("{y_title}{}", self.y.suffix()), TEXT, Anchor::Start);
        for (value, label) in &self.y.ticks {
            let y = bottom - self.y.at(*value) * (bottom - top);
            if self.y.grid {
                scene.line((left, y), (right, y), GRID, Dash::Solid);
            }
            scene.text((left - 6.0, y), label, TEXT, Anchor::End);
        }
        scene.line((left, bottom), (right, bottom), INK, Dash::Solid);
        let mut taken = f64::NEG_INFINITY;
        for (value, label) in &self.x.ticks {
            let x = left + self.x.at(*value) * (right - left);
            if !self.y.grid {
                scene.line((x, top), (x, bottom), GRID, Dash::Solid);
            }
            scene.line((x, bottom), (x, bottom + 4.0), INK, Dash::Solid);
            let half = text_width(label, TEXT) / 2.0;
            if x - half > taken + 6.0 {
                scene.text((x, bottom + 14.0), label, TEXT, Anchor::Middle);
                taken = x + half;
            }
        }
        let center = f64::midpoint(left, right);
        scene.text((center, bottom + 33.0), format!("{x_title}{}", self.x.suffix()), TEXT, Anchor::Middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_choose_round_labels() {
        let labels = |axis: &Axis| axis.ticks.iter().map(|(_, label)| label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&Axis::fit([1.0, 4.2])), ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(labels(&Axis::fit([1.0, 90.0])), ["1", "2", "5", "10", "20", "50", "100"]);
        assert_eq!(labels(&Axis::fit([])), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    }
}
