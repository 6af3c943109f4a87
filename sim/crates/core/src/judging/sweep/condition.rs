//! Conditions that leave points out: `workload.batch: ">= 1024"`.

use std::cmp::Ordering;

use masim_units::{Bandwidth, Bytes, FlopsPerSec, SimDuration, Watts};

use crate::inputs::text::{Tree, TreeValue};

/// A comparison with a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    relation: Relation,
    operand: Tree,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Longer signs first, so that `<` does not hide `<=`.
const SIGNS: [(&str, Relation); 6] = [
    ("!=", Relation::Unequal),
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("=", Relation::Equal),
    ("<", Relation::Less),
    (">", Relation::More),
];

impl Condition {
    /// Reads `">= 1024"`, or a bare value, which asks for equality.
    pub(super) fn parse(file: &Tree) -> Result<Self, String> {
        let signed = file.as_text().and_then(|text| {
            SIGNS.iter().find_map(|(sign, relation)| Some((text.trim().strip_prefix(sign)?, *relation)))
        });
        let Some((operand, relation)) = signed else {
            return Ok(Self { relation: Relation::Equal, operand: file.clone() });
        };
        let operand = Tree::parse_value(operand.trim())?;
        let ordered = !matches!(relation, Relation::Equal | Relation::Unequal);
        if ordered && magnitude(&operand).is_none() {
            let found = operand.to_cell();
            return Err(format!("`{found}` has no order; expected a number or a quantity after the sign"));
        }
        Ok(Self { relation, operand })
    }

    /// True if it holds for `value`; an order never holds for what has none, such as `auto`.
    pub(super) fn holds(&self, value: &Tree) -> bool {
        let ordering = compare(value, &self.operand);
        match self.relation {
            Relation::Equal => is_equal(value, &self.operand),
            Relation::Unequal => !is_equal(value, &self.operand),
            Relation::Less => ordering == Some(Ordering::Less),
            Relation::AtMost => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Relation::More => ordering == Some(Ordering::Greater),
            Relation::AtLeast => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

fn is_equal(a: &Tree, b: &Tree) -> bool {
    match compare(a, b) {
        Some(ordering) => ordering == Ordering::Equal,
        None => a.to_json() == b.to_json(),
    }
}

fn compare(a: &Tree, b: &Tree) -> Option<Ordering> {
    let (a, b) = (magnitude(a)?, magnitude(b)?);
    (a.0 == b.0).then(|| a.1.total_cmp(&b.1))
}

/// What a number measures, and how much; `""` is a bare number.
fn magnitude(tree: &Tree) -> Option<(&'static str, f64)> {
    match &tree.value {
        TreeValue::Whole(n) => Some(("", *n as f64)),
        TreeValue::Real(x) => Some(("", *x)),
        TreeValue::Text(text) => None
            .or_else(|| text.parse().ok().map(|rate: Bandwidth| ("B/s", rate.bytes_per_sec() as f64)))
            .or_else(|| text.parse().ok().map(|size: Bytes| ("B", size.0 as f64)))
            .or_else(|| text.parse().ok().map(|time: SimDuration| ("ps", time.as_ps() as f64)))
            .or_else(|| text.parse().ok().map(|rate: FlopsPerSec| ("FLOP/s", rate.per_sec())))
            .or_else(|| text.parse().ok().map(|power: Watts| ("W", power.watts()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, value: &str) -> bool {
        let text = |text: &str| Tree::from(TreeValue::Text(text.to_owned()));
        Condition::parse(&text(condition)).unwrap().holds(&Tree::parse_value(value).unwrap())
    }

    #[test]
    fn conditions_compare_numbers_quantities_and_names() {
        assert!(holds(">= 1024", "1024") && !holds(">= 1024", "1023"));
        assert!(holds("< 2", "1.5") && !holds("< 2", "auto"));
        assert!(holds("!= auto", "2") && holds("auto", "auto") && holds("= blocked", "blocked"));
        assert!(holds("= 200 Gb/s", "25 GB/s") && holds("> 1 ms", "2000 us") && !holds("> 1 ms", "2 GB"));
        assert!(holds("={ kind: zipf, exponent: 0.8 }", "{ kind: zipf, exponent: 0.8 }"));
    }

    #[test]
    fn an_order_needs_something_that_has_one() {
        let file = Tree::from(TreeValue::Text("> balanced".to_owned()));
        let expected = "`balanced` has no order; expected a number or a quantity after the sign";
        assert_eq!(Condition::parse(&file), Err(expected.to_owned()));
    }
}
