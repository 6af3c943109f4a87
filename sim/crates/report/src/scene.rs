//! A picture as a list of shapes in pixels, drawn by one generic function on any plotters backend.
//!
//! Charts say where things are; nothing is measured or laid out while painting. Tests can therefore ask
//! a scene whether two labels intersect or leave the picture.

mod axis;
mod paint;

use std::sync::Once;

use plotters::style::{FontStyle, IntoFont, register_font};

pub(crate) use axis::{Axis, Frame};
pub use paint::DrawError;
pub(crate) use paint::{paint_png, paint_svg};

/// Smallest text that a reader should have to read, in pixels.
pub(crate) const TEXT: f64 = 12.0;
/// Titles of panels.
pub(crate) const HEAD: f64 = 14.0;

static DEJAVU: &[u8] = include_bytes!("../assets/fonts/DejaVuSans.ttf");
/// The generic family, so that a browser without `DejaVu` shows an SVG in its own font, which is narrower.
const FAMILY: &str = "sans-serif";
/// plotters counts the height of a line where CSS counts the em: its SVG backend divides by this.
const LINE_PER_EM: f64 = 1.24;

/// An opaque color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color(pub(crate) u8, pub(crate) u8, pub(crate) u8);

/// Text and axes. A page may replace it by its own ink (dark mode), as it may [`PAPER`] and [`GRID`].
pub(crate) const INK: Color = Color(0x1a, 0x1a, 0x1a);
/// Background.
pub(crate) const PAPER: Color = Color(0xff, 0xff, 0xff);
/// Lines that guide the eye.
pub(crate) const GRID: Color = Color(0xdd, 0xdd, 0xdd);
/// Text on a colored surface: stays as it is in dark mode.
pub(crate) const ON_LIGHT: Color = Color(0x11, 0x11, 0x11);
/// Less important text.
pub(crate) const MUTED: Color = Color(0x66, 0x66, 0x66);

/// Okabe and Ito's palette without black and yellow: distinguishable for color-blind readers.
pub(crate) const BLUE: Color = Color(0x00, 0x72, 0xb2);
/// See [`BLUE`].
pub(crate) const ORANGE: Color = Color(0xe6, 0x9f, 0x00);
/// See [`BLUE`].
pub(crate) const GREEN: Color = Color(0x00, 0x9e, 0x73);
/// See [`BLUE`].
pub(crate) const PURPLE: Color = Color(0xcc, 0x79, 0xa7);
/// See [`BLUE`].
pub(crate) const VERMILION: Color = Color(0xd5, 0x5e, 0x00);
/// See [`BLUE`].
pub(crate) const SKY: Color = Color(0x56, 0xb4, 0xe9);
/// Time in which nothing is expected to run.
pub(crate) const SILVER: Color = Color(0xb5, 0xb5, 0xb5);

/// Dash pattern of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dash {
    /// Not at all.
    Solid,
    /// Eight on, four off.
    Long,
    /// Two on, three off.
    Dots,
    /// Twelve on, three off, three on, three off.
    Mixed,
}

/// Mark of a data point, so that color is not the only difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A disc.
    Circle,
    /// A triangle that points up.
    Triangle,
    /// An upright square.
    Square,
    /// A square on its corner.
    Diamond,
    /// Two crossing strokes: no data here.
    Cross,
}

/// The part of a text that stands at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Left end.
    Start,
    /// Middle.
    Middle,
    /// Right end.
    End,
}

/// Text, vertically centered on `at`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Label {
    /// Position in pixels.
    pub(crate) at: (f64, f64),
    /// The words.
    pub(crate) text: String,
    /// Size of the em in pixels.
    pub(crate) size: f64,
    /// Part of the text that stands at `at`.
    pub(crate) anchor: Anchor,
    /// Its color.
    pub(crate) color: Color,
}

/// One shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// An open line.
    Line { points: Vec<(f64, f64)>, color: Color, width: f64, dash: Dash },
    /// A filled rectangle: left, top, right, bottom.
    Rect { corners: (f64, f64, f64, f64), color: Color },
    /// A mark.
    Mark { at: (f64, f64), mark: Mark, color: Color },
    /// A text.
    Text(Label),
}

/// A picture.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// Pixels.
    pub(crate) width: f64,
    /// Pixels.
    pub(crate) height: f64,
    /// Painted in this order.
    pub(crate) items: Vec<Item>,
}

