//! The best split by context and batch, colored by how it fares against the best fair baseline.

use super::Figure;
use crate::digest::waits;
use crate::number::{NONE, label, ms, signed_pct};
use crate::scene::{Anchor, BLUE, Color, HEAD, ON_LIGHT, ORANGE, Scene, TEXT, text_width};
use crate::space::Space;
use crate::verdict::{Duel, Outcome, Verdict, outcome_of};
use masim_core::judging::sweep::Row;

/// A margin of this factor has the full color; beyond it nothing changes.
const FULL: f64 = 1.5;
const NEUTRAL: Color = Color(0xf2, 0xf2, 0xf2);
const NO_RESULT: Color = Color(0xd0, 0xd0, 0xd0);
/// Distance of lines of text.
pub(super) const LINE: f64 = 17.0;
/// From the end of the color scale to the middle of the next line.
pub(super) const KEY_HEIGHT: f64 = 24.0;
const CELL_HEIGHT: f64 = 4.0 * LINE + 7.0;
/// Sizes of the four lines of a cell.
const SIZES: [f64; 4] = [TEXT, TEXT, TEXT, 11.0];
/// Beyond this width panels stand below each other.
const WIDEST: f64 = 1172.0;
const TITLE: &str = "Best split by context and batch";
const EXPLAINED: [&str; 3] = [
    "Each cell: best split (attention:expert GPUs \u{d7} micro-batches); its TPOT; how much longer (+) or shorter (\u{2212})",
    "that is than the best fair baseline's on as many GPUs; what its GPUs wait for most (the other pool, the wire, slower",
    "peers of their pool), as a share of their time. Down: batch, sequences. Across: context, tokens.",
];

/// The picture of all panels, side by side as far as there is room.
pub(super) fn heat(space: &Space<'_>, verdict: &Verdict<'_>) -> Figure {
    let (contexts, batches) = (&space.dims[0].values, &space.dims[1].values);
    let panels = space.panels();
    let widest = batches.iter().map(|batch| text_width(batch, TEXT)).fold(20.0, f64::max);
    let cells = verdict.duels.iter().flat_map(|duel| lines(duel).into_iter().zip(SIZES));
    let cell = cells.map(|(line, size)| text_width(&line, size)).fold(70.0, f64::max) + 6.0;
    let named = panels.iter().map(|panel| text_width(&space.panel_name(panel), HEAD)).fold(0.0, f64::max);
    let panel_width = widest + 10.0 + (cell * contexts.len() as f64).max(named) + 16.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few panels")]
    let n_columns = (((WIDEST - 24.0) / panel_width) as usize).clamp(1, panels.len().max(1));
    let texts = EXPLAINED.map(|line| text_width(line, TEXT)).into_iter().fold(0.0, f64::max);
    let mut scene = Scene::new((24.0 + panel_width * n_columns as f64).max(texts + 40.0), 0.0);
    scene.text((20.0, 20.0), TITLE, HEAD, Anchor::Start);
    for (idx, line) in EXPLAINED.iter().enumerate() {
        scene.text((20.0, 42.0 + LINE * idx as f64), *line, TEXT, Anchor::Start);
    }
    let top = scale(&mut scene, 42.0 + LINE * EXPLAINED.len() as f64) + KEY_HEIGHT;
    let has_names = panels.iter().any(|panel| !panel.is_empty());
    let head = if has_names { 18.0 } else { 0.0 };
    let panel_height = head + CELL_HEIGHT * batches.len() as f64 + LINE + 18.0;
    for (idx, panel) in panels.iter().enumerate() {
        let left = 20.0 + panel_width * (idx % n_columns) as f64 + widest + 10.0;
        let top = top + panel_height * (idx / n_columns) as f64;
        if has_names {
            scene.text((left, top), space.panel_name(panel), HEAD, Anchor::Start);
        }
        for (idx, batch) in batches.iter().enumerate() {
            let middle = top + head + CELL_HEIGHT * (idx as f64 + 0.5);
            scene.text((left - 8.0, middle), batch, TEXT, Anchor::End);
        }
        for duel in verdict.duels.iter().filter(|duel| duel.at[2..] == panel[..]) {
            let x = left + cell * duel.at[0] as f64;
            let y = top + head + CELL_HEIGHT * duel.at[1] as f64;
            draw_cell(&mut scene, (x, y, x + cell - 2.0, y + CELL_HEIGHT - 2.0), duel);
        }
        let bottom = top + head + CELL_HEIGHT * batches.len() as f64;
        for (idx, context) in contexts.iter().enumerate() {
            let x = left + cell * (idx as f64 + 0.5) - 1.0;
            scene.text((x, bottom + 9.0), context, TEXT, Anchor::Middle);
        }
    }
    scene.height = top + panel_height * panels.len().div_ceil(n_columns) as f64;
    Figure { name: "best-split".to_owned(), label: TITLE.to_owned(), scene }
}

