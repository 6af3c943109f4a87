//! A cluster as a picture (SVG): machines, GPUs, switches, NICs, and links coloured by bandwidth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use masim_engine::LinkId;
use masim_units::Bandwidth;

use masim_core::inputs::topology::layout::{Layout, Rect, arc_depth, layout, short_name};
use masim_core::inputs::topology::{Cluster, VertexIdx, VertexKind};

/// Colours of Okabe and Ito, told apart with every kind of colour vision; slow links come first.
const COLORS: [&str; 7] = ["#56b4e9", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#000000"];
/// Room above the picture for title and legend.
const HEAD: f64 = 56.0;
/// Distance between the two directions of a link whose rates differ.
const APART: f64 = 5.0;
/// Left edge of the first entry of the legend.
const LEGEND_LEFT: f64 = 124.0;
/// Width of the narrowest picture: title and legend must fit.
const WIDTH_MIN: f64 = 560.0;

/// The picture of `cluster` as an SVG document; a large cluster shows its first machines.
pub fn topology_svg(cluster: &Cluster) -> String {
    picture(cluster, &Legend::of_bandwidth(cluster))
}

/// The same, links coloured by their utilisation: shares of bandwidth, by link.
pub fn utilisation_svg(cluster: &Cluster, shares: &[f64]) -> String {
    picture(cluster, &Legend::of_utilisation(cluster, shares))
}

fn picture(cluster: &Cluster, legend: &Legend) -> String {
    let layout = layout(cluster);
    let (width, height) = (layout.width.max(legend.width()).max(WIDTH_MIN), layout.height + HEAD);
    let mut out = String::new();
    let mut picture = Picture { cluster, layout: &layout, legend, out: &mut out };
    picture.line(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12" role="img">"#
    ));
    picture.line(format_args!("<title>{}</title>", escaped(&cluster.name)));
    picture.line(format_args!(r##"<rect width="100%" height="100%" fill="#ffffff"/>"##));
    picture.head();
    picture.line(format_args!(r#"<g transform="translate(0 {HEAD})">"#));
    picture.frames();
    picture.links();
    picture.vertices();
    picture.line(format_args!("</g>\n</svg>"));
    out
}

/// Colours from little to much (`ColorBrewer` `OrRd`, the first grey: nothing at all).
const HEAT: [&str; 6] = ["#c4c4c4", "#fdbb84", "#fc8d59", "#e34a33", "#b30000", "#5c0011"];
/// The shares from which each colour but the first counts.
const HEAT_FROM: [f64; 5] = [0.0, 0.05, 0.1, 0.25, 0.5];
/// Meanings of the colors.
const HEAT_TEXT: [&str; 6] = ["idle", "below 5 %", "to 10 %", "to 25 %", "to 50 %", "above 50 %"];

/// Which colour and width a link has, and why.
struct Legend {
    title: &'static str,
    /// Colour, width and meaning.
    entries: Vec<(&'static str, f64, String)>,
    /// The entry of each link.
    of_link: Vec<usize>,
    /// True if both directions of a link are one stroke, of the higher entry.
    merges: bool,
}

impl Legend {
    /// By bandwidth; one entry holds several rates where there are more rates than colours.
    fn of_bandwidth(cluster: &Cluster) -> Self {
        let rates: Vec<_> =
            cluster.links.iter().map(|link| link.bandwidth).collect::<BTreeSet<_>>().into_iter().collect();
        let per_class = rates.len().div_ceil(COLORS.len()).max(1);
        let entry = |(class, rates): (usize, &[Bandwidth])| {
            (COLORS[class], 1.3 + 0.7 * class as f64, Self::text(rates))
        };
        let position = |rate| rates.binary_search(rate).expect("made from all links");
        Self {
            title: "Per direction:",
            entries: rates.chunks(per_class).enumerate().map(entry).collect(),
            of_link: cluster.links.iter().map(|link| position(&link.bandwidth) / per_class).collect(),
            merges: false,
        }
    }

    /// By the share of its bandwidth that a link carries.
    fn of_utilisation(cluster: &Cluster, shares: &[f64]) -> Self {
        assert_eq!(shares.len(), cluster.links.len(), "a share for each link");
        let entry =
            |share: &f64| if *share > 0.0 { HEAT_FROM.partition_point(|from| from <= share) } else { 0 };
        let entries = HEAT.into_iter().zip(HEAT_TEXT).enumerate();
        Self {
            title: "Mean use:",
            entries: entries
                .map(|(at, (color, text))| (color, 1.2 + 0.6 * at as f64, text.to_owned()))
                .collect(),
            of_link: shares.iter().map(entry).collect(),
            merges: true,
        }
    }

    /// Left edge of the entry behind one with `text` that begins at `x`.
    fn next(x: f64, text: &str) -> f64 {
        x + 56.0 + text.len() as f64 * 7.5
    }

    fn width(&self) -> f64 {
        self.entries.iter().fold(LEGEND_LEFT, |x, (_, _, text)| Self::next(x, text))
    }

    fn text(class: &[Bandwidth]) -> String {
        match class {
            [one] => gb_per_sec(*one),
            [first, .., last] => format!("{} to {}", gb_per_sec(*first), gb_per_sec(*last)),
            [] => String::new(),
        }
    }
}

/// A stroke from one vertex to another.
struct Stroke {
    from: (f64, f64),
    to: (f64, f64),
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Shape {
    Straight,
    /// Along this height: above the row of the `PCIe` switches, and down to the host bridge.
    Bus(f64),
    /// Hangs this far below its ends; negative: rises above them.
    Arc(f64),
}

struct Picture<'a> {
    cluster: &'a Cluster,
    layout: &'a Layout,
    legend: &'a Legend,
    out: &'a mut String,
}

impl Picture<'_> {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.out, "{text}").expect("writing to a string cannot fail");
    }

    fn text(&mut self, (x, y): (f64, f64), attributes: &str, text: &str) {
        self.line(format_args!(r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{}</text>"#, escaped(text)));
    }

    /// Title and legend.
    fn head(&mut self) {
        let cluster = self.cluster;
        let (n_gpus, n_nodes) = (cluster.gpus.len(), cluster.n_nodes() as usize);
        let n_hidden =
            [(n_nodes - self.layout.frames.len(), "machine"), (self.layout.n_hidden_switches, "switch")];
        let hidden: Vec<_> =
            n_hidden.iter().filter(|(n, _)| *n > 0).map(|(n, what)| counted(*n, what)).collect();
        let mut title =
            format!("{}: {} in {}", cluster.name, counted(n_gpus, "GPU"), counted(n_nodes, "machine"));
        if !hidden.is_empty() {
            title.push_str(" (not shown: ");
            title.push_str(&hidden.join(", "));
            title.push(')');
        }
        self.text((24.0, 28.0), r#"font-size="16" font-weight="bold""#, &title);
        let legend = self.legend;
        self.text((24.0, 52.0), "", legend.title);
        let mut x = LEGEND_LEFT;
        for (color, width, text) in &legend.entries {
            self.line(format_args!(
                r#"<path d="M{x:.1} 48 h28" stroke="{color}" stroke-width="{width:.1}" fill="none"/>"#
            ));
            self.text((x + 34.0, 52.0), "", text);
            x = Legend::next(x, text);
        }
    }

    fn frames(&mut self) {
        for (node_idx, frame) in self.layout.frames.iter().enumerate() {
            let Rect { left, top, width, height } = frame;
            self.line(format_args!(r##"<rect x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" rx="8" fill="#f7f7f7" stroke="#bbbbbb"/>"##));
            let gpus = self.cluster.node(u32::try_from(node_idx).expect("few machines are shown"));
            let cards: BTreeSet<_> =
                gpus.map(|gpu| self.cluster.gpus[gpu as usize].card.name.as_str()).collect();
            let cards = cards.into_iter().collect::<Vec<_>>().join(", ");
            let title = format!("n{node_idx}: {cards}");
            self.text((left + 10.0, frame.bottom() - 9.0), r##"font-size="11" fill="#333333""##, &title);
        }
    }

    /// Each pair of vertices once if both directions are equal, else each direction with an arrow.
    fn links(&mut self) {
        let mut pairs = BTreeMap::<(VertexIdx, VertexIdx), [Option<usize>; 2]>::new();
        for (&entry, id) in self.legend.of_link.iter().zip(0..) {
            let (src, dst) = self.cluster.link_ends(LinkId(id));
            let pair = pairs.entry((src.min(dst), src.max(dst))).or_default();
            pair[usize::from(src > dst)] = Some(entry);
        }
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        if self.legend.merges {
            // What matters most is drawn last.
            pairs.sort_by_key(|(_, entries)| *entries.iter().max().expect("two directions"));
        }
        for ((a, b), entries) in pairs {
            match entries {
                [Some(there), Some(back)] if there == back || self.legend.merges => {
                    self.link(a, b, there.max(back), None);
                }
                [there, back] => {
                    let aside = if there.is_some() && back.is_some() { APART } else { 0.0 };
                    if let Some(entry) = there {
                        self.link(a, b, entry, Some(aside));
                    }
                    if let Some(entry) = back {
                        self.link(b, a, entry, Some(aside));
                    }
                }
            }
        }
    }

    /// One stroke: for both directions, or for one with an arrow and moved aside by so much.
    fn link(&mut self, from: VertexIdx, to: VertexIdx, entry: usize, one_way: Option<f64>) {
        let Some(stroke) = self.stroke(from, to) else { return };
        let (dx, dy) = (stroke.to.0 - stroke.from.0, stroke.to.1 - stroke.from.1);
        let length = (dx * dx + dy * dy).sqrt().max(1.0);
        let (ux, uy) = (dx / length, dy / length);
        let aside = one_way.unwrap_or(0.0) / uy.abs().max(0.4);
        let moved = |(x, y): (f64, f64)| (x - uy.signum() * aside, y);
        let ((x1, y1), (x2, y2)) = (moved(stroke.from), moved(stroke.to));
        let (path, arrow) = match stroke.shape {
            Shape::Straight => (format!("L{x2:.1} {y2:.1}"), (x1 + 0.62 * (x2 - x1), y1 + 0.62 * (y2 - y1))),
            Shape::Bus(y) => (format!("V{y:.1} H{x2:.1} V{y2:.1}"), (x1.midpoint(x2), y)),
            Shape::Arc(depth) => {
                // A cubic reaches three quarters of the way to its control points.
                let control = y1 + depth / 0.75;
                (
                    format!("C{x1:.1} {control:.1} {x2:.1} {control:.1} {x2:.1} {y2:.1}"),
                    (x1.midpoint(x2), y1 + depth),
                )
            }
        };
        let (color, width, _) = &self.legend.entries[entry];
        self.line(format_args!(
            r#"<path d="M{x1:.1} {y1:.1} {path}" stroke="{color}" stroke-width="{width:.1}" fill="none"/>"#
        ));
        if one_way.is_some() {
            let (x, y) = arrow;
            let at = |along: f64, across: f64| {
                format!("{:.1} {:.1}", x + ux * along - uy * across, y + uy * along + ux * across)
            };
            let (tip, one, other) = (at(7.0, 0.0), at(-5.0, 5.0), at(-5.0, -5.0));
            self.line(format_args!(r#"<path d="M{tip} L{one} L{other} Z" fill="{color}"/>"#));
        }
    }

    /// The stroke between two vertices, if both are shown.
    fn stroke(&self, from: VertexIdx, to: VertexIdx) -> Option<Stroke> {
        let (a, b) = (self.layout.spots.get(&from)?, self.layout.spots.get(&to)?);
        let is_host = |idx| self.cluster.vertex(idx).kind == VertexKind::Host;
        if is_host(from) || is_host(to) {
            let aside =
                |spot: &Rect, is_host: bool| (spot.center().0 + if is_host { 0.0 } else { 17.0 }, spot.top);
            let bus = Shape::Bus(a.top - 12.0);
            return Some(Stroke { from: aside(a, is_host(from)), to: aside(b, is_host(to)), shape: bus });
        }
        let row = self.layout.rows[&from];
        if row != self.layout.rows[&to] {
            let (x1, x2) = attached(a, b);
            let (y1, y2) = if a.top < b.top { (a.bottom(), b.top) } else { (a.top, b.bottom()) };
            return Some(Stroke { from: (x1, y1), to: (x2, y2), shape: Shape::Straight });
        }
        let (x1, x2) = (a.center().0, b.center().0);
        let span = ((x2 - x1).abs() / (a.width + 10.0)).round();
        let aside = (x2 - x1).signum() * (5.0 * span - 1.0).min(a.width / 2.0 - 6.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        let depth = arc_depth(span as usize);
        let (y, depth) = if row == 1 { (a.bottom(), depth) } else { (a.top, -depth.min(38.0)) };
        Some(Stroke { from: (x1 + aside, y), to: (x2 - aside, y), shape: Shape::Arc(depth) })
    }

    fn vertices(&mut self) {
        let layout = self.layout;
        for (&idx, spot) in &layout.spots {
            let vertex = self.cluster.vertex(idx);
            let (fill, stroke) = match vertex.kind {
                VertexKind::Gpu(_) => ("#d9f0d3", "#1b7837"),
                VertexKind::NvSwitch | VertexKind::Switch | VertexKind::PcieSwitch => ("#ffffff", "#555555"),
                VertexKind::Host => ("#eeeeee", "#555555"),
                VertexKind::Nic { .. } => ("#fff3cd", "#8a6d00"),
                VertexKind::Fabric | VertexKind::Leaf | VertexKind::Spine => ("#e8e4f3", "#542788"),
            };
            let Rect { left, top, width, height } = spot;
            self.line(format_args!(
                r#"<rect x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" rx="4" fill="{fill}" stroke="{stroke}"/>"#
            ));
            let (x, y) = spot.center();
            self.text((x, y + 4.0), r#"text-anchor="middle""#, short_name(vertex));
        }
    }
}

/// Ends of a stroke between two rows: straight up where one of them spans the other.
fn attached(a: &Rect, b: &Rect) -> (f64, f64) {
    let (x1, x2) = (a.center().0, b.center().0);
    let spans = |wide: &Rect, narrow: &Rect| wide.width > 1.5 * narrow.width;
    if spans(a, b) {
        (x2.clamp(a.left + 4.0, a.right() - 4.0), x2)
    } else if spans(b, a) {
        (x1, x1.clamp(b.left + 4.0, b.right() - 4.0))
    } else {
        (x1, x2)
    }
}

/// `12.5 GB/s`, with at most two decimals above 1 GB/s.
fn gb_per_sec(rate: Bandwidth) -> String {
    let gb = rate.bytes_per_sec() as f64 / 1e9;
    if gb < 1.0 { rate.to_string() } else { format!("{} GB/s", (gb * 100.0).round() / 100.0) }
}

/// `1 GPU`, `16 GPUs`, `2 switches`.
fn counted(n: usize, what: &str) -> String {
    let ending = match (n, what.ends_with("ch")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{n} {what}{ending}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use masim_tests::Shipped;

    fn shipped(name: &str) -> std::sync::Arc<Cluster> {
        Shipped::default().cluster(name, &[])
    }

    fn changed(from: &str, to: &str) -> std::sync::Arc<Cluster> {
        Shipped::default().cluster("a100-4x4", &[(from, to)])
    }

    /// No two boxes overlap, and none leaves the picture.
    fn check_boxes(cluster: &Cluster) {
        let layout = layout(cluster);
        let spots: Vec<_> = layout.spots.values().collect();
        for (idx, a) in spots.iter().enumerate() {
            assert!(
                a.left >= 0.0 && a.right() <= layout.width && a.top >= 0.0 && a.bottom() <= layout.height
            );
            for b in &spots[idx + 1..] {
                let apart =
                    a.right() <= b.left || b.right() <= a.left || a.bottom() <= b.top || b.bottom() <= a.top;
                assert!(apart, "{}: {a:?} {b:?}", cluster.name);
            }
        }
    }

    #[test]
    fn no_boxes_overlap() {
        for name in ["a100-4x4", "a100-4x4-nic1", "a100-2x8", "h100-2x8", "example-explicit"] {
            check_boxes(&shipped(name));
        }
        check_boxes(&changed("kind: switch", "kind: rail\n  n_spines: 2"));
        check_boxes(&changed("kind: switch", "kind: fat_tree\n  n_nodes_per_leaf: 2\n  n_spines: 3"));
    }

    /// Mean use of 0, 3, 15 and 95 %: each in its own colour, the busiest drawn last.
    #[test]
    fn busy_links_stand_out() {
        let cluster = shipped("a100-4x4");
        let mut shares = vec![0.0; cluster.links.len()];
        shares[..3].copy_from_slice(&[0.95, 0.03, 0.15]);
        let svg = utilisation_svg(&cluster, &shares);
        let strokes: Vec<_> =
            svg.lines().filter(|line| line.contains(" stroke=") && line.contains("<path")).collect();
        assert!(strokes.last().unwrap().contains(HEAT[5]));
        let n = |color| strokes[HEAT.len()..].iter().filter(|line| line.contains(color)).count();
        // Links 0 and 1 are the two directions of one pair.
        assert_eq!((n(HEAT[5]), n(HEAT[1]), n(HEAT[3])), (1, 0, 1));
    }

    #[test]
    fn the_picture_says_what_it_leaves_out() {
        let svg = topology_svg(&changed("n_nodes: 4", "n_nodes: 128"));
        assert!(svg.contains("a100-4x4: 512 GPUs in 128 machines"));
        assert!(svg.contains("(not shown: 120 machines)"));
        assert!(svg.contains(">25 GB/s<") && svg.contains(">100 GB/s<"));
    }

    #[test]
    fn directions_of_different_rate_are_two_arrows() {
        let svg = topology_svg(&shipped("example-explicit"));
        assert_eq!(svg.matches(" Z\" fill=").count(), 2);
        assert_eq!(topology_svg(&shipped("a100-4x4")).matches(" Z\" fill=").count(), 0);
    }
}
