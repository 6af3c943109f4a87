//! Output of `masim --version`.

use std::sync::LazyLock;

/// Schema versions of the file formats, by format.
pub(crate) const SCHEMAS: [(&str, u32); 7] =
    [("cluster", 1), ("gpu", 1), ("model", 1), ("scenario", 1), ("sweep", 1), ("results", 1), ("network", 1)];

/// The commit that was built, or `unknown` outside a git checkout.
pub(crate) const COMMIT: &str = env!("MASIM_COMMIT");

static LONG: LazyLock<String> = LazyLock::new(|| {
    let schemas: Vec<_> = SCHEMAS.iter().map(|(format, version)| format!("{format} {version}")).collect();
    format!("{} (commit {COMMIT})\nschemas: {}", env!("CARGO_PKG_VERSION"), schemas.join(", "))
});

/// Version, commit and schema versions.
pub(crate) fn long() -> &'static str {
    &LONG
}

/// Version and commit in one line.
pub(crate) fn line() -> String {
    format!("masim {} (commit {COMMIT})", env!("CARGO_PKG_VERSION"))
}
