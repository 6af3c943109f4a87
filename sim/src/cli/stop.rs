//! Ends that nobody planned: Ctrl-C, a kill, a panic.
//!
//! Whoever writes files holds the lock of [`uninterrupted`]; an interruption waits for it. So it falls
//! before a write or after it, and nothing half-written remains.

use std::panic;
use std::sync::{Mutex, PoisonError};

use super::exit;
use super::version;

static WRITING: Mutex<()> = Mutex::new(());

/// Runs `write`, which interruptions wait for: only for writes to files, which take no long time.
pub(crate) fn uninterrupted<T>(write: impl FnOnce() -> T) -> T {
    let _lock = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write()
}

/// Makes interruptions end with their code and panics tell how to report them.
pub(crate) fn install() {
    let handler = ctrlc::set_handler(|| {
        let _lock = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("\nmasim: interrupted; what was not finished was not written");
        std::process::exit(i32::from(exit::INTERRUPTED));
    });
    // Without a handler the system's default ends the process, which loses only the code and the clean-up.
    if let Err(error) = handler {
        eprintln!("warning: interruptions cannot be caught ({error}): a temporary file may remain");
    }
    panic::set_hook(Box::new(|info| {
        eprintln!("error: masim found a mistake of its own\n  {info}");
        eprintln!("  {}", version::line());
        eprintln!(
            "  hint: this is never your fault. Please report it where you got masim, with these lines, the\n  \
             command as you typed it, and the files that it names"
        );
    }));
}
