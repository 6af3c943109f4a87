//! Ranges of the rows of a fit.

use std::collections::BTreeMap;

use crate::inputs::measurement::{Value, Work};
use crate::inputs::profile::CoveredFile;

/// Ranges and names by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Covered {
    columns: BTreeMap<String, CoveredFile>,
}

impl Covered {
    /// Ranges in the form of a profile.
    pub fn new(columns: BTreeMap<String, CoveredFile>) -> Self {
        Self { columns }
    }

    /// Ranges of `works`.
    pub fn by<'a>(works: impl Iterator<Item = &'a Work>) -> Self {
        let mut covered = Self::default();
        for work in works {
            for (column, value) in work.columns() {
                covered.widen(column, value);
            }
        }
        covered
    }

    fn widen(&mut self, column: &str, value: Value) {
        match (self.columns.get_mut(column), value) {
            (None, Value::Count(count)) => {
                self.columns.insert(column.to_owned(), CoveredFile::Range([count, count]));
            }
            (None, Value::Name(name)) => {
                self.columns.insert(column.to_owned(), CoveredFile::Names(vec![name]));
            }
            (Some(CoveredFile::Range([low, high])), Value::Count(count)) => {
                (*low, *high) = ((*low).min(count), (*high).max(count));
            }
            (Some(CoveredFile::Names(names)), Value::Name(name)) => {
                if let Err(at) = names.binary_search(&name) {
                    names.insert(at, name);
                }
            }
            (Some(_), _) => unreachable!("a column holds counts or names, not both"),
        }
    }

    /// Ranges in the form of a profile.
    pub fn into_file(self) -> BTreeMap<String, CoveredFile> {
        self.columns
    }

    /// True if every column of `work` lies inside.
    pub fn contains(&self, work: &Work) -> bool {
        work.columns().iter().all(|(column, value)| match (self.columns.get(*column), value) {
            (Some(CoveredFile::Range([low, high])), Value::Count(count)) => low <= count && count <= high,
            (Some(CoveredFile::Names(names)), Value::Name(name)) => names.contains(name),
            (Some(CoveredFile::Range(_)), Value::Name(_))
            | (Some(CoveredFile::Names(_)), Value::Count(_))
            | (None, _) => false,
        })
    }
}
