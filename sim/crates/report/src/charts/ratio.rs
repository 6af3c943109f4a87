//! TPOT against the ratio of attention to expert GPUs: small multiples by context.

use std::collections::{BTreeMap, BTreeSet};

use super::multiples::multiples;
use super::{Figure, baseline_look, micro_batch_look, slug};
use crate::number::is_split;
use crate::scene::{Anchor, Axis, Frame, HEAD, Key, Look, MUTED, Mark, Scene, VERMILION};
use crate::space::{Answer, Baseline, Point, Space};

/// One picture for each panel and batch.
pub(super) fn ratios(space: &Space<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for panel in space.panels() {
        for (batch, name) in space.dims[1].values.iter().enumerate() {
            let contexts = 0..space.dims[0].values.len();
            let points: Vec<_> = contexts.filter_map(|context| space.point(&panel, context, batch)).collect();
            if points.iter().any(|point| point.rows.iter().any(|row| is_split(row))) {
                let panel = space.panel_name(&panel);
                let comma = if panel.is_empty() { "" } else { ", " };
                figures.push(figure(space, &points, &format!("batch {name}{comma}{panel}")));
            }
        }
    }
    figures
}

/// Attention and expert GPUs.
type Split = (u32, u32);

/// Splits by attention GPUs, the fastest of each number of micro-batches.
struct Curves {
    splits: BTreeSet<Split>,
    lines: BTreeMap<u32, Vec<(Split, f64)>>,
    baselines: Vec<(String, f64)>,
}

fn curves(space: &Space<'_>, point: &Point<'_>) -> Curves {
    let mut times = BTreeMap::<(u32, Split), f64>::new();
    let mut splits = BTreeSet::new();
    for row in point.rows.iter().filter(|row| is_split(row)) {
        let Some((a, e)) = row.pools() else { continue };
        splits.insert((a, e));
        if let Some(tpot) = row.answer_us() {
            let best =
                times.entry((row.chosen.n_micro_batches.unwrap_or(1), (a, e))).or_insert(f64::INFINITY);
            *best = best.min(tpot / 1e3);
        }
    }
    let mut lines = BTreeMap::<u32, Vec<_>>::new();
    for ((n_micro_batches, split), tpot) in times {
        lines.entry(n_micro_batches).or_default().push((split, tpot));
    }
    let named = |baseline: &Baseline<'_>| {
        let best = point.best_of(baseline.name)?;
        Some((baseline.name.to_owned(), best.answer_us()? / 1e3))
    };
    let baselines = space.baselines.iter().filter_map(named).collect();
    Curves { splits, lines, baselines }
}

fn figure(space: &Space<'_>, points: &[&Point<'_>], name: &str) -> Figure {
    let curves: Vec<_> = points.iter().map(|point| curves(space, point)).collect();
    let words = match space.answer {
        Answer::PerToken => "Time per token",
        Answer::FirstToken => "Time to the first tokens",
        Answer::Either => "Time per token, or of prompts to the first tokens,",
    };
    let title = format!("{words} against the ratio: {name}");
    let all = curves.iter().flat_map(|curves| {
        let lines = curves.lines.values().flatten().map(|(_, tpot)| *tpot);
        lines.chain(curves.baselines.iter().map(|(_, tpot)| *tpot))
    });
    let y = Axis::fit(all);
    let (mut scene, corners) = multiples(&title, &keys(space, &curves), &y, points.len());
    for ((curves, point), corners) in curves.iter().zip(points).zip(corners) {
        let context = format!("context {} tokens", space.dims[0].values[point.at[0]]);
        panel(&mut scene, space, &Frame { corners, x: splits_axis(curves), y: y.clone() }, &context, curves);
    }
    Figure { name: format!("tpot-by-ratio-{}", slug(name)), label: title, scene }
}

fn keys(space: &Space<'_>, curves: &[Curves]) -> Vec<Key> {
    let mut keys: Vec<Key> = micro_batches(curves)
        .into_iter()
        .map(|n| {
            let (color, dash, mark) = micro_batch_look(look_idx(n));
            let s = if n == 1 { "" } else { "es" };
            Key { label: format!("{n} micro-batch{s}"), look: Look::Line(color, dash, Some(mark)) }
        })
        .collect();
    let runs = |name: &str| curves.iter().flat_map(|curves| &curves.baselines).any(|(own, _)| own == name);
    keys.extend(space.baselines.iter().filter(|baseline| runs(baseline.name)).map(|baseline| {
        let (color, dash, _) = baseline_look(space, baseline.name);
        Key { label: baseline.name.to_owned(), look: Look::Line(color, dash, None) }
    }));
    let runs = |curves: &Curves, split| curves.lines.values().flatten().any(|(at, _)| *at == split);
    if curves.iter().any(|curves| curves.splits.iter().any(|split| !runs(curves, *split))) {
        keys.push(Key {
            label: "no result (does not fit or failed)".to_owned(),
            look: Look::Mark(MUTED, Mark::Cross),
        });
    }
    keys
}

fn micro_batches(curves: &[Curves]) -> BTreeSet<u32> {
    curves.iter().flat_map(|curves| curves.lines.keys().copied()).collect()
}

/// A number of micro-batches looks the same in every picture.
fn look_idx(n_micro_batches: u32) -> usize {
    n_micro_batches.saturating_sub(1) as usize
}

fn splits_axis(curves: &Curves) -> Axis {
    Axis::positions(curves.splits.iter().map(|(a, e)| format!("{a}:{e}")))
}

fn panel(scene: &mut Scene, space: &Space<'_>, frame: &Frame, title: &str, curves: &Curves) {
    let splits: Vec<_> = curves.splits.iter().copied().collect();
    let corners = frame.corners;
    frame.draw(scene, title, "attention : expert GPUs", space.answer.title());
    let (first, last) = (-0.5, splits.len() as f64 - 0.5);
    for (name, tpot) in &curves.baselines {
        let (color, dash, _) = baseline_look(space, name);
        scene.path(vec![frame.at(first, *tpot), frame.at(last, *tpot)], color, dash);
    }
    let position = |split| splits.iter().position(|other| *other == split).unwrap_or(0);
    for (n, line) in &curves.lines {
        let (color, dash, mark) = micro_batch_look(look_idx(*n));
        let places: Vec<_> = line.iter().map(|(split, tpot)| (position(*split), *tpot)).collect();
        // A gap where a split does not run must not look like a value between its neighbors.
        for run in places.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
            let points = run.iter().map(|(at, tpot)| frame.at(*at as f64, *tpot));
            scene.path(points.collect(), color, dash);
        }
        for (at, tpot) in &places {
            scene.mark(frame.at(*at as f64, *tpot), mark, color);
        }
    }
    let runs = |split| curves.lines.values().flatten().any(|(at, _)| *at == split);
    for (idx, _) in splits.iter().enumerate().filter(|(_, split)| !runs(**split)) {
        let (at, _) = frame.at(idx as f64, 1.0);
        scene.mark((at, corners.3 - 7.0), Mark::Cross, MUTED);
    }
    if curves.lines.is_empty() {
        let center = (f64::midpoint(corners.0, corners.2), f64::midpoint(corners.1, corners.3));
        scene.text_in(center, "no split runs here", HEAD, Anchor::Middle, VERMILION);
    }
}
