//! Exit codes, which scripts rely on, and the errors behind them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use masim_core::inputs::text::InputError;

/// A command did what was asked.
pub(crate) const DONE: u8 = 0;
/// The input, the flags or the machine were at fault.
pub(crate) const INPUT: u8 = 1;
/// We were at fault.
pub(crate) const OURS: u8 = 2;
/// A bound that the user stated was exceeded.
pub(crate) const BOUND: u8 = 3;
/// The user, or whoever runs the machine, ended it: 128 + SIGINT, as shells count.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Files have problems.
    #[error("{} of the files have problems", .0.len())]
    Input(Vec<InputError>),
    /// The operating system refused something.
    #[error("failed to {doing} `{}`: {reason}", path.display())]
    Io {
        /// Completes "failed to".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Message of the system.
        reason: String,
        /// Hint for the user, where there is one.
        hint: Option<String>,
    },
    /// The command as typed has no meaning.
    #[error("{message}")]
    Usage {
        /// Finding and expectation.
        message: String,
        /// Hint for the user, where there is one.
        hint: Option<String>,
    },
    /// Results were written, but some points have an error instead of figures.
    #[error("{n_failed} of {n_rows} rows failed: the column `error` says why")]
    RowsFailed {
        /// Rows with an error that is not merely lack of memory.
        n_failed: usize,
        /// All rows.
        n_rows: usize,
    },
    /// A stated bound was exceeded.
    #[error("{0}")]
    Bound(String),
    /// Whoever read our output has closed it, as `head` does; nothing is wrong.
    #[error("the reader of the output left")]
    ReaderLeft,
}

impl CliError {
    /// The system refused to do something with `path`.
    pub(crate) fn io(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), reason: error.to_string(), hint: None }
    }

    /// The command as typed has no meaning.
    pub(crate) fn usage(message: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Usage { message: message.into(), hint: hint.map(str::to_owned) }
    }

    /// Hint for the user, where there is one.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::Io { hint, .. } | Self::Usage { hint, .. } => hint.as_deref(),
            Self::Input(_) | Self::RowsFailed { .. } | Self::Bound(_) | Self::ReaderLeft => None,
        }
    }

    /// The code for it.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Input(_) | Self::Io { .. } | Self::Usage { .. } | Self::RowsFailed { .. } => INPUT,
            Self::Bound(_) => BOUND,
            Self::ReaderLeft => DONE,
        })
    }
}

impl From<InputError> for CliError {
    fn from(error: InputError) -> Self {
        Self::Input(vec![error])
    }
}
