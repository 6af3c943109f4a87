//! Reading quantities as people write them: `25 GB/s`, `80 GiB`, `312 TFLOP/s`, `1.5 us`.
//!
//! Prefixes k M G T P are powers of 1000, Ki Mi Gi Ti powers of 1024; `B` is a byte and `b` a bit.

use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::{Serialize, Serializer};

use crate::{Bandwidth, Bytes, FlopsPerSec, SimDuration, Watts};

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// No number, no unit, or more than the two.
    #[error("`{text}` is not a quantity; expected a number and a unit, such as `{example}`")]
    NotAQuantity {
        /// Found text.
        text: String,
        /// Example that would be accepted.
        example: &'static str,
    },
    /// The unit measures something else or does not exist.
    #[error("unknown unit `{unit}` in `{text}`; expected one of {expected}")]
    UnknownUnit {
        /// Found text.
        text: String,
        /// Its unit.
        unit: String,
        /// The units that would have been accepted.
        expected: &'static str,
    },
    /// Negative, zero where that has no meaning, not a number, or too large.
    #[error("`{text}` is out of range; expected {expected}")]
    OutOfRange {
        /// Found text.
        text: String,
        /// The range that would have been accepted.
        expected: &'static str,
    },
}

/// Units of a kind of quantity: their table, their description, and an example.
struct Dimension {
    units: &'static [(&'static str, f64)],
    expected: &'static str,
    example: &'static str,
    range: &'static str,
}

const TIME: Dimension = Dimension {
    units: &[
        ("ps", 1e-12),
        ("ns", 1e-9),
        ("us", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("min", 60.0),
        ("h", 3600.0),
    ],
    expected: "ps, ns, us, ms, s, min, h",
    example: "1.5 us",
    range: "zero to 213 days",
};

const BYTES: Dimension = Dimension {
    units: &[
        ("B", 1.0),
        ("kB", 1e3),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
    ],
    expected: "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB",
    example: "80 GiB",
    range: "zero to 1 EB",
};

const BANDWIDTH: Dimension = Dimension {
    units: &[
        ("B/s", 1.0),
        ("kB/s", 1e3),
        ("KB/s", 1e3),
        ("MB/s", 1e6),
        ("GB/s", 1e9),
        ("TB/s", 1e12),
        ("MiB/s", 1_048_576.0),
        ("GiB/s", 1_073_741_824.0),
        ("TiB/s", 1_099_511_627_776.0),
        ("Mb/s", 0.125e6),
        ("Gb/s", 0.125e9),
        ("Tb/s", 0.125e12),
    ],
    expected: "B/s, kB/s, MB/s, GB/s, TB/s, MiB/s, GiB/s, TiB/s, Mb/s, Gb/s, Tb/s",
    example: "25 GB/s",
    range: "1 B/s to 1 PB/s",
};

const FLOP_RATE: Dimension = Dimension {
    units: &[
        ("GFLOP/s", 1e9),
        ("TFLOP/s", 1e12),
        ("PFLOP/s", 1e15),
        ("GOP/s", 1e9),
        ("TOP/s", 1e12),
        ("POP/s", 1e15),
    ],
    expected: "GFLOP/s, TFLOP/s, PFLOP/s, GOP/s, TOP/s, POP/s",
    example: "312 TFLOP/s",
    range: "a positive rate up to 1e21 FLOP/s",
};

const POWER: Dimension = Dimension {
    units: &[("W", 1.0), ("kW", 1e3)],
    expected: "W, kW",
    example: "400 W",
    range: "zero to 1 MW",
};

/// The value in base units, and the text for messages.
fn parse(text: &str, of: &Dimension) -> Result<f64, ParseQuantityError> {
    let not_a_quantity = || ParseQuantityError::NotAQuantity { text: text.to_owned(), example: of.example };
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| c.is_ascii_whitespace()).ok_or_else(not_a_quantity)?;
    let (number, unit) = (&trimmed[..split], trimmed[split..].trim_start());
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
        return Err(not_a_quantity());
    }
    let number: f64 = number.parse().map_err(|_| not_a_quantity())?;
    match of.units.iter().find(|(name, _)| *name == unit) {
        Some((_, size)) => Ok(number * size),
        None => Err(ParseQuantityError::UnknownUnit {
            text: text.to_owned(),
            unit: unit.to_owned(),
            expected: of.expected,
        }),
    }
}

/// `value` as a whole number when it lies within `[0, max]`.
fn whole(value: f64, max: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (value >= 0.0 && value <= max).then(|| value.round() as u64)
}

fn out_of_range(text: &str, of: &Dimension) -> ParseQuantityError {
    ParseQuantityError::OutOfRange { text: text.to_owned(), expected: of.range }
}

impl FromStr for SimDuration {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let secs = parse(text, &TIME)?;
        whole(secs * 1e12, 1.8e19).map(Self::from_ps).ok_or_else(|| out_of_range(text, &TIME))
    }
}

impl FromStr for Bytes {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let n = parse(text, &BYTES)?;
        whole(n, 1e18).map(Self).ok_or_else(|| out_of_range(text, &BYTES))
    }
}

impl FromStr for Bandwidth {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let n = parse(text, &BANDWIDTH)?;
        whole(n, 1e15).and_then(Self::new).ok_or_else(|| out_of_range(text, &BANDWIDTH))
    }
}

impl FromStr for FlopsPerSec {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let n = parse(text, &FLOP_RATE)?;
        Self::new(n).filter(|_| n <= 1e21).ok_or_else(|| out_of_range(text, &FLOP_RATE))
    }
}

