//! Tells the binary which commit it was built from.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=MASIM_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    // Only files that exist: cargo takes a missing one for one that always changes.
    let refs = ["HEAD", "logs/HEAD", "refs/heads", "packed-refs"];
    for path in refs.iter().filter_map(|name| git(&["rev-parse", "--git-path", name])) {
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// The commit checked out, if this file belongs to it: an unpacked archive inside the repository of
/// another project must not be taken for that project's commit.
fn commit() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
