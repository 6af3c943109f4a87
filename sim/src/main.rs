//! The `masim` command; everything is in the library's `cli` module.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    masim::cli::main()
}
