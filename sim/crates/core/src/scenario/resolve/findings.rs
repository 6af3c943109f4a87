//! Findings about a file, collected while it is read.

use std::fmt::Display;

use crate::inputs::text::Problem;
use crate::scenario::Choice;
use crate::scenario::count_file::CountFile;

/// Everything that is wrong with a file, in the order of its keys.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
}

impl Findings {
    /// Notes that the value under `key` is wrong.
    pub(super) fn add(&mut self, key: &str, message: impl Display) {
        self.problems.push(Problem::new(key, message));
    }

    /// Notes that the value under `key` is wrong, and what to do.
    pub(super) fn add_with_hint(&mut self, key: &str, message: impl Display, hint: impl Display) {
        self.problems.push(Problem { hint: Some(hint.to_string()), ..Problem::new(key, message) });
    }

    /// Notes a count that is not between 1 and `max`.
    pub(super) fn count(&mut self, key: &str, n: u32, max: u32) {
        if n < 1 || max < n {
            self.add(key, format_args!("{n} is out of range; expected 1 to {max}"));
        }
    }

    /// Notes a format that this version does not read.
    pub(super) fn schema(&mut self, schema: Option<u32>) {
        if let Some(found) = schema.filter(|found| *found != 1) {
            self.add("schema", format_args!("this version reads schema 1, found {found}"));
        }
    }

    pub(super) fn choice(&mut self, key: &str, count: CountFile, max: u32) -> Choice {
        match count {
            CountFile::Auto => Choice::Auto,
            CountFile::Fixed(n) => {
                self.count(key, n, max);
                Choice::Fixed(n)
            }
        }
    }

    /// True if nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// `value`, unless something was found.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }
}
