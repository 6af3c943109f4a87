//! One case of a text while it is read.

use std::fmt::Display;

use crate::inputs::text::{Problem, SourceText};

/// Problems of one case that are told; of more, only the number.
const N_TOLD: usize = 100;

/// The place of one case in the text, and what is wrong with it.
pub(super) struct Line<'a> {
    source: &'a SourceText,
    number: u32,
    case: String,
    problems: Vec<Problem>,
    n_untold: usize,
}

impl<'a> Line<'a> {
    pub(super) fn new(source: &'a SourceText, number: u32, case: &str) -> Self {
        Self { source, number, case: case.to_owned(), problems: Vec::new(), n_untold: 0 }
    }

    /// Notes that the value under `key` is wrong.
    pub(super) fn add(&mut self, key: &str, message: impl Display) {
        if self.problems.len() == N_TOLD {
            self.n_untold += 1;
            return;
        }
        let message = format!("case `{}`: {message}", self.case);
        let position = Some((self.number, 1));
        self.problems.push(Problem { position, key: key.to_owned(), message, hint: None });
    }

    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        if self.n_untold > 0 {
            let message = format!("case `{}`: {} problems more", self.case, self.n_untold);
            let position = Some((self.number, 1));
            self.problems.push(Problem { position, key: String::new(), message, hint: None });
        }
        self.problems
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    pub(super) fn source(&self) -> &'a SourceText {
        self.source
    }
}
