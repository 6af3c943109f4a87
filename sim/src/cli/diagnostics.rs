//! Errors as a person reads them: what is wrong, the line where it stands, and what to do.

use std::fmt::Write as _;
use std::ops::Range;

use super::exit::CliError;
use super::terminal;
use masim_core::inputs::text::{InputError, Problem, SourceText};

/// Characters of a line that are shown; a line of a flow set may have a hundred thousand.
const WIDTH: usize = 110;

/// Characters that are shown before the place in a line that is longer.
const LEAD: usize = 30;

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
    let Some(place) = problem.position.and_then(|position| Place::find(&source.text, position)) else {
        return format!("error: {}: {}\n", source.path, headline(problem));
    };
    format!("error: {}\n{}", headline(problem), place.picture(source, has_color))
}

/// The key and what is wrong with it.
fn headline(problem: &Problem) -> String {
    if problem.key.is_empty() {
        problem.message.clone()
    } else {
        format!("`{}`: {}", problem.key, problem.message)
    }
}

/// A place in a text.
struct Place {
    /// Its line, from 0.
    line: usize,
    /// The characters that the caret underlines.
    marked: Range<usize>,
}

impl Place {
    /// The rest of the line from a position on, without a comment; `None` behind the text.
    fn find(text: &str, (line, column): (u32, u32)) -> Option<Self> {
        let line = usize::try_from(line).ok()?.checked_sub(1)?;
        let n_before = usize::try_from(column).ok()?.checked_sub(1)?;
        let rest: String = text.lines().nth(line)?.chars().skip(n_before).collect();
        let n_marked = rest.split(" #").next().unwrap_or_default().trim_end().chars().count();
        Some(Self { line, marked: n_before..n_before + n_marked.max(1) })
    }

    /// The line with the one before and the one after, and a caret under the place.
    fn picture(&self, source: &SourceText, has_color: bool) -> String {
        let (red, plain) = if has_color { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
        let first_line = self.line.saturating_sub(1);
        let lines = source.text.lines().skip(first_line).take(self.line - first_line + 2);
        let n_digits = (self.line + 2).to_string().len();
        let first_column = if self.marked.end > WIDTH { self.marked.start.saturating_sub(LEAD) } else { 0 };
        let (line, column) = (self.line + 1, self.marked.start + 1);
        let mut picture = format!("{:n_digits$}  ,-[{}:{line}:{column}]\n", "", source.path);
        for (idx, text) in (first_line..).zip(lines) {
            let shown = shown(text, first_column);
            picture += format!(" {:n_digits$} | {shown}", idx + 1).trim_end();
            picture.push('\n');
            if idx == self.line {
                let n_carets = self.marked.len().min(first_column + WIDTH - self.marked.start);
                let (blank, carets) = (self.marked.start - first_column, "^".repeat(n_carets));
                writeln!(picture, " {:n_digits$} : {:blank$}{red}{carets}{plain}", "", "")
                    .expect("text has room");
            }
        }
        picture + &format!("{:n_digits$}  `----\n", "")
    }
}

/// The characters of a line that fit on a screen; what would move its cursor is blank.
fn shown(line: &str, first_column: usize) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    line.chars().skip(first_column).take(WIDTH).map(blank).collect()
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
    fn a_long_line_is_cut_around_its_place() {
        let text = format!("{{\"a\": \"{}\", \"b\": -1}}\n", "x".repeat(100_000));
        let column = u32::try_from(text.find("-1").unwrap()).unwrap() + 1;
        let mut problem = Problem::new("b", "-1 is not a count");
        problem.position = Some((1, column));
        let error = InputError::new(&SourceText { path: "x.json".to_owned(), text }, vec![problem]);
        let picture = render(&error, false);
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines[2].len(), lines[3].len(), "{picture}");
        assert!(
            lines[2].ends_with(", \"b\": -1}") && lines[3].ends_with(" ^^^") && lines[2].len() < 50,
            "{picture}"
        );
    }

    #[test]
    fn a_position_behind_the_text_does_no_harm() {
        for position in [(0, 0), (2, 99), (3, 1), (99, 1)] {
            assert!(render(&error(Some(position)), false).contains("-3 is not a count"));
        }
    }
}
