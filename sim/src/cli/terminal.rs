//! Standard output is data, standard error is talk.

use std::env;
use std::io::{self, IsTerminal, Write};

use super::exit::CliError;
use masim_report::summary::Dress;

/// Writes data; what is wrong with the receiver is the user's to know, except that it left early.
pub(crate) fn print(data: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::ReaderLeft,
        _ => CliError::usage(format!("failed to write to standard output: {error}"), None),
    })
}

/// Talks to the person; a closed standard error is no reason to stop.
pub(crate) fn talk(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// A warning: check this before you trust the result.
pub(crate) fn warn(message: &str) {
    talk(&format!("warning: {message}"));
}

/// True if a person watches standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Style of tables: with lines where a person reads standard output, in plain text elsewhere.
pub(crate) fn dress() -> Dress {
    if io::stdout().is_terminal() { Dress::Lines } else { Dress::Plain }
}

/// True if talk may be coloured: on a terminal, unless `NO_COLOR` is set or the terminal is dumb.
pub(crate) fn has_color() -> bool {
    let is_refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
    is_watched() && !is_refused && !is_dumb
}
