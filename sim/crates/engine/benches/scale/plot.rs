//! Time per flow against the number of flows, as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::register_font;

/// The colours of Okabe and Ito, told apart with every kind of colour vision.
const COLORS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];

/// One line of the picture: its name, and (flows, CPU microseconds per flow).
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws `series` into a PNG file.
pub(crate) fn plot(path: &Path, series: &[Series]) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/fonts");
    let font: &'static [u8] = std::fs::read(folder.join("DejaVuSans.ttf"))?.leak();
    register_font("sans-serif", FontStyle::Normal, font).map_err(|_| "the font is not one")?;
    let (width, height) = (1200, 760);
    let mut pixels = vec![0; width as usize * height as usize * 3];
    draw(&BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area(), series)?;
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}

fn draw(
    area: &DrawingArea<BitMapBackend<'_>, plotters::coord::Shift>,
    series: &[Series],
) -> Result<(), Box<dyn Error>> {
    area.fill(&WHITE)?;
    let all = || series.iter().flat_map(|series| series.points.iter());
    let largest = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(1.0, f64::max);
    let least = all().map(|point| point.1).fold(1.0, f64::min);
    let mut chart = ChartBuilder::on(area)
        .caption("CPU time per flow against the number of flows at once", ("sans-serif", 28))
        .margin(24)
        .x_label_area_size(70)
        .y_label_area_size(100)
        .build_cartesian_2d(
            (80.0..largest(|point| point.0) * 1.6).log_scale(),
            (least * 0.7..largest(|point| point.1) * 1.6).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("flows under way at once")
        .y_desc("CPU microseconds per flow, from start to end")
        .axis_desc_style(("sans-serif", 22))
        .label_style(("sans-serif", 20))
        .x_label_formatter(&|x| format!("{x}"))
        .y_label_formatter(&|y| format!("{y}"))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    for (series, color) in series.iter().zip(COLORS) {
        chart.draw_series([PathElement::new(series.points.clone(), color.stroke_width(3))])?;
        chart.draw_series(series.points.iter().map(|&at| Circle::new(at, 6, color.filled())))?;
    }
    for ((series, color), row) in series.iter().zip(COLORS).zip(0..) {
        let y = 84 + 30 * row;
        area.draw(&PathElement::new(vec![(150, y), (190, y)], color.stroke_width(4)))?;
        area.draw(&Text::new(series.name, (202, y - 10), ("sans-serif", 20).into_font()))?;
    }
    area.present()?;
    Ok(())
}
