//! The best split against each baseline apart: the verdict depends on whom one compares with.

use super::Figure;
use super::heat::{KEY_HEIGHT, LINE, color_of, scale};
use crate::digest::margin_against;
use crate::number::{NONE, signed_pct};
use crate::scene::{Anchor, HEAD, ON_LIGHT, Scene, TEXT, text_width};
use crate::space::Space;

const CELL: (f64, f64) = (62.0, 26.0);
const TITLE: &str = "The best split against each baseline apart";
const EXPLAINED: &str = "How much longer (+) or shorter (\u{2212}) the TPOT of the best split is. Down: batch, sequences; across: context, tokens.";

/// One grid for each baseline and panel; nothing where there is no baseline.
pub(super) fn contrast(space: &Space<'_>) -> Option<Figure> {
    let names: Vec<_> = space.baselines.iter().map(|baseline| baseline.name).collect();
    if names.is_empty() {
        return None;
    }
    let (contexts, batches) = (&space.dims[0].values, &space.dims[1].values);
    let widest = batches.iter().map(|batch| text_width(batch, TEXT)).fold(30.0, f64::max);
    let widest_heading = names.iter().map(|name| text_width(&heading(name), HEAD)).fold(0.0, f64::max);
    let grid = (CELL.0 * contexts.len() as f64).max(widest_heading);
    let column = widest + 10.0 + grid + 24.0;
    let panels = space.panels();
    let panel_names = panels.iter().map(|panel| text_width(&space.panel_name(panel), HEAD));
    let texts = panel_names.chain([text_width(EXPLAINED, TEXT)]).fold(0.0, f64::max);
    let mut scene = Scene::new((20.0 + column * names.len() as f64).max(texts + 40.0), 0.0);
    scene.text((20.0, 20.0), TITLE, HEAD, Anchor::Start);
    scene.text((20.0, 42.0), EXPLAINED, TEXT, Anchor::Start);
    let mut top = scale(&mut scene, 58.0) + KEY_HEIGHT;
    for panel in &panels {
        let name = space.panel_name(panel);
        if !name.is_empty() {
            scene.text((20.0, top), name, HEAD, Anchor::Start);
            top += 24.0;
        }
        for (idx, name) in names.iter().enumerate() {
            let left = 20.0 + column * idx as f64 + widest + 10.0;
            scene.text((left, top), heading(name), HEAD, Anchor::Start);
            draw(&mut scene, (left, top + 14.0), space, panel, name);
        }
        top += 14.0 + CELL.1 * batches.len() as f64 + LINE + 22.0;
    }
    scene.height = top;
    Some(Figure { name: "best-split-by-baseline".to_owned(), label: TITLE.to_owned(), scene })
}

fn heading(name: &str) -> String {
    format!("against {name}")
}

fn draw(scene: &mut Scene, (left, top): (f64, f64), space: &Space<'_>, panel: &[usize], name: &str) {
    for (row, batch) in space.dims[1].values.iter().enumerate() {
        let y = top + CELL.1 * row as f64;
        scene.text((left - 8.0, y + CELL.1 / 2.0), batch, TEXT, Anchor::End);
        for column in 0..space.dims[0].values.len() {
            let Some(point) = space.point(panel, column, row) else { continue };
            let x = left + CELL.0 * column as f64;
            let margin = margin_against(point, None, name);
            scene.rect((x, y, x + CELL.0 - 2.0, y + CELL.1 - 2.0), color_of(margin));
            let text = margin.map_or_else(|| NONE.to_owned(), signed_pct);
            let center = (x + CELL.0 / 2.0 - 1.0, y + CELL.1 / 2.0 - 1.0);
            scene.text_in(center, text, TEXT, Anchor::Middle, ON_LIGHT);
        }
    }
    let bottom = top + CELL.1 * space.dims[1].values.len() as f64;
    for (column, context) in space.dims[0].values.iter().enumerate() {
        let x = left + CELL.0 * (column as f64 + 0.5) - 1.0;
        scene.text((x, bottom + 9.0), context, TEXT, Anchor::Middle);
    }
}
