//! Tokens/s per GPU against TPOT: what a larger batch buys and costs, by context.

use std::collections::BTreeMap;

use super::multiples::multiples;
use super::{Figure, baseline_look, contenders, slug};
use crate::number::is_split;
use crate::scene::{Axis, BLUE, Color, Dash, Frame, Key, Look, Mark, Scene};
use crate::space::Space;

const BEST: &str = "best split";

/// The contender that a curve shows: the baseline of this name, or the best split.
type Who<'a> = Option<&'a str>;

/// TPOT in ms and tokens/s per GPU, in order of the batch.
type Curve = Vec<(f64, f64)>;

/// One picture for each panel in which the batch varies.
pub(super) fn frontiers(space: &Space<'_>) -> Vec<Figure> {
    if space.dims[1].values.len() < 2 {
        return Vec::new();
    }
    space.panels().iter().filter_map(|panel| figure(space, panel)).collect()
}

fn look(space: &Space<'_>, who: Who<'_>) -> (Color, Dash, Mark) {
    who.map_or((BLUE, Dash::Solid, Mark::Circle), |name| baseline_look(space, name))
}

/// The curves of one context by contender; `order` collects these as they first appear.
fn curves<'a>(
    space: &Space<'a>,
    panel: &[usize],
    context: usize,
    order: &mut Vec<Who<'a>>,
) -> BTreeMap<Who<'a>, Curve> {
    let mut curves = BTreeMap::<Who<'a>, Curve>::new();
    let batches = 0..space.dims[1].values.len();
    for point in batches.filter_map(|batch| space.point(panel, context, batch)) {
        for row in contenders(space, point) {
            let rate = row.figure(|figures| figures.tokens_per_sec_per_gpu);
            let (Some(tpot), Some(rate)) = (row.answer_us(), rate) else { continue };
            let who = (!is_split(row)).then_some(row.name.as_str());
            if !order.contains(&who) {
                order.push(who);
            }
            curves.entry(who).or_default().push((tpot / 1e3, rate));
        }
    }
    curves
}

fn figure(space: &Space<'_>, panel: &[usize]) -> Option<Figure> {
    let mut order = Vec::new();
    let contexts: Vec<_> = (0..space.dims[0].values.len())
        .map(|context| (context, curves(space, panel, context, &mut order)))
        .filter(|(_, curves)| !curves.is_empty())
        .collect();
    if contexts.is_empty() {
        return None;
    }
    let name = space.panel_name(panel);
    let batches = &space.dims[1].values;
    let of = if name.is_empty() { "" } else { ": " };
    let title = format!(
        "Throughput against {}, batches {} to {}{of}{name}",
        space.answer.words(),
        batches[0],
        batches[batches.len() - 1]
    );
    let keys: Vec<_> = order
        .iter()
        .map(|who| {
            let (color, dash, mark) = look(space, *who);
            Key { label: who.unwrap_or(BEST).to_owned(), look: Look::Line(color, dash, Some(mark)) }
        })
        .collect();
    let all = || contexts.iter().flat_map(|(_, curves)| curves.values().flatten());
    let (x, y) = (Axis::fit(all().map(|at| at.0)), Axis::fit(all().map(|at| at.1)));
    let (mut scene, corners) = multiples(&title, &keys, &y, contexts.len());
    for ((context, curves), corners) in contexts.iter().zip(corners) {
        let frame = Frame { corners, x: x.clone(), y: y.clone() };
        let title = format!("context {} tokens", space.dims[0].values[*context]);
        frame.draw(&mut scene, &title, space.answer.title(), "tokens/s per GPU");
        draw(&mut scene, space, &frame, &order, curves);
    }
    let stem = if name.is_empty() { String::new() } else { format!("-{}", slug(&name)) };
    Some(Figure { name: format!("throughput-by-tpot{stem}"), label: title, scene })
}

fn draw(
    scene: &mut Scene,
    space: &Space<'_>,
    frame: &Frame,
    order: &[Who<'_>],
    curves: &BTreeMap<Who<'_>, Curve>,
) {
    for (who, curve) in order.iter().filter_map(|who| Some((who, curves.get(who)?))) {
        let (color, dash, mark) = look(space, *who);
        let points: Vec<_> = curve.iter().map(|at| frame.at(at.0, at.1)).collect();
        scene.path(points.clone(), color, dash);
        for at in points {
            scene.mark(at, mark, color);
        }
    }
}
