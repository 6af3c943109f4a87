//! The best split by context and batch, colored by how it fares against the best fair baseline.

use super::Figure;
use crate::report::number::{NONE, label, ms, signed_pct};
use crate::report::scene::{Anchor, BLUE, Color, HEAD, ON_LIGHT, ORANGE, Scene, TEXT, text_width};
use crate::report::space::Space;
use crate::report::verdict::{Duel, Outcome, Verdict};

/// A margin of this factor has the full color; beyond it nothing changes.
const FULL: f64 = 1.5;
const NEUTRAL: Color = Color(0xf2, 0xf2, 0xf2);
const NO_RESULT: Color = Color(0xd0, 0xd0, 0xd0);
const CELL_HEIGHT: f64 = 58.0;
const TITLE: &str = "Best split by context and batch";
const EXPLAINED: [&str; 2] = [
    "Each cell: best split (attention:expert GPUs \u{d7} micro-batches), its TPOT,",
    "and how much longer (+) or shorter (\u{2212}) than the best fair baseline's on as many GPUs.",
];

/// The picture of all panels.
pub(super) fn heat(space: &Space<'_>, verdict: &Verdict<'_>) -> Figure {
    let (contexts, batches) = (&space.dims[0].values, &space.dims[1].values);
    let panels = space.panels();
    let widest = batches.iter().map(|batch| text_width(batch, TEXT)).fold(40.0, f64::max);
    let left = 20.0 + widest.max(text_width("batch", TEXT)) + 10.0;
    let cell = (900.0 / contexts.len().max(1) as f64).clamp(96.0, 140.0);
    let named = panels.iter().map(|panel| text_width(&space.panel_name(panel), HEAD));
    let texts = named.chain(EXPLAINED.map(|line| text_width(line, TEXT))).fold(0.0, f64::max);
    let width = (left + cell * contexts.len() as f64 + 20.0).max(texts + 40.0);
    let mut scene = Scene::new(width, 0.0);
    scene.text((20.0, 20.0), TITLE, HEAD, Anchor::Start);
    for (idx, line) in EXPLAINED.iter().enumerate() {
        scene.text((20.0, 42.0 + 17.0 * idx as f64), *line, TEXT, Anchor::Start);
    }
    let mut top = scale(&mut scene, 78.0) + 14.0;
    for panel in &panels {
        let duels: Vec<_> = verdict.duels.iter().filter(|duel| duel.at[2..] == panel[..]).collect();
        let name = space.panel_name(panel);
        if !name.is_empty() {
            scene.text((20.0, top + 10.0), name, HEAD, Anchor::Start);
            top += 26.0;
        }
        for (idx, batch) in batches.iter().enumerate() {
            let middle = top + CELL_HEIGHT * (idx as f64 + 0.5);
            scene.text((left - 10.0, middle), batch, TEXT, Anchor::End);
        }
        for duel in duels {
            let x = left + cell * duel.at[0] as f64;
            let y = top + CELL_HEIGHT * duel.at[1] as f64;
            draw_cell(&mut scene, (x, y, x + cell - 2.0, y + CELL_HEIGHT - 2.0), duel);
        }
        top += CELL_HEIGHT * batches.len() as f64;
        for (idx, context) in contexts.iter().enumerate() {
            let x = left + cell * (idx as f64 + 0.5) - 1.0;
            scene.text((x, top + 10.0), context, TEXT, Anchor::Middle);
        }
        scene.text(
            (20.0, top + 28.0),
            "down: batch, sequences; across: context, tokens",
            TEXT,
            Anchor::Start,
        );
        top += 52.0;
    }
    scene.height = top;
    Figure { name: "best-split".to_owned(), label: TITLE.to_owned(), scene }
}

fn draw_cell(scene: &mut Scene, corners: (f64, f64, f64, f64), duel: &Duel<'_>) {
    let (left, top, right, _) = corners;
    let center = f64::midpoint(left, right);
    let color = match duel.margin {
        Some(_) if duel.outcome == Outcome::Tie => NEUTRAL,
        Some(margin) => shade(margin),
        None => NO_RESULT,
    };
    scene.rect(corners, color);
    let margin = match (duel.outcome, duel.margin) {
        (Outcome::Tie, Some(margin)) => format!("{} (tie)", signed_pct(margin)),
        (_, Some(margin)) => signed_pct(margin),
        (Outcome::NoBaseline, None) => "no baseline".to_owned(),
        (_, None) => NONE.to_owned(),
    };
    let best = duel.split.map_or_else(|| "no split".to_owned(), label);
    let time =
        duel.split.and_then(|row| row.tpot_us).map_or_else(|| NONE.to_owned(), |us| format!("{} ms", ms(us)));
    for (idx, line) in [best, time, margin].into_iter().enumerate() {
        let y = top + 11.0 + 17.0 * idx as f64;
        scene.text_in((center, y), line, TEXT, Anchor::Middle, ON_LIGHT);
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
fn scale(scene: &mut Scene, top: f64) -> f64 {
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
