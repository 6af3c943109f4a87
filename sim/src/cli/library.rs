//! References: the folders that files name one another by.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::files;
use masim_core::inputs::text::{Library, RefKind, SourceText, did_you_mean, parse_yaml};
use masim_core::scenario::ModelFile;

/// The folders `topologies/` (with `gpus/` and `profiles/`) and `scenarios/models/`, looked for in the current
/// folder, then beside the file that refers and in the folders above it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folders;

/// The folder of a kind and what a file in it is called.
fn place(kind: RefKind) -> (&'static str, &'static str) {
    match kind {
        RefKind::Cluster => ("topologies", "cluster"),
        RefKind::Gpu => ("topologies/gpus", "GPU card"),
        RefKind::Model => ("scenarios/models", "model card"),
        RefKind::Profile => ("topologies/profiles", "profile"),
        RefKind::Scenario => ("scenarios", "scenario"),
        RefKind::Trace => ("scenarios", "trace"),
    }
}

impl Library for Folders {
    fn load(&self, kind: RefKind, reference: &str, from: &str) -> Result<SourceText, String> {
        let beside = Path::new(from).parent().unwrap_or_else(|| Path::new(""));
        if kind == RefKind::Trace {
            return trace(reference, beside);
        }
        let (folder, _) = place(kind);
        let folders = || -> Vec<_> { roots(beside).into_iter().map(|root| root.join(folder)).collect() };
        if reference.contains('/') || kind == RefKind::Scenario {
            let path = beside.join(reference);
            let other_name =
                (kind == RefKind::Model && !path.exists()).then(|| aliased(reference, &folders()));
            return match other_name.flatten() {
                Some(card) => Ok(card),
                None => files::read_text(&path).map_err(|error| error.to_string()),
            };
        }
        let (folders, file) = (folders(), format!("{reference}.yaml"));
        if let Some(path) = folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file()) {
            return files::read_text(&path).map_err(|error| error.to_string());
        }
        let other_name = (kind == RefKind::Model).then(|| aliased(reference, &folders)).flatten();
        other_name.ok_or_else(|| not_found(kind, reference, &folders))
    }

    fn has(&self, kind: RefKind, reference: &str, from: &str) -> bool {
        let beside = Path::new(from).parent().unwrap_or_else(|| Path::new(""));
        let (folder, _) = place(kind);
        let folders: Vec<_> = roots(beside).into_iter().map(|root| root.join(folder)).collect();
        let is_there = match kind {
            RefKind::Trace => roots(beside).iter().any(|root| root.join(reference).exists()),
            _ if reference.contains('/') || kind == RefKind::Scenario => beside.join(reference).exists(),
            _ => folders.iter().any(|folder| folder.join(format!("{reference}.yaml")).exists()),
        };
        is_there || (kind == RefKind::Model && aliased(reference, &folders).is_some())
    }
}

/// The trace at `reference` from `beside`, else from the current folder or one above `beside`.
fn trace(reference: &str, beside: &Path) -> Result<SourceText, String> {
    let found = std::iter::once(beside.to_owned()).chain(roots(beside)).map(|root| root.join(reference));
    let path = found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| beside.join(reference));
    files::read_text_or_gzip(&path).map_err(|error| error.to_string())
}

/// The model card in one of `folders` that has `name` among its aliases, first folder and first stem first.
fn aliased(name: &str, folders: &[PathBuf]) -> Option<SourceText> {
    folders.iter().find_map(|folder| {
        let mut stems = stems(folder);
        stems.sort_unstable();
        let cards =
            stems.iter().filter_map(|stem| files::read_text(&folder.join(format!("{stem}.yaml"))).ok());
        // A card that is broken is no card: whoever names it by its stem hears why.
        cards.into_iter().find(|text| parse_yaml::<ModelFile>(text).is_ok_and(|card| card.is_named(name)))
    })
}

/// The current folder, `folder` and all folders above it, each once.
///
/// A folder below the current one stays relative, so that messages name it as the user would.
fn roots(folder: &Path) -> Vec<PathBuf> {
    let below = folder.ancestors().filter(|_| folder.is_relative()).map(Path::to_owned);
    let absolute = fs::canonicalize(if folder == Path::new("") { Path::new(".") } else { folder });
    let above: Vec<_> = absolute.iter().flat_map(|folder| folder.ancestors()).map(Path::to_owned).collect();
    let mut seen = BTreeSet::new();
    let all = std::iter::once(PathBuf::new()).chain(below).chain(above);
    all.filter(|root| {
        let canonical = fs::canonicalize(if root.as_os_str().is_empty() { Path::new(".") } else { root });
        canonical.is_ok_and(|canonical| seen.insert(canonical))
    })
    .collect()
}

