//! From the text of a flow set to its cases.

use std::fmt::Display;

use super::case::Case;
use super::file::CaseFile;
use crate::input::{InputError, Library, Problem, SourceText};

/// The place of one case in the text, and what is wrong with it.
pub(super) struct Line<'a> {
    source: &'a SourceText,
    number: u32,
    case: String,
    problems: Vec<Problem>,
}

impl<'a> Line<'a> {
    /// Notes that the value under `key` is wrong.
    pub(super) fn add(&mut self, key: &str, message: impl Display) {
        let message = format!("case `{}`: {message}", self.case);
        let position = Some((self.number, 1));
        self.problems.push(Problem { position, key: key.to_owned(), message, hint: None });
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    pub(super) fn source(&self) -> &'a SourceText {
        self.source
    }
}

/// All cases of a text: one JSON object a line, or a single one over many lines.
///
/// # Errors
///
/// The first mistake of syntax, or else all others, with line and case.
pub fn read_cases(source: &SourceText, library: &dyn Library) -> Result<Vec<Case>, InputError> {
    let mut cases = Vec::new();
    let mut problems = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(&source.text).into_iter::<CaseFile>();
    loop {
        let number = line_at(&source.text, stream.byte_offset());
        let file = match stream.next() {
            None => break,
            Some(Ok(file)) => file,
            Some(Err(error)) => return Err(syntax(source, &error)),
        };
        let mut line = Line { source, number, case: file.case.clone(), problems: Vec::new() };
        cases.extend(Case::from_file(&file, &mut line, library)?);
        problems.append(&mut line.problems);
    }
    if cases.is_empty() && problems.is_empty() {
        problems.push(Problem::new("", "there is no case; expected one JSON object a line"));
    }
    if problems.is_empty() { Ok(cases) } else { Err(InputError::new(source, problems)) }
}

/// The line of the first character at or behind `offset` that is not blank.
fn line_at(text: &str, offset: usize) -> u32 {
    let rest = &text[offset..];
    let start = offset + (rest.len() - rest.trim_start().len());
    u32::try_from(text[..start].matches('\n').count() + 1).unwrap_or(u32::MAX)
}

fn syntax(source: &SourceText, error: &serde_json::Error) -> InputError {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    let position = Some((count(error.line()), count(error.column())));
    // Its own text repeats the position.
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    InputError::new(source, vec![Problem { position, key: String::new(), message, hint: None }])
}
