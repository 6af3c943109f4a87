//! Scenes on plotters' backends: vectors for the page, pixels for files.

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::prelude::{Color as _, DrawingArea, RGBColor};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, IntoTextStyle, ShapeStyle};

use super::{Anchor, Color, Dash, FAMILY, Item, LINE_PER_EM, Label, Mark, PAPER, Scene, font};

/// Pixels of a file per pixel of a scene: sharp on dense screens and on paper.
const PNG_SCALE: f64 = 2.0;
/// plotters centers pixels on the line with room for descenders, a browser on the letters.
const PNG_SINK: f64 = 0.14;

/// Why a scene could not be painted.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The drawing library refused.
    #[error("a picture could not be drawn: {0}")]
    Backend(String),
    /// The encoder refused.
    #[error("a picture could not be encoded as PNG: {0}")]
    Png(#[from] png::EncodingError),
}

impl Color {
    fn rgb(self) -> RGBColor {
        RGBColor(self.0, self.1, self.2)
    }
}

/// The scene as an SVG element to be put into a page; `label` says what it shows.
pub(crate) fn paint_svg(scene: &Scene, label: &str) -> Result<String, DrawError> {
    let mut svg = String::new();
    paint(scene, SVGBackend::with_string(&mut svg, size(scene, 1.0)), 1.0, 0.0)?;
    // Inside a page the namespace is implied, and nothing in the page looks like an address.
    let svg = svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1);
    let label = label.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    Ok(svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1))
}

/// The scene as a PNG file.
pub(crate) fn paint_png(scene: &Scene) -> Result<Vec<u8>, DrawError> {
    let (width, height) = size(scene, PNG_SCALE);
    let mut pixels = vec![0; width as usize * height as usize * 3];
    paint(scene, BitMapBackend::with_buffer(&mut pixels, (width, height)), PNG_SCALE, PNG_SINK)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}

fn size(scene: &Scene, scale: f64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand pixels")]
    let pixels = |length: f64| (length * scale).ceil() as u32;
    (pixels(scene.width), pixels(scene.height))
}

/// Paints `scene`, `scale` pixels for each of its own, on any backend; texts stand `sink` ems lower.
fn paint<DB: DrawingBackend>(scene: &Scene, backend: DB, scale: f64, sink: f64) -> Result<(), DrawError> {
    font();
    let failed = |error: &dyn std::fmt::Display| DrawError::Backend(error.to_string());
    let area = backend.into_drawing_area();
    area.fill(&PAPER.rgb()).map_err(|error| failed(&error))?;
    let brush = Brush { area: &area, scale, sink };
    for item in &scene.items {
        brush.item(item).map_err(|error| failed(&error))?;
    }
    area.present().map_err(|error| failed(&error))
}

struct Brush<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    scale: f64,
    sink: f64,
}

type Painted<DB> = Result<(), plotters::drawing::DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

