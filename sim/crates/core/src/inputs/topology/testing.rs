//! The shipped files, for tests.

use std::sync::Arc;

use super::{Cluster, read_cluster};
use crate::inputs::text::{InputError, Library, RefKind, SourceText};

/// Knows the clusters and cards of the folder `topologies/` of this repository.
pub(crate) struct Shipped;

macro_rules! shipped {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../../../topologies/", $name, ".yaml")))),*]
    };
}

/// Stems below `topologies/`, and texts.
const FILES: [(&str, &str); 8] = shipped![
    "a100-4x4",
    "a100-4x4-nic1",
    "a100-2x8",
    "h100-2x8",
    "example-explicit",
    "gpus/a100-sxm4-80gb",
    "gpus/a100-sxm4-40gb",
    "gpus/h100-sxm"
];

impl Library for Shipped {
    fn load(&self, kind: RefKind, reference: &str, from: &str) -> Result<SourceText, String> {
        let stem = stem(kind, reference);
        let path = format!("topologies/{stem}.yaml");
        let found = FILES.iter().find(|(name, _)| *name == stem);
        let (_, text) = found.ok_or_else(|| format!("{from} names {path}, which does not exist"))?;
        Ok(SourceText { path, text: (*text).to_owned() })
    }

    fn has(&self, kind: RefKind, reference: &str, _: &str) -> bool {
        FILES.iter().any(|(name, _)| *name == stem(kind, reference))
    }
}

fn stem(kind: RefKind, reference: &str) -> String {
    match kind {
        RefKind::Gpu => format!("gpus/{reference}"),
        RefKind::Cluster | RefKind::Model | RefKind::Profile | RefKind::Scenario | RefKind::Trace => {
            reference.to_owned()
        }
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