impl Scene {
    /// An empty picture on paper.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { width, height, items: Vec::new() }
    }

    /// A straight line.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: Color, dash: Dash) {
        self.items.push(Item::Line { points: vec![from, to], color, width: 1.0, dash });
    }

    /// A line through `points`.
    pub(crate) fn path(&mut self, points: Vec<(f64, f64)>, color: Color, dash: Dash) {
        self.items.push(Item::Line { points, color, width: 2.0, dash });
    }

    /// A filled rectangle: left, top, right, bottom.
    pub(crate) fn rect(&mut self, corners: (f64, f64, f64, f64), color: Color) {
        self.items.push(Item::Rect { corners, color });
    }

    /// A mark at a data point.
    pub(crate) fn mark(&mut self, at: (f64, f64), mark: Mark, color: Color) {
        self.items.push(Item::Mark { at, mark, color });
    }

    /// Text in ink.
    pub(crate) fn text(&mut self, at: (f64, f64), text: impl Into<String>, size: f64, anchor: Anchor) {
        self.text_in(at, text, size, anchor, INK);
    }

    /// Text in a color of its own.
    pub(crate) fn text_in(
        &mut self,
        at: (f64, f64),
        text: impl Into<String>,
        size: f64,
        anchor: Anchor,
        color: Color,
    ) {
        self.items.push(Item::Text(Label { at, text: text.into(), size, anchor, color }));
    }
}

/// Makes the embedded font known to plotters; without it a text cannot be measured or painted.
fn font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for style in [FontStyle::Normal, FontStyle::Bold] {
            assert!(register_font(FAMILY, style, DEJAVU).is_ok(), "the embedded font is a font");
        }
    });
}

/// Width of `text` in pixels.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    font();
    let measured = (FAMILY, size * LINE_PER_EM).into_font().box_size(text);
    f64::from(measured.expect("the embedded font measures every text").0)
}

/// One entry of a legend.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Label of the entry.
    pub(crate) label: String,
    /// Look of the data.
    pub(crate) look: Look,
}

/// Look of data.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    /// A line with marks.
    Line(Color, Dash, Option<Mark>),
    /// An area.
    Area(Color),
    /// A mark alone.
    Mark(Color, Mark),
}

impl Scene {
    /// Draws a legend in lines from `(x, y)` that are no wider than `width`; returns its height.
    pub(crate) fn legend(&mut self, (x, y): (f64, f64), width: f64, keys: &[Key]) -> f64 {
        const SWATCH: f64 = 28.0;
        const LINE: f64 = 20.0;
        let (mut left, mut middle) = (x, y + LINE / 2.0);
        for key in keys {
            let wide = SWATCH + 6.0 + text_width(&key.label, TEXT) + 18.0;
            if left > x && left + wide > x + width {
                (left, middle) = (x, middle + LINE);
            }
            let center = (left + SWATCH / 2.0, middle);
            match key.look {
                Look::Line(color, dash, mark) => {
                    self.path(vec![(left, middle), (left + SWATCH, middle)], color, dash);
                    if let Some(mark) = mark {
                        self.mark(center, mark, color);
                    }
                }
                Look::Area(color) => self.rect((left + 7.0, middle - 6.0, left + 21.0, middle + 6.0), color),
                Look::Mark(color, mark) => self.mark(center, mark, color),
            }
            self.text((left + SWATCH + 6.0, middle), &key.label, TEXT, Anchor::Start);
            left += wide;
        }
        middle + LINE / 2.0 - y
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Left, top, right and bottom of a text.
    fn bounds(text: &Label) -> (f64, f64, f64, f64) {
        let width = text_width(&text.text, text.size);
        let left = match text.anchor {
            Anchor::Start => text.at.0,
            Anchor::Middle => text.at.0 - width / 2.0,
            Anchor::End => text.at.0 - width,
        };
        (left, text.at.1 - text.size * 0.5, left + width, text.at.1 + text.size * 0.5)
    }

    /// No text is small, clipped or on top of another.
    pub(crate) fn check_texts(name: &str, scene: &Scene) {
        let texts = scene.items.iter().filter_map(|item| match item {
            Item::Text(text) => Some((text, bounds(text))),
            _ => None,
        });
        let texts: Vec<_> = texts.collect();
        for (idx, (text, a)) in texts.iter().enumerate() {
            assert!(text.size >= 11.0, "{name}: {} px: {}", text.size, text.text);
            let inside = a.0 >= 0.0 && a.1 >= 0.0 && a.2 <= scene.width && a.3 <= scene.height;
            assert!(inside, "{name}: clipped: {} {a:?}", text.text);
            for (other, b) in &texts[..idx] {
                let apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
                assert!(apart, "{name}: `{}` is on top of `{}`", text.text, other.text);
            }
        }
    }

    #[test]
    fn legends_wrap_before_they_leave_the_picture() {
        let mut scene = Scene::new(300.0, 100.0);
        let key = |label: &str| Key { label: label.to_owned(), look: Look::Area(BLUE) };
        let keys = [key("busy"), key("waiting for a slower peer"), key("waiting for the wire")];
        assert!(scene.legend((10.0, 10.0), 280.0, &keys) > 20.0);
        check_texts("legend", &scene);
    }
}
