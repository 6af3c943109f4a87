//! Text that a person wrote, and what is wrong with it.
//!
//! This layer never opens a file: whoever calls it hands over a [`Library`].

mod tree;
mod read;
mod place;
pub(crate) mod kind;

pub use tree::{Entry, Position, Tree, TreeValue};

use std::fmt;

use serde::de::DeserializeOwned;

/// A file's text and the name under which messages speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Path as the user would write it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// Kind of file that a reference names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefKind {
    /// A file in `topologies/`.
    Cluster,
    /// A file in `topologies/gpus/`.
    Gpu,
    /// A file in `scenarios/models/`.
    Model,
    /// A file in `topologies/profiles/`.
    Profile,
    /// A scenario.
    Scenario,
    /// Recorded requests, by path.
    Trace,
}

/// Source of referenced files.
pub trait Library {
    /// The text behind `reference`, a file stem or (with a `/`, or for scenarios) a path relative to the
    /// folder of the file `from`.
    ///
    /// # Errors
    ///
    /// The message says what was looked for, where, and what exists there.
    fn load(&self, kind: RefKind, reference: &str, from: &str) -> Result<SourceText, String>;

    /// True if there is a file behind `reference`, readable or not: where `false`, nothing was meant by it.
    fn has(&self, kind: RefKind, reference: &str, from: &str) -> bool;
}

/// One thing that is wrong with a file: place, finding and expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, from 1, where known.
    pub position: Option<(u32, u32)>,
    /// The key, such as `strategy.n_attention_gpus`; empty for the file as a whole.
    pub key: String,
    /// The finding and the expectation.
    pub message: String,
    /// Hint for the user, where there is one.
    pub hint: Option<String>,
}

/// All problems of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// The file.
    pub source: SourceText,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl Problem {
    /// A problem of `key` that says `message`; [`InputError::new`] looks its position up.
    pub fn new(key: &str, message: impl fmt::Display) -> Self {
        Self { position: None, key: key.to_owned(), message: message.to_string(), hint: None }
    }
}

impl InputError {
    /// All `problems` of `source`; those without a position get that of their key.
    ///
    /// # Panics
    ///
    /// Without problems.
    pub fn new(source: &SourceText, mut problems: Vec<Problem>) -> Self {
        assert!(!problems.is_empty(), "an error without a problem");
        if problems.iter().any(|problem| problem.position.is_none())
            && let Ok(tree) = Tree::parse(source)
        {
            for problem in problems.iter_mut().filter(|problem| !problem.key.is_empty()) {
                problem.position = problem.position.or_else(|| place::position_of(&tree, &problem.key));
            }
        }
        Self { source: source.clone(), problems }
    }

    /// A syntax error, which stands alone.
    fn syntax(source: &SourceText, problem: Problem) -> Self {
        Self { source: source.clone(), problems: vec![problem] }
    }
}

impl fmt::Display for InputError {
    /// One line for each problem: `path:line:column: key: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, problem) in self.problems.iter().enumerate() {
            let newline = if idx == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:", self.source.path)?;
            if let Some((line, column)) = problem.position {
                write!(f, "{line}:{column}:")?;
            }
            if !problem.key.is_empty() {
                write!(f, " `{}`:", problem.key)?;
            }
            write!(f, " {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for InputError {}

/// Reads YAML into the type that mirrors the file.
///
/// # Errors
///
/// The first syntax error, unknown key, missing key or malformed value, with its position.
pub fn parse_yaml<F: DeserializeOwned>(source: &SourceText) -> Result<F, InputError> {
    Tree::parse(source)?.read_as().map_err(|problem| InputError::new(source, vec![problem]))
}

/// A hint that names the one of `names` that `found` is most likely a misspelling of.
pub fn did_you_mean<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let distance = |name: &str| strsim::osa_distance(found, name);
    let nearest = names.min_by_key(|name| distance(name))?;
    // A third of the letters wrong is a misspelling, more is another word.
    (distance(nearest) <= 1.max(nearest.len() / 3)).then(|| format!("did you mean `{nearest}`?"))
}