impl<DB: DrawingBackend> Brush<'_, DB> {
    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        #[expect(clippy::cast_possible_truncation, reason = "a few thousand pixels")]
        let pixel = |length: f64| (length * self.scale).round() as i32;
        (pixel(x), pixel(y))
    }

    fn stroke(&self, color: Color, width: f64) -> ShapeStyle {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few pixels")]
        color.rgb().stroke_width((width * self.scale).round() as u32)
    }

    fn item(&self, item: &Item) -> Painted<DB> {
        match item {
            Item::Line { points, color, width, dash } => {
                let stroke = self.stroke(*color, *width);
                for piece in pieces(points, *dash) {
                    let piece: Vec<_> = piece.into_iter().map(|at| self.at(at)).collect();
                    self.area.draw(&PathElement::new(piece, stroke))?;
                }
                Ok(())
            }
            Item::Rect { corners: (left, top, right, bottom), color } => {
                let (a, b) = (self.at((*left, *top)), self.at((*right, *bottom)));
                self.area.draw(&Rectangle::new([a, b], color.rgb().filled()))
            }
            Item::Mark { at, mark, color } => self.mark(*at, *mark, *color),
            Item::Text(text) => self.text(text),
        }
    }

    fn mark(&self, (x, y): (f64, f64), mark: Mark, color: Color) -> Painted<DB> {
        let filled = color.rgb().filled();
        let polygon = |corners: &[(f64, f64)]| {
            let corners = corners.iter().map(|(dx, dy)| self.at((x + dx, y + dy)));
            self.area.draw(&Polygon::new(corners.collect::<Vec<_>>(), filled))
        };
        match mark {
            Mark::Circle => {
                #[expect(clippy::cast_possible_truncation, reason = "a few pixels")]
                let radius = (3.5 * self.scale).round() as i32;
                self.area.draw(&Circle::new(self.at((x, y)), radius, filled))
            }
            Mark::Triangle => polygon(&[(0.0, -5.0), (4.5, 3.5), (-4.5, 3.5)]),
            Mark::Square => polygon(&[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)]),
            Mark::Diamond => polygon(&[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)]),
            Mark::Cross => {
                for (dx, dy) in [(4.0, 4.0), (4.0, -4.0)] {
                    let ends = vec![self.at((x - dx, y - dy)), self.at((x + dx, y + dy))];
                    self.area.draw(&PathElement::new(ends, self.stroke(color, 1.5)))?;
                }
                Ok(())
            }
        }
    }

    fn text(&self, text: &Label) -> Painted<DB> {
        let h = match text.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let font = (FAMILY, text.size * LINE_PER_EM * self.scale).into_font();
        let color = text.color.rgb();
        let style = font.into_text_style(self.area).color(&color).pos(Pos::new(h, VPos::Center));
        let (x, y) = text.at;
        self.area.draw_text(&text.text, &style, self.at((x, y + self.sink * text.size)))
    }
}

/// The drawn parts of a line: all of it, or its dashes.
fn pieces(points: &[(f64, f64)], dash: Dash) -> Vec<Vec<(f64, f64)>> {
    let pattern: &[f64] = match dash {
        Dash::Solid => return vec![points.to_vec()],
        Dash::Long => &[8.0, 4.0],
        Dash::Dots => &[2.0, 3.0],
        Dash::Mixed => &[12.0, 3.0, 3.0, 3.0],
    };
    let mut pieces = vec![vec![points[0]]];
    let (mut step, mut left) = (0, pattern[0]);
    for pair in points.windows(2) {
        let (dx, dy) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
        let length = (dx * dx + dy * dy).sqrt();
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (pair[0].0 + dx * done / length, pair[0].1 + dy * done / length);
            step = (step + 1) % pattern.len();
            left = pattern[step];
            if step % 2 == 1 {
                pieces.last_mut().expect("begun above").push(at);
            } else {
                pieces.push(vec![at]);
            }
        }
        left -= length - done;
        if step % 2 == 0 {
            pieces.last_mut().expect("begun above").push(pair[1]);
        }
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{BLUE, TEXT};

    #[test]
    fn dashes_cover_the_line_in_their_pattern() {
        let dashed = pieces(&[(0.0, 0.0), (20.0, 0.0)], Dash::Long);
        assert_eq!(dashed, [vec![(0.0, 0.0), (8.0, 0.0)], vec![(12.0, 0.0), (20.0, 0.0)]]);
    }

    #[test]
    fn svg_text_is_not_smaller_than_asked_for_and_escaped() {
        let mut scene = Scene::new(100.0, 50.0);
        scene.text((50.0, 25.0), "a < b", TEXT, Anchor::Middle);
        scene.mark((5.0, 5.0), Mark::Diamond, BLUE);
        let svg = paint_svg(&scene, "x \"y\"").unwrap();
        let (_, rest) = svg.split_once("font-size=\"").unwrap();
        let size: f64 = rest.split_once('"').unwrap().0.parse().unwrap();
        assert!(size >= 11.0, "{size}");
        assert!(svg.contains("a &lt; b") && svg.contains("aria-label=\"x &quot;y&quot;\""), "{svg}");
        assert!(!svg.contains("http"));
    }

    #[test]
    fn a_png_is_reproducible() {
        let mut scene = Scene::new(80.0, 40.0);
        scene.text((40.0, 20.0), "TPOT, ms", TEXT, Anchor::Middle);
        let (a, b) = (paint_png(&scene).unwrap(), paint_png(&scene).unwrap());
        assert_eq!(a, b);
        assert_eq!(&a[1..4], b"PNG");
    }
}
