//! The rows for the table that a script shows: few columns, four digits.

use serde_json::{Value, json};

use crate::number::{is_split, label};
use crate::space::Space;
use masim_core::judging::sweep::{Chosen, Figures, Row};

/// Columns and rows as JSON that can stand inside a `script` element.
pub(super) fn compact(rows: &[Row], space: &Space<'_>) -> String {
    let dims = space.dims.iter().map(|dim| dim.title.as_str());
    let figures = [
        space.answer.title(),
        "cold step, ms",
        "closed form, ms",
        "work bound, ms",
        "tokens/s per GPU",
        "busy, %",
        "MFU, %",
        "MBU, %",
        "overlap, %",
        "exposed comm., ms",
        "idle, ms",
        "fullest GPU, GiB",
        "provenance",
    ];
    let columns: Vec<_> =
        ["row"].into_iter().chain(dims).chain(["strategy", "layout"]).chain(figures).collect();
    let rows: Vec<_> = rows.iter().map(|row| cells(row, space)).collect();
    let text = json!({ "columns": columns, "rows": rows }).to_string();
    // A `<` stands in strings alone, where this means the same; `</script>` would end the element.
    text.replace('<', "\\u003c")
}

fn cells(row: &Row, space: &Space<'_>) -> Value {
    let point = space.points.iter().find(|point| point.idx == row.point_idx);
    let values = point.into_iter().flat_map(|point| {
        space.dims.iter().zip(&point.at).map(|(dim, &at)| match dim.values[at].parse::<u64>() {
            Ok(number) => json!(number),
            Err(_) => json!(dim.values[at]),
        })
    });
    let ms = |us: Option<f64>| rounded(us.map(|us| us / 1e3));
    let percent = |share: Option<f64>| rounded(share.map(|share| share * 100.0));
    let of = |of: fn(&Figures) -> f64| row.figure(of);
    let figures = [
        ms(row.answer_us()),
        ms(of(|figures| figures.step_time_us)),
        ms(of(|figures| figures.closed_form_us)),
        ms(of(|figures| figures.work_bound_us)),
        rounded(of(|figures| figures.tokens_per_sec_per_gpu)),
        percent(of(|figures| figures.busy_share)),
        percent(of(|figures| figures.mfu)),
        percent(of(|figures| figures.mbu)),
        percent(row.figures().and_then(|figures| figures.comm_overlap)),
        ms(of(|figures| figures.comm_exposed_us)),
        ms(of(|figures| figures.wait_mean_us)),
        rounded(row.figures().and_then(|figures| figures.memory_max_gib)),
        json!(row.figure(|figures| figures.provenance.name())),
    ];
    let names = [json!(row.name), json!(layout(row))];
    [json!(row.row_idx)].into_iter().chain(values).chain(names).chain(figures).collect()
}

/// Such as `12:4 x2`, `tp 8, pp 2, in flight 2` or `does not fit`.
fn layout(row: &Row) -> String {
    let name = if is_split(row) { label(row) } else { knobs(&row.chosen) };
    match (row.fits(), row.answer_us()) {
        (false, _) => format!("{name} (does not fit)"),
        (true, None) => format!("{name} (failed)"),
        (true, Some(_)) => name,
    }
}

fn knobs(chosen: &Chosen) -> String {
    let knobs = [
        ("tp", chosen.tp),
        ("pp", chosen.pp),
        ("dp", chosen.dp),
        ("ep", chosen.ep),
        ("in flight", chosen.n_in_flight),
        ("overlapped", chosen.n_overlapped),
    ];
    let set = knobs.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?)));
    set.collect::<Vec<_>>().join(", ")
}

/// Four significant digits, so that the page stays small.
fn rounded(value: Option<f64>) -> Value {
    let rounded = value.and_then(|value| format!("{value:.3e}").parse::<f64>().ok());
    rounded.map_or(Value::Null, |value| json!(value))
}
