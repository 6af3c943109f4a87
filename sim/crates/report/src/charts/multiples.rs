//! Small multiples: equal panels in rows under a title and one legend.

use crate::scene::{Anchor, Axis, HEAD, Key, Scene, TEXT, text_width};

const N_COLUMNS: usize = 3;
const PLOT: (f64, f64) = (286.0, 194.0);

/// A scene with title and legend, and the corners of its `n` panels (left, top, right, bottom), with room
/// for the labels of `y`.
pub(super) fn multiples(title: &str, keys: &[Key], y: &Axis, n: usize) -> (Scene, Vec<(f64, f64, f64, f64)>) {
    let labels = y.ticks.iter().map(|(_, label)| text_width(label, TEXT));
    let left = labels.fold(20.0, f64::max) + 26.0;
    let (cell_width, cell_height) = (left + PLOT.0 + 16.0, 58.0 + PLOT.1 + 48.0);
    // Four make two full rows.
    let columns = if n == 4 { 2 } else { n.clamp(1, N_COLUMNS) };
    let width = (cell_width * columns as f64).max(text_width(title, HEAD) + 40.0).max(2.0 * cell_width);
    let mut scene = Scene::new(width, 0.0);
    scene.text((20.0, 20.0), title, HEAD, Anchor::Start);
    let top = 36.0 + scene.legend((20.0, 36.0), width - 40.0, keys);
    scene.height = top + cell_height * n.div_ceil(columns) as f64;
    let corners = |idx: usize| {
        let x = (idx % columns) as f64 * cell_width + left;
        let y = (idx / columns) as f64 * cell_height + top + 58.0;
        (x, y, x + PLOT.0, y + PLOT.1)
    };
    (scene, (0..n).map(corners).collect())
}
