//! Stacked bars: where the time of each role goes, and what its memory holds.

use super::{Figure, contenders, slug};
use crate::Subject;
use crate::digest::{Account, accounts, memories};
use crate::number::{label, sig, tidy};
use crate::scene::{
    Anchor, Axis, BLUE, Color, Dash, Frame, GREEN, HEAD, Key, Look, ORANGE, PAPER, PURPLE, SILVER, SKY,
    Scene, TEXT, VERMILION, text_width,
};
use crate::space::{Point, Space};
use crate::verdict::Verdict;
use masim_core::judging::sweep::{GpuAccountJson, Row};

/// The five parts of an account in their order.
const PARTS: [(&str, Color); 5] = [
    ("busy", BLUE),
    ("waits: imbalance", ORANGE),
    ("waits: dependency", PURPLE),
    ("waits: wire", VERMILION),
    ("fill and drain", SILVER),
];

const CONTENTS: [(&str, Color); 4] =
    [("weights", BLUE), ("KV cache", ORANGE), ("activations", GREEN), ("buffers", SKY)];

const BAR: f64 = 26.0;
const PANEL: f64 = 420.0;

/// Breakdowns of the time at the points at which the best split fares best and worst.
pub(super) fn breakdowns(space: &Space<'_>, verdict: &Verdict<'_>) -> Vec<Figure> {
    let compared = || verdict.duels.iter().filter_map(|duel| Some((duel.margin?, duel)));
    let best = compared().min_by(|a, b| a.0.total_cmp(&b.0));
    let worst = compared().max_by(|a, b| a.0.total_cmp(&b.0));
    let point = |at: &[usize]| space.points.iter().find(|point| point.at == at);
    let mut figures = Vec::new();
    // With a single point both are the same picture.
    let worst = worst.filter(|worst| best.is_none_or(|best| best.1.at != worst.1.at));
    for (which, duel) in [("best", best), ("worst", worst)] {
        let Some(point) = duel.and_then(|(_, duel)| point(&duel.at)) else { continue };
        figures.extend(breakdown(space, point, which));
    }
    figures
}

fn role_name(row: &Row, account: &Account) -> String {
    format!("{}, {} ({} GPUs)", label(row), role_words(&account.role), account.n_gpus)
}

/// A role as people read it.
fn role_words(role: &str) -> &str {
    match role {
        "both" => "attention and experts",
        "expert" => "experts",
        other => other,
    }
}

