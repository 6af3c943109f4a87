//! The binary at work.

use std::path::Path;
use std::process::Command;

/// The top of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs at the top of the project, expects `code`, and returns standard output and standard error.
#[track_caller]
pub(crate) fn expect(code: i32, args: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_masim")).args(args).current_dir(root()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "masim {}\n{out}\n{err}", args.join(" "));
    (out, err)
}
