//! The folder of a report: it appears whole or not at all, and never at the cost of somebody's files.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exit::CliError;
use super::files;
use super::stop;

/// The file that tells a report folder from any other.
const META: &str = "meta.json";

/// Command, version and times of a report: the only file of it that differs from run to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MetaJson {
    /// `masim`.
    pub(crate) tool: String,
    /// Version and commit.
    pub(crate) version: String,
    /// The command as typed.
    pub(crate) command: Vec<String>,
    /// When it ended, UTC.
    pub(crate) date: String,
    /// Wall time.
    pub(crate) wall_s: f64,
    /// Rows of the results.
    pub(crate) n_rows: usize,
    /// Names of all files of the report.
    pub(crate) files: Vec<String>,
}

/// A place where a report may be written.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Checks, before the work starts, that a report can be written to `path` later.
    pub(crate) fn prepare(path: &Path) -> Result<Self, CliError> {
        if path.file_name().is_none() {
            let message = format!("`{}` is not the name of a folder that can be replaced", path.display());
            return Err(CliError::usage(message, Some("give a folder of its own: --out reports/mine")));
        }
        check_replaceable(path)?;
        let parent = path.ancestors().skip(1).find(|ancestor| ancestor.exists());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        files::check_folder(parent)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Puts `contents` (by file name) and `meta` in place of what was there.
    pub(crate) fn replace(
        &self,
        mut contents: BTreeMap<String, Vec<u8>>,
        mut meta: MetaJson,
    ) -> Result<(), CliError> {
        meta.files = contents.keys().cloned().chain([META.to_owned()]).collect();
        let text = serde_json::to_string_pretty(&meta).expect("strings and numbers become JSON");
        contents.insert(META.to_owned(), format!("{text}\n").into_bytes());
        check_replaceable(&self.path)?;
        stop::uninterrupted(|| files::swap_folder(&self.path, &contents))
            .map_err(|error| CliError::io("write the report", &self.path, &error))
    }
}

/// A folder is replaced only if it is empty or a report that holds nothing else.
fn check_replaceable(path: &Path) -> Result<(), CliError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CliError::io("write the report", path, &error)),
    };
    let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let names = names.map_err(|error| CliError::io("read", path, &error))?;
    let ours = fs::read(path.join(META))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<MetaJson>(&bytes).ok())
        .map_or_else(Vec::new, |meta| meta.files);
    match names.iter().find(|name| !ours.iter().any(|own| own.as_str() == name.as_os_str())) {
        None => Ok(()),
        Some(foreign) => Err(CliError::usage(
            format!(
                "`{}` holds `{}`, which is not part of a report and would be lost",
                path.display(),
                Path::new(foreign).display()
            ),
            Some("name another folder with --out, or move the file away"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> MetaJson {
        MetaJson {
            tool: "masim".to_owned(),
            version: "0".to_owned(),
            command: Vec::new(),
            date: String::new(),
            wall_s: 0.0,
            n_rows: 0,
            files: Vec::new(),
        }
    }

    fn contents(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|name| ((*name).to_owned(), b"x".to_vec())).collect()
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_report_takes_the_place_of_the_one_before() {
        let parent = tempfile::tempdir().unwrap();
        // A name that stands for nothing else, whatever the folder itself is called.
        let path = parent.path().join("reports/report");
        Folder::prepare(&path).unwrap().replace(contents(&["old.png", "report.html"]), meta()).unwrap();
        Folder::prepare(&path).unwrap().replace(contents(&["new.png", "report.html"]), meta()).unwrap();
        assert_eq!(names(&path), ["meta.json", "new.png", "report.html"]);
        assert_eq!(names(path.parent().unwrap()), ["report"]);
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("report");
        Folder::prepare(&path).unwrap().replace(contents(&["report.html"]), meta()).unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        let error = Folder::prepare(&path).unwrap_err().to_string();
        assert!(error.contains("holds `notes.txt`"), "{error}");
        assert_eq!(names(&path), ["meta.json", "notes.txt", "report.html"]);
    }

    #[test]
    fn a_place_below_a_file_is_refused_before_the_work() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Folder::prepare(&file).is_err());
        assert!(Folder::prepare(&file.join("below")).is_err());
        assert!(Folder::prepare(Path::new("..")).is_err());
    }
}
