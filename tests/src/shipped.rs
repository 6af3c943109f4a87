//! The files of this repository, with some replaced in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use masim_core::inputs::text::{Library, RefKind, SourceText};
use masim_core::inputs::topology::{Cluster, read_cluster};

/// Finds references in `topologies/` and `scenarios/` of this repository.
#[derive(Debug, Default)]
pub struct Shipped {
    /// Texts that stand in for files, by path from the root of the repository.
    pub replaced: BTreeMap<String, String>,
}

impl Shipped {
    /// The text at `path` from the root of the repository.
    ///
    /// # Errors
    ///
    /// Error: there is no such file.
    pub fn text(&self, path: &str) -> Result<SourceText, String> {
        let text = if let Some(text) = self.replaced.get(path) {
            text.clone()
        } else {
            let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
            std::fs::read_to_string(root.join(path)).map_err(|_| format!("there is no file `{path}`"))?
        };
        Ok(SourceText { path: path.to_owned(), text })
    }

    /// The cluster `name` of `topologies/`, with `changes` made to its text.
    ///
    /// # Panics
    ///
    /// When there is no such cluster, a change finds nothing to replace, or the outcome is not valid.
    pub fn cluster(&self, name: &str, changes: &[(&str, &str)]) -> Arc<Cluster> {
        let mut source = self.text(&format!("topologies/{name}.yaml")).expect("the cluster is shipped");
        for (from, to) in changes {
            assert!(source.text.contains(from), "{name} has no `{from}`");
            source.text = source.text.replace(from, to);
        }
        read_cluster(&source, self).unwrap_or_else(|error| panic!("{error:?}"))
    }
}

impl Library for Shipped {
    fn load(&self, kind: RefKind, reference: &str, from: &str) -> Result<SourceText, String> {
        let beside = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        if kind == RefKind::Trace {
            let near = self.text(format!("{beside}/{reference}").trim_start_matches('/'));
            return near.or_else(|_| self.text(reference));
        }
        if reference.contains('/') || kind == RefKind::Scenario {
            return self.text(format!("{beside}/{reference}").trim_start_matches('/'));
        }
        let folder = match kind {
            RefKind::Cluster => "topologies",
            RefKind::Gpu => "topologies/gpus",
            RefKind::Model => "scenarios/models",
            RefKind::Profile => "topologies/profiles",
            RefKind::Scenario | RefKind::Trace => "scenarios",
        };
        self.text(&format!("{folder}/{reference}.yaml"))
    }

    fn has(&self, kind: RefKind, reference: &str, from: &str) -> bool {
        // A text in memory or in this repository can be read if it is there.
        self.load(kind, reference, from).is_ok()
    }
}
