//! From the text of a flow set to its cases.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::case::Case;
use super::file::CaseFile;
use super::line::Line;
use crate::inputs::text::{InputError, Library, Problem, SourceText};

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
            Some(Err(error)) => return Err(syntax(source, number, &error)),
        };
        let mut line = Line::new(source, number, &file.case);
        cases.extend(Case::from_file(&file, &mut line, library)?);
        problems.extend(line.into_problems());
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

fn syntax(source: &SourceText, first_line: u32, error: &serde_json::Error) -> InputError {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    let position = Some((count(error.line()), count(error.column())));
    // Its own text repeats the position.
    let text = error.to_string();
    let finding = text.split(" at line ").next().unwrap_or(&text);
    let start = source.text.split_inclusive('\n').take(first_line as usize - 1).map(str::len).sum();
    let message = match case_name(&source.text[start..]) {
        Some(name) => format!("case `{name}`: {finding}"),
        None => format!("a case without a name: {finding}"),
    };
    InputError::new(source, vec![Problem { position, key: String::new(), message, hint: None }])
}

/// The value of `case` in the object at the start of `text`, which may be broken behind it.
fn case_name(text: &str) -> Option<String> {
    let name = Cell::new(None);
    // What is wrong behind the name has already been found.
    let _broken = serde_json::Deserializer::from_str(text).deserialize_map(NameVisitor(&name));
    name.into_inner()
}

struct NameVisitor<'a>(&'a Cell<Option<String>>);

impl<'de> Visitor<'de> for NameVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a case")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "case" {
                self.0.set(Some(map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