impl FromStr for Watts {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let n = parse(text, &POWER)?;
        Self::new(n).filter(|_| n <= 1e6).ok_or_else(|| out_of_range(text, &POWER))
    }
}

/// The shortest way to write `value` with one of the decimal `units` that reads back to the same value.
fn write_scaled(value: f64, units: &[(&str, f64)]) -> String {
    let exact = |(name, size): &(&str, f64)| {
        let scaled = value / size;
        (scaled >= 1.0).then(|| format!("{scaled} {name}"))
    };
    units
        .iter()
        .rev()
        .filter_map(exact)
        .min_by_key(String::len)
        .unwrap_or_else(|| format!("{} {}", value / units[0].1, units[0].0))
}

/// A quantity that files hold as text.
trait Quantity: FromStr<Err = ParseQuantityError> {
    const EXAMPLE: &'static str;
    fn to_text(&self) -> String;
}

impl Quantity for SimDuration {
    const EXAMPLE: &'static str = TIME.example;
    fn to_text(&self) -> String {
        let ps = self.as_ps() as f64;
        write_scaled(ps, &[("ps", 1.0), ("ns", 1e3), ("us", 1e6), ("ms", 1e9), ("s", 1e12)])
    }
}

impl Quantity for Bytes {
    const EXAMPLE: &'static str = BYTES.example;
    fn to_text(&self) -> String {
        write_scaled(self.0 as f64, BYTES.units)
    }
}

impl Quantity for Bandwidth {
    const EXAMPLE: &'static str = BANDWIDTH.example;
    fn to_text(&self) -> String {
        write_scaled(
            self.bytes_per_sec() as f64,
            &[("B/s", 1.0), ("kB/s", 1e3), ("MB/s", 1e6), ("GB/s", 1e9), ("TB/s", 1e12)],
        )
    }
}

impl Quantity for FlopsPerSec {
    const EXAMPLE: &'static str = FLOP_RATE.example;
    fn to_text(&self) -> String {
        write_scaled(self.per_sec(), &[("GFLOP/s", 1e9), ("TFLOP/s", 1e12), ("PFLOP/s", 1e15)])
    }
}

impl Quantity for Watts {
    const EXAMPLE: &'static str = POWER.example;
    fn to_text(&self) -> String {
        write_scaled(self.watts(), &[("W", 1.0), ("kW", 1e3)])
    }
}

struct QuantityVisitor<Q>(std::marker::PhantomData<Q>);

impl<Q: Quantity> Visitor<'_> for QuantityVisitor<Q> {
    type Value = Q;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a number and a unit, such as `{}`", Q::EXAMPLE)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Q, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Q, E> {
        Err(E::custom(ParseQuantityError::NotAQuantity { text: n.to_string(), example: Q::EXAMPLE }))
    }

    fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<Q, E> {
        Err(E::custom(ParseQuantityError::NotAQuantity { text: n.to_string(), example: Q::EXAMPLE }))
    }
}

macro_rules! serde_as_text {
    ($($quantity:ty),*) => {$(
        impl<'de> Deserialize<'de> for $quantity {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // `any`, so that a bare number is told what it lacks rather than what type it has.
                from.deserialize_any(QuantityVisitor(std::marker::PhantomData)).map_err(D::Error::custom)
            }
        }

        impl Serialize for $quantity {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.to_text())
            }
        }
    )*};
}

serde_as_text!(SimDuration, Bytes, Bandwidth, FlopsPerSec, Watts);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_write_them() {
        assert_eq!("25 GB/s".parse(), Ok(Bandwidth::from_gb_per_sec(25)));
        assert_eq!("200 Gb/s".parse(), Ok(Bandwidth::from_gb_per_sec(25)));
        assert_eq!("80 GiB".parse(), Ok(Bytes(80 << 30)));
        assert_eq!("1.5 us".parse(), Ok(SimDuration::from_ps(1_500_000)));
        assert_eq!("312 TFLOP/s".parse(), Ok(FlopsPerSec::new(312e12).unwrap()));
        assert_eq!("624 TOP/s".parse(), Ok(FlopsPerSec::new(624e12).unwrap()));
    }

    #[test]
    fn what_is_no_quantity_is_told_what_is() {
        let message = |text: &str| text.parse::<Bandwidth>().unwrap_err().to_string();
        assert_eq!(message("25"), "`25` is not a quantity; expected a number and a unit, such as `25 GB/s`");
        assert!(message("25 GB").starts_with("unknown unit `GB` in `25 GB`; expected one of B/s,"));
        assert_eq!(message("0 GB/s"), "`0 GB/s` is out of range; expected 1 B/s to 1 PB/s");
        assert_eq!(message("-3 GB/s"), "`-3 GB/s` is out of range; expected 1 B/s to 1 PB/s");
        assert_eq!(
            message("nan GB/s"),
            "`nan GB/s` is not a quantity; expected a number and a unit, such as `25 GB/s`"
        );
        assert_eq!(message("1e300 GB/s"), "`1e300 GB/s` is out of range; expected 1 B/s to 1 PB/s");
    }

    #[test]
    fn quantities_write_the_shortest_text_that_reads_back() {
        assert_eq!(Bandwidth::from_gb_per_sec(25).to_text(), "25 GB/s");
        assert_eq!(Bytes(80 << 30).to_text(), "80 GiB");
        assert_eq!(SimDuration::from_ps(1_500_000).to_text(), "1.5 us");
        assert_eq!(SimDuration::ZERO.to_text(), "0 ps");
        assert_eq!(FlopsPerSec::new(19.5e12).unwrap().to_text(), "19.5 TFLOP/s");
    }
}
