//! The shipped files, for tests.

use std::path::Path;
use std::sync::Arc;

use super::{Cluster, read_cluster};
use crate::input::{InputError, Library, RefKind, SourceText};

/// Finds references in the folder `topologies/` of this repository.
pub(crate) struct Shipped;

impl Library for Shipped {
    fn load(&self, kind: RefKind, reference: &str, from: &str) -> Result<SourceText, String> {
        let folder = match kind {
            RefKind::Cluster => "topologies",
            RefKind::Gpu => "topologies/gpus",
            RefKind::Model => "scenarios/models",
            RefKind::Scenario => "scenarios",
        };
        let path = format!("{folder}/{reference}.yaml");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&path);
        let text = std::fs::read_to_string(file).map_err(|error| format!("{from} names {path}: {error}"))?;
        Ok(SourceText { path, text })
    }
}

impl Shipped {
    pub(crate) fn cluster_text(&self, name: &str) -> String {
        self.load(RefKind::Cluster, name, "a test").unwrap().text
    }

    pub(crate) fn gpu_text(&self, name: &str) -> String {
        self.load(RefKind::Gpu, name, "a test").unwrap().text
    }
}

/// The cluster in `text`, whose cards are shipped.
pub(crate) fn cluster(text: &str) -> Result<Arc<Cluster>, InputError> {
    read_cluster(&SourceText { path: "c.yaml".to_owned(), text: text.to_owned() }, &Shipped)
}

/// The shipped cluster `name`.
pub(crate) fn shipped(name: &str) -> Arc<Cluster> {
    let text = Shipped.load(RefKind::Cluster, name, "a test").unwrap();
    read_cluster(&text, &Shipped).unwrap()
}

/// `a100-4x4` with `from` replaced by `to`.
pub(crate) fn changed(from: &str, to: &str) -> Result<Arc<Cluster>, InputError> {
    let text = Shipped.load(RefKind::Cluster, "a100-4x4", "a test").unwrap().text;
    assert!(text.contains(from), "{from}");
    cluster(&text.replace(from, to))
}
