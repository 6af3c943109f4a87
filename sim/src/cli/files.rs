//! Reading whole files, and writing them so that a reader sees the old or the new one, never half of one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process;

use super::exit::CliError;
use super::stop;
use masim_core::inputs::text::SourceText;

/// The first bytes of everything that gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes that are read, packed or not: a device has no end, and a small packed file may become a large one.
const BYTES_MAX: u64 = 1 << 28;

/// The text of the file at `path`.
pub(crate) fn read_text(path: &Path) -> Result<SourceText, CliError> {
    text_of(path, read(path)?)
}

/// The text of the file at `path`, unpacked if gzip packed it.
pub(crate) fn read_text_or_gzip(path: &Path) -> Result<SourceText, CliError> {
    let bytes = read(path)?;
    if !bytes.starts_with(&GZIP) {
        return text_of(path, bytes);
    }
    let decoder = flate2::read::MultiGzDecoder::new(bytes.as_slice());
    let bytes = all_of(decoder).map_err(|error| CliError::io("unpack", path, &error))?;
    text_of(path, bytes)
}

/// `bytes` as gzip packs them; equal bytes for equal input.
pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::File::open(path).and_then(all_of).map_err(|error| unreadable(path, &error))
}

/// Everything that `reader` has, unless that is too much.
fn all_of(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {} MiB", BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<SourceText, CliError> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        CliError::usage(
            format!("`{}` is not a text in UTF-8: byte {at} is the first that is not", path.display()),
            None,
        )
    })?;
    Ok(SourceText { path: path.display().to_string(), text })
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    let hint = match error.kind() {
        ErrorKind::NotFound => {
            Some("paths on the command line are relative to the current folder".to_owned())
        }
        ErrorKind::IsADirectory => Some("name a file in it".to_owned()),
        _ => None,
    };
    CliError::Io { doing: "read", path: path.to_owned(), reason: error.to_string(), hint }
}

/// Writes `bytes` to `path`: into a temporary file beside it, which then takes its place.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::io("write", path, &error);
    match fs::metadata(path) {
        // A pipe or a device has no place to take: its reader gets the bytes as they come.
        Ok(there) if !there.is_file() && !there.is_dir() => {
            let mut device = fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
            device.write_all(bytes).map_err(failed)
        }
        Ok(there) if there.is_dir() => Err(failed(ErrorKind::IsADirectory.into())),
        Ok(_) => write_beside(&fs::canonicalize(path).map_err(failed)?, bytes).map_err(failed),
        Err(_) => write_beside(path, bytes).map_err(failed),
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, "tmp")?;
    stop::uninterrupted(|| {
        let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
        written.inspect_err(|_| drop(fs::remove_file(&temporary)))
    })
}

/// A hidden name in the same folder, so that a rename stays on one file system.
pub(crate) fn beside(path: &Path, purpose: &str) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{purpose}-{}", process::id())))
}

/// Error if no file could be written to `path`, found before the work whose result it will hold.
pub(crate) fn check_writable(path: &Path) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::io("write", path, &error);
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(failed(ErrorKind::IsADirectory.into())),
        Ok(there) if !there.is_file() => Ok(()),
        Ok(_) | Err(_) => probe(path).map_err(failed),
    }
}

/// Error if no file could be created in `folder`.
pub(crate) fn check_folder(folder: &Path) -> Result<(), CliError> {
    probe(&folder.join("report")).map_err(|error| CliError::io("write to", folder, &error))
}

/// Creates and removes an empty file beside `path`.
fn probe(path: &Path) -> io::Result<()> {
    let temporary = beside(path, "probe")?;
    stop::uninterrupted(|| fs::write(&temporary, []).and_then(|()| fs::remove_file(&temporary)))
}

/// Fills the folder `path` with files, given by name, and nothing else: written beside its place, then put there.
pub(crate) fn swap_folder(path: &Path, contents: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    let (new, old) = (beside(path, "tmp")?, beside(path, "old")?);
    let made = write_all(&new, contents).and_then(|()| {
        let has_old = path.exists();
        if has_old {
            fs::rename(path, &old)?;
        }
        fs::rename(&new, path).inspect_err(|_| {
            if has_old {
                drop(fs::rename(&old, path));
            }
        })?;
        if has_old { fs::remove_dir_all(&old) } else { Ok(()) }
    });
    made.inspect_err(|_| drop(fs::remove_dir_all(&new)))
}

fn write_all(folder: &Path, contents: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    contents.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), b"x").is_err());
        assert!(write(&folder.path().join("no/such/folder.json"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_keeps_pointing_to_the_file_that_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn packed_and_plain_text_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("a"), folder.path().join("b"));
        write(&plain, b"text").unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"text").unwrap();
        write(&packed, &encoder.finish().unwrap()).unwrap();
        assert_eq!(read_text_or_gzip(&plain).unwrap().text, "text");
        assert_eq!(read_text_or_gzip(&packed).unwrap().text, "text");
    }
}