/// Says what was looked for, where, and what exists there.
fn not_found(kind: RefKind, reference: &str, folders: &[PathBuf]) -> String {
    let (folder, noun) = place(kind);
    let existing: Vec<_> = folders.iter().filter(|folder| folder.is_dir()).collect();
    if existing.is_empty() {
        return format!(
            "no {noun} `{reference}`: there is no folder `{folder}` in the current folder, beside this file or above"
        );
    }
    let stems: BTreeSet<String> = existing.iter().flat_map(|folder| stems(folder)).collect();
    let typed = reference.strip_suffix(".yaml").unwrap_or(reference);
    let guess = did_you_mean(typed, stems.iter().map(String::as_str));
    let guess = guess.map_or_else(String::new, |guess| format!("; {guess}"));
    let looked: Vec<_> = existing.iter().map(|folder| format!("`{}`", folder.display())).collect();
    let names: Vec<_> = stems.iter().map(String::as_str).collect();
    let names = if names.is_empty() { "no YAML file".to_owned() } else { names.join(", ") };
    format!("no {noun} `{reference}` in {}, where there are: {names}{guess}", looked.join(", "))
}

/// Names of the YAML files in `folder`, without the ending.
fn stems(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a cluster, and a scenario file two folders below.
    fn project() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("topologies")).unwrap();
        fs::create_dir_all(folder.path().join("scenarios/mine")).unwrap();
        fs::write(folder.path().join("topologies/tiny-2x1.yaml"), "name: tiny-2x1\n").unwrap();
        let from = folder.path().join("scenarios/mine/x.yaml").display().to_string();
        (folder, from)
    }

    #[test]
    fn a_stem_is_found_above_the_file_that_names_it() {
        let (_folder, from) = project();
        let text = Folders.load(RefKind::Cluster, "tiny-2x1", &from).unwrap();
        assert_eq!(text.text, "name: tiny-2x1\n");
    }

    #[test]
    fn a_model_is_found_by_the_names_that_others_give_it() {
        for name in ["meta-llama/Llama-2-70b-hf", "Llama-2-70b-hf", "LLAMA2-70B", "someone/llama-2-70b"] {
            let card = Folders.load(RefKind::Model, name, "../scenarios/x.yaml").unwrap();
            assert!(card.text.contains("name: llama-2-70b\n"), "{name}: {}", card.path);
        }
        let message = Folders.load(RefKind::Model, "nobody/llama-2-71x", "../scenarios/x.yaml").unwrap_err();
        assert!(message.contains("nobody/llama-2-71x"), "{message}");
    }

    #[test]
    fn a_path_is_relative_to_the_file() {
        let (_folder, from) = project();
        let text = Folders.load(RefKind::Cluster, "../../topologies/tiny-2x1.yaml", &from).unwrap();
        assert_eq!(text.text, "name: tiny-2x1\n");
    }

    /// A file that is no text is there: what is wrong with it must be said.
    #[test]
    fn an_unreadable_file_is_there() {
        let (folder, from) = project();
        fs::create_dir_all(folder.path().join("topologies/profiles")).unwrap();
        fs::write(folder.path().join("topologies/profiles/x-generic.yaml"), [0xff, 0xfe]).unwrap();
        assert!(Folders.has(RefKind::Profile, "x-generic", &from));
        assert!(Folders.load(RefKind::Profile, "x-generic", &from).unwrap_err().contains("UTF-8"));
        assert!(!Folders.has(RefKind::Profile, "y-generic", &from));
        assert!(Folders.has(RefKind::Cluster, "../../topologies/tiny-2x1.yaml", &from));
        assert!(Folders.has(RefKind::Model, "LLAMA2-70B", "../scenarios/x.yaml"));
    }

    #[test]
    fn a_wrong_stem_is_answered_with_what_exists() {
        let (_folder, from) = project();
        for (typed, guessed) in [("tiny-2x2", true), ("tiny-2x1.yaml", true), ("other", false)] {
            let message = Folders.load(RefKind::Cluster, typed, &from).unwrap_err();
            assert!(message.starts_with(&format!("no cluster `{typed}` in `")), "{message}");
            assert!(message.contains("tiny-2x1"), "{message}");
            assert_eq!(message.contains("did you mean `tiny-2x1`?"), guessed, "{message}");
        }
        let message = Folders.load(RefKind::Model, "m", &from).unwrap_err();
        assert!(message.contains("there is no folder `scenarios/models`"), "{message}");
    }
}
