//! Numbers as people read them: few digits, a true minus sign, thousands apart.

use masim_core::judging::sweep::{Row, Side};

/// `value` with three significant digits and no exponent; thousands are grouped.
pub fn sig(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "-".to_owned() };
    }
    let magnitude = libm::floor(libm::log10(value.abs()));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=9")]
    let decimals = (2.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{:.decimals$}", value.abs());
    let sign = if value < 0.0 { "\u{2212}" } else { "" };
    format!("{sign}{}", group(&text))
}

/// `value` like [`sig`], without zeros that say nothing.
pub fn tidy(value: f64) -> String {
    let text = sig(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Commas between groups of three digits before the decimal point.
fn group(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (idx, digit) in whole.chars().enumerate() {
        if idx > 0 && (whole.len() - idx).is_multiple_of(3) && whole.len() > 4 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or_else(|| grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

/// A time in milliseconds, without its unit.
pub fn ms(us: f64) -> String {
    sig(us / 1e3)
}

/// A fraction in percent with one decimal.
pub fn pct(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

/// A fraction in percent with its sign.
pub fn signed_pct(fraction: f64) -> String {
    let text = format!("{:.1}", fraction.abs() * 100.0);
    let sign = match fraction {
        _ if text == "0.0" => "\u{b1}",
        f if f < 0.0 => "\u{2212}",
        _ => "+",
    };
    format!("{sign}{text} %")
}

/// Text of a cell without a number.
pub(crate) const NONE: &str = "\u{2013}";

/// `value` as `how` shows it, or a dash.
pub fn or_dash(value: Option<f64>, how: fn(f64) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), how)
}

/// The middle value, or the mean of the two middle ones.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let low = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(low, sorted[sorted.len() / 2]))
}

/// `1 point`, `2 points`.
pub fn count(n: usize, singular: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {singular}{plural}")
}

/// True if a row stands on the side of the splits in the verdict.
pub(crate) fn is_split(row: &Row) -> bool {
    row.side == Side::Split
}

/// `12:4` for a split.
pub fn ratio(row: &Row) -> Option<String> {
    let (attention, expert) = row.pools().filter(|_| is_split(row))?;
    Some(format!("{attention}:{expert}"))
}

/// Name of a row in tables and pictures: `12:4 x2` for a split in two micro-batches, else its name.
pub fn label(row: &Row) -> String {
    match (ratio(row), row.chosen.n_micro_batches) {
        (Some(ratio), Some(n)) => format!("{ratio} \u{d7}{n}"),
        (Some(ratio), None) => ratio,
        (None, _) => row.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(sig(0.012_345), "0.0123");
        assert_eq!(sig(-4.026), "\u{2212}4.03");
        assert_eq!(sig(1234.4), "1234");
        assert_eq!(sig(123_456.0), "123,456");
        assert_eq!(signed_pct(-0.0612), "\u{2212}6.1 %");
        assert_eq!(signed_pct(0.000_1), "\u{b1}0.0 %");
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0, 4.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