fn draw_cell(scene: &mut Scene, corners: (f64, f64, f64, f64), duel: &Duel<'_>) {
    let (left, top, right, _) = corners;
    scene.rect(corners, color_of(duel.margin));
    for (idx, (line, size)) in lines(duel).into_iter().zip(SIZES).enumerate() {
        let y = top + 12.0 + LINE * idx as f64;
        scene.text_in((f64::midpoint(left, right), y), line, size, Anchor::Middle, ON_LIGHT);
    }
}

/// Lines of a cell.
fn lines(duel: &Duel<'_>) -> [String; 4] {
    let none = || NONE.to_owned();
    let margin = match (duel.outcome, duel.margin) {
        (Outcome::Tie, Some(margin)) => format!("{} (tie)", signed_pct(margin)),
        (_, Some(margin)) => signed_pct(margin),
        (Outcome::NoBaseline, None) => "no baseline".to_owned(),
        (_, None) => none(),
    };
    let time = duel.split.and_then(Row::answer_us).map_or_else(none, |us| format!("{} ms", ms(us)));
    let wait = duel.split.and_then(waits);
    let wait =
        wait.map_or_else(none, |waits| format!("{} {:.0} %", waits.cause.short(), waits.share * 100.0));
    [duel.split.map_or_else(|| "no split".to_owned(), label), time, margin, wait]
}

/// The color of a cell with this margin.
pub(super) fn color_of(margin: Option<f64>) -> Color {
    match margin {
        Some(margin) if outcome_of(margin) == Outcome::Tie => NEUTRAL,
        Some(margin) => shade(margin),
        None => NO_RESULT,
    }
}

/// From blue (the split is faster) over gray to orange, by the logarithm of the ratio of times.
fn shade(margin: f64) -> Color {
    let strength = (libm::log(1.0 + margin) / libm::log(FULL)).clamp(-1.0, 1.0);
    let full = if strength < 0.0 { BLUE } else { ORANGE };
    // A fifth at least, so that what is no tie never looks like one; four fifths at most, for the text.
    let share = 0.15 + 0.6 * strength.abs();
    let mix = |a: u8, b: u8| {
        let mixed = f64::from(a) * (1.0 - share) + f64::from(b) * share;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
        let byte = mixed.round() as u8;
        byte
    };
    Color(mix(NEUTRAL.0, full.0), mix(NEUTRAL.1, full.1), mix(NEUTRAL.2, full.2))
}

/// The color scale at `top`; returns where it ends.
pub(super) fn scale(scene: &mut Scene, top: f64) -> f64 {
    let margins = [-0.34, -0.2, -0.1, 0.0, 0.1, 0.25, 0.5];
    for (idx, margin) in margins.into_iter().enumerate() {
        let left = 20.0 + 72.0 * idx as f64;
        let percent = signed_pct(margin).replace(".0 %", " %");
        let (color, text) = match margin {
            0.0 => (NEUTRAL, "tie".to_owned()),
            margin if idx == 0 => (shade(margin), format!("\u{2264} {percent}")),
            margin if idx + 1 == margins.len() => (shade(margin), format!("\u{2265} {percent}")),
            margin => (shade(margin), percent),
        };
        scene.rect((left, top, left + 70.0, top + 20.0), color);
        scene.text_in((left + 35.0, top + 10.0), text, 11.0, Anchor::Middle, ON_LIGHT);
    }
    top + 20.0
}
