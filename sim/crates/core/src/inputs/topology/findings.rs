//! Collects everything that is wrong with a file.

use std::fmt::Display;

use masim_units::{Bandwidth, SimDuration};

use crate::inputs::text::{InputError, Problem, SourceText};

/// Place of a value: its text and its key.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The text.
    pub source: &'a SourceText,
    /// The key of the value, such as `cluster.gpu`; empty for the whole file.
    pub key: &'a str,
}

impl<'a> Place<'a> {
    /// The whole of `source`.
    pub fn whole(source: &'a SourceText) -> Self {
        Self { source, key: "" }
    }
}

/// `key` inside `parent`, joined by a dot.
pub(crate) fn join(parent: &str, key: &str) -> String {
    match (parent.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (false, true) => parent.to_owned(),
        (false, false) => format!("{parent}.{key}"),
    }
}

/// The problems found so far in the value at a place.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    place: Place<'a>,
    problems: Vec<Problem>,
}

/// The longest latency of one hop or launch that is believed.
const LATENCY_MAX: SimDuration = SimDuration::from_us(1_000_000);

/// The fastest link that is believed; the engine's rates end at 281 TB/s.
pub(crate) const BANDWIDTH_MAX: u64 = 200_000_000_000_000;

impl<'a> Findings<'a> {
    pub(crate) fn new(place: Place<'a>) -> Self {
        Self { place, problems: Vec::new() }
    }

    /// Notes that the value under `key` is wrong.
    pub(crate) fn add(&mut self, key: &str, message: impl Display) {
        self.problems.push(Problem::new(&join(self.place.key, key), message));
    }

    /// Notes that the value under `key` is wrong, and what to do.
    pub(crate) fn add_with_hint(&mut self, key: &str, message: impl Display, hint: &str) {
        self.add(key, message);
        let problem = self.problems.last_mut().expect("just added");
        problem.hint = Some(hint.to_owned());
    }

    /// A count must be at least 1 and at most `max`; others are noted and `None`.
    pub(crate) fn count(&mut self, key: &str, n: u32, max: u32) -> Option<u32> {
        let fits = (1..=max).contains(&n);
        if !fits {
            self.add(key, format_args!("{n} is out of range; expected 1 to {max}"));
        }
        fits.then_some(n)
    }

    /// A count that must not be left out.
    pub(crate) fn required_count(&mut self, key: &str, n: Option<u32>, max: u32) -> Option<u32> {
        if n.is_none() {
            self.add(key, format_args!("is missing; expected a count, 1 to {max}"));
        }
        self.count(key, n?, max)
    }

    /// A share must lie in (0, 1].
    pub(crate) fn share(&mut self, key: &str, share: f64) {
        if !(share > 0.0 && share <= 1.0) {
            self.add(key, format_args!("{share} is out of range; expected more than 0 and at most 1"));
        }
    }

    /// The bandwidth of a link.
    pub(crate) fn bandwidth(&mut self, key: &str, bandwidth: Bandwidth) {
        if bandwidth.bytes_per_sec() > BANDWIDTH_MAX {
            self.add(key, format_args!("{bandwidth} is out of range; expected at most 200 TB/s"));
        }
    }

    pub(crate) fn latency(&mut self, key: &str, latency: SimDuration) {
        if latency > LATENCY_MAX {
            self.add(key, format_args!("{latency} is out of range; expected at most 1 s"));
        }
    }

    /// A text that must not be blank.
    pub(crate) fn text(&mut self, key: &str, text: &str, expected: &str) {
        if text.trim().is_empty() {
            self.add(key, format_args!("is empty; expected {expected}"));
        }
    }

    pub(crate) fn source(&mut self, key: &str, source: &str) {
        self.text(key, source, "where the figures come from (say `assumed` where nobody states them)");
    }

    pub(crate) fn schema(&mut self, schema: Option<u32>) {
        if let Some(found) = schema.filter(|&found| found != 1) {
            self.add("schema", format_args!("this version reads schema 1, not {found}"));
        }
    }

    /// Adds what was found elsewhere in the same text.
    pub(crate) fn extend(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn place(&self) -> Place<'a> {
        self.place
    }

    /// All problems as an error, or nothing.
    pub(crate) fn into_result(self) -> Result<(), InputError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(InputError::new(self.place.source, self.problems))
    }
}
