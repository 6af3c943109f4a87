//! Which groups of shapes are kept aside.

use std::collections::BTreeSet;

use crate::inputs::measurement::{Family, Row, Table};

/// One group in this many is held out.
const ONE_IN: usize = 5;
/// The same as a share.
pub const HELD_OUT: f64 = 0.2;
/// With fewer groups than this, the coarse columns name groups.
const N_GROUPS_FINE_MIN: usize = 10;

/// The groups of a set that are held out from a fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    prefix: String,
    family: Family,
    columns: &'static [&'static str],
    held_out: BTreeSet<String>,
}

impl Split {
    /// Orders the groups of `table` by the hash of their names, and holds the first fifth out, rounded up.
    ///
    /// A set with a single group is not split.
    pub fn new(seed: u64, set: &str, table: &Table) -> Self {
        let family = table.family;
        let mut split = Self {
            prefix: format!("{seed}|{set}"),
            family,
            columns: family.group_columns(),
            held_out: BTreeSet::new(),
        };
        let mut groups = split.groups(table);
        if groups.len() < N_GROUPS_FINE_MIN {
            split.columns = family.coarse_group_columns();
            groups = split.groups(table);
        }
        if groups.len() > 1 {
            let n_held_out = groups.len().div_ceil(ONE_IN);
            let mut ordered: Vec<_> = groups.into_iter().map(|group| (fnv1a(&group), group)).collect();
            ordered.sort();
            split.held_out = ordered.into_iter().take(n_held_out).map(|(_, group)| group).collect();
        }
        split
    }

    /// True if `row` is kept aside.
    pub fn is_held_out(&self, row: &Row) -> bool {
        !self.held_out.is_empty() && self.held_out.contains(&self.group(row))
    }

    /// The names of the groups that are kept aside.
    pub fn held_out(&self) -> impl Iterator<Item = &str> {
        self.held_out.iter().map(String::as_str)
    }

    fn groups(&self, table: &Table) -> BTreeSet<String> {
        table.rows.iter().map(|row| self.group(row)).collect()
    }

    /// `seed|set|column=value|...`, values as the file spells them.
    fn group(&self, row: &Row) -> String {
        let mut group = self.prefix.clone();
        for (column, value) in self.family.group_columns().iter().zip(&row.group) {
            if self.columns.contains(column) {
                group.extend(["|", column, "=", value]);
            }
        }
        group
    }
}

/// The 64-bit FNV-1a hash.
///
/// # Source
///
/// Fowler, Noll and Vo; RFC 9923.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "": the offset basis; "a" and "foobar": the test vectors of the authors.
    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(fnv1a("1|vidur-a100|n=24576|k=8192"), 0xd1da_941c_9664_0e82);
    }
}