fn breakdown(space: &Space<'_>, point: &Point<'_>, which: &str) -> Option<Figure> {
    let rows: Vec<_> = contenders(space, point);
    let all: Vec<(String, Account)> = rows
        .iter()
        .flat_map(|row| accounts(row).into_iter().map(|account| (role_name(row, &account), account)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let title = format!(
        "Time by cause at the point where the best split fares {which}: {}",
        space.point_name(&point.at)
    );
    let names: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
    let stacks = |of: fn(&Account) -> GpuAccountJson| -> Vec<Vec<f64>> {
        all.iter().map(|(_, account)| of(account).parts().map(|us| us / 1e3).to_vec()).collect()
    };
    let panels = [
        Panel { title: "steady step (the whole bar is TPOT)", stacks: stacks(|a| a.steady), limit: None },
        Panel { title: "cold step, fill and drain included", stacks: stacks(|a| a.cold), limit: None },
    ];
    let scene = scene(&title, &names, &PARTS, &panels, "time per step, ms, mean over the GPUs of a role");
    let stem = slug(&format!("breakdown-{which}"));
    Some(Figure { name: stem, label: title, scene })
}

/// Content of the memory of each role at the point with the largest cache at which anything runs.
pub(super) fn memory(subject: &Subject<'_>, space: &Space<'_>) -> Option<Figure> {
    let size = |point: &&Point<'_>| point.rows[0].context_len() * f64::from(point.rows[0].batch());
    let runs = |point: &&Point<'_>| contenders(space, point).iter().any(|row| !row.gpus().is_empty());
    let point = space.points.iter().filter(runs).max_by(|a, b| size(a).total_cmp(&size(b)))?;
    let rows = contenders(space, point);
    let mut names = Vec::new();
    let mut stacks = Vec::new();
    for row in &rows {
        for memory in memories(row) {
            names.push(format!("{}, {} (GPU {})", label(row), role_words(&memory.role), memory.gpu));
            stacks.push(memory.holds.parts().to_vec());
        }
    }
    let limit = rows.first().and_then(|row| subject.memory_gib.get(&row.asked.as_ref()?.cluster)).copied();
    let title = format!("Memory of the fullest GPU of each role: {}", space.point_name(&point.at));
    let panels = [Panel { title: "", stacks, limit }];
    let scene = scene(&title, &names, &CONTENTS, &panels, "memory, GiB");
    Some(Figure { name: "memory".to_owned(), label: title, scene })
}

struct Panel {
    title: &'static str,
    stacks: Vec<Vec<f64>>,
    limit: Option<f64>,
}

fn scene(title: &str, names: &[String], parts: &[(&str, Color)], panels: &[Panel], x_title: &str) -> Scene {
    let margin = names.iter().map(|name| text_width(name, TEXT)).fold(0.0, f64::max) + 26.0;
    let width = (margin + PANEL * panels.len() as f64).max(text_width(title, HEAD) + 40.0);
    let mut scene = Scene::new(width, 0.0);
    scene.text((20.0, 20.0), title, HEAD, Anchor::Start);
    let present = |idx: usize| panels.iter().flat_map(|panel| &panel.stacks).any(|stack| stack[idx] > 0.0);
    let keys = parts.iter().enumerate().filter(|(idx, _)| present(*idx));
    let keys: Vec<_> =
        keys.map(|(_, (name, color))| Key { label: (*name).to_owned(), look: Look::Area(*color) }).collect();
    let top = 36.0 + scene.legend((20.0, 36.0), width - 40.0, &keys) + 30.0;
    let bottom = top + BAR * names.len() as f64;
    let totals = panels.iter().flat_map(|panel| &panel.stacks).map(|stack| stack.iter().sum::<f64>());
    let most = totals.chain(panels.iter().filter_map(|panel| panel.limit)).fold(0.0, f64::max);
    for (idx, panel) in panels.iter().enumerate() {
        let left = margin + PANEL * idx as f64;
        // The first label of the vertical axis stands on the last row: bars run from the top down.
        let labels = names.iter().rev().map(|name| if idx == 0 { name.clone() } else { String::new() });
        let frame = Frame {
            corners: (left, top, left + PANEL - 70.0, bottom),
            x: Axis::linear(if most > 0.0 { most } else { 1.0 }),
            y: Axis::positions(labels),
        };
        frame.draw(&mut scene, "", x_title, panel.title);
        stack(&mut scene, &frame, parts, panel);
    }
    scene.height = bottom + 48.0;
    scene
}

fn stack(scene: &mut Scene, frame: &Frame, parts: &[(&str, Color)], panel: &Panel) {
    let n = panel.stacks.len();
    for (idx, values) in panel.stacks.iter().enumerate() {
        let row = (n - 1 - idx) as f64;
        let mut sum = 0.0;
        for (value, (_, color)) in values.iter().zip(parts) {
            let (left, middle) = frame.at(sum, row);
            sum += value;
            let (right, _) = frame.at(sum, row);
            scene.rect((left, middle - 8.0, right, middle + 8.0), *color);
        }
        let (end, middle) = frame.at(sum, row);
        let text = sig(sum);
        let right = end + 8.0 + text_width(&text, TEXT);
        scene.rect((end + 3.0, middle - 8.0, right, middle + 8.0), PAPER);
        scene.text((end + 6.0, middle), text, TEXT, Anchor::Start);
    }
    if let Some(limit) = panel.limit {
        let (x, _) = frame.at(limit, 0.0);
        scene.path(vec![(x, frame.corners.1 - 2.0), (x, frame.corners.3)], VERMILION, Dash::Long);
        let text = format!("capacity {} GiB", tidy(limit));
        scene.text((x, frame.corners.1 - 13.0), text, TEXT, Anchor::Middle);
    }
}
