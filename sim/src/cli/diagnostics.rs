//! Errors as a person reads them: what is wrong, the line where it stands, and what to do.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
};

use super::exit::CliError;
use super::terminal;
use crate::input::{InputError, Problem, SourceText};

/// Columns of text; wide enough for a YAML line with a caret below.
const WIDTH: usize = 110;

/// Says on standard error why the command ended.
pub(crate) fn report(error: &CliError) {
    match error {
        CliError::ReaderLeft => {}
        CliError::Input(errors) => {
            for error in errors {
                terminal::talk(render(error, terminal::has_color()).trim_end());
            }
        }
        CliError::Io { .. } | CliError::Usage { .. } | CliError::RowsFailed { .. } | CliError::Bound(_) => {
            terminal::talk(&format!("error: {error}"));
            if let Some(hint) = error.hint() {
                terminal::talk(&format!("  hint: {hint}"));
            }
        }
    }
}

/// Each problem with its line and a caret, then a count.
pub(crate) fn render(error: &InputError, has_color: bool) -> String {
    let mut text = String::new();
    for problem in &error.problems {
        text.push_str(&render_one(&error.source, problem, has_color));
        if let Some(hint) = &problem.hint {
            text.extend(["  hint: ", hint.as_str(), "\n"]);
        }
    }
    let n = error.problems.len();
    let noun = if n == 1 { "problem" } else { "problems" };
    text + &format!("{n} {noun} in {}\n", error.source.path)
}

fn render_one(source: &SourceText, problem: &Problem, has_color: bool) -> String {
    let Some(span) = problem.position.and_then(|position| span_at(&source.text, position)) else {
        return format!("error: {}: {}\n", source.path, headline(problem));
    };
    let theme = if has_color { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
    let snippet = Snippet { source: NamedSource::new(&source.path, source.text.clone()), span };
    let mut rendered = String::new();
    GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_links(false)
        .with_context_lines(1)
        .render_report(&mut rendered, &snippet)
        .expect("writing to a string succeeds");
    // Its first line is for the headline, which stands above it here as it does in errors without a place.
    let place = rendered.split_once('\n').map_or("", |(_, place)| place);
    format!("error: {}\n{place}", headline(problem))
}

/// The key and what is wrong with it.
fn headline(problem: &Problem) -> String {
    if problem.key.is_empty() {
        problem.message.clone()
    } else {
        format!("`{}`: {}", problem.key, problem.message)
    }
}

/// The rest of the line from `position` on, without a comment: what the caret underlines.
fn span_at(text: &str, (line, column): (u32, u32)) -> Option<SourceSpan> {
    let line_idx = usize::try_from(line).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line_idx).map(str::len).sum();
    let line = text.get(start..)?.lines().next()?;
    let n_before = usize::try_from(column).ok()?.checked_sub(1)?;
    let offset = line.char_indices().nth(n_before).map_or(line.len(), |(offset, _)| offset);
    let marked = line[offset..].split(" #").next().unwrap_or_default().trim_end();
    Some(SourceSpan::new((start + offset).into(), marked.len().max(1)))
}

/// One place in one file; its headline is written by the caller.
#[derive(Debug)]
struct Snippet {
    source: NamedSource<String>,
    span: SourceSpan,
}

impl fmt::Display for Snippet {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Snippet {}

impl Diagnostic for Snippet {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::underline(self.span))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(position: Option<(u32, u32)>) -> InputError {
        let source = SourceText { path: "x.yaml".to_owned(), text: "a: 1\nbatch: -3   # small\n".to_owned() };
        let mut problem = Problem::new("workload.batch", "-3 is not a count");
        problem.position = position;
        problem.hint = Some("give a whole number above 0".to_owned());
        InputError::new(&source, vec![problem])
    }

    #[test]
    fn a_problem_with_a_position_shows_its_line_and_a_caret() {
        let text = render(&error(Some((2, 8))), false);
        assert!(text.starts_with("error: `workload.batch`: -3 is not a count\n"), "{text}");
        assert!(text.contains("x.yaml:2:8"), "{text}");
        assert!(text.contains("2 | batch: -3   # small"), "{text}");
        assert!(text.contains(":        ^^\n"), "{text}");
        assert!(text.contains("  hint: give a whole number above 0\n"), "{text}");
        assert!(text.ends_with("1 problem in x.yaml\n"), "{text}");
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn a_problem_without_a_position_names_the_file() {
        let source = SourceText { path: "x.yaml".to_owned(), text: "a: 1\n".to_owned() };
        let error = InputError::new(&source, vec![Problem::new("", "this is no scenario")]);
        assert_eq!(render(&error, false), "error: x.yaml: this is no scenario\n1 problem in x.yaml\n");
    }

    #[test]
    fn a_position_behind_the_text_does_no_harm() {
        for position in [(0, 0), (2, 99), (3, 1), (99, 1)] {
            assert!(render(&error(Some(position)), false).contains("-3 is not a count"));
        }
    }
}
