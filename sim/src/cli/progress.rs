//! A bar for a person who waits; nothing for a program that reads.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal;
use masim_core::judging::progress::{Progress, Silent};

/// A bar on a terminal.
struct Bar {
    bar: ProgressBar,
}

/// Listener to the progress of `doing`: a bar, or nobody if no person watches or quiet was asked for.
pub(crate) fn listener(doing: &'static str, is_quiet: bool) -> Box<dyn Progress> {
    if is_quiet || !terminal::is_watched() {
        return Box::new(Silent);
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left")
        .expect("the template is well formed");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style);
    bar.set_message(doing);
    bar.enable_steady_tick(Duration::from_millis(200));
    Box::new(Bar { bar })
}

impl Progress for Bar {
    fn start(&self, n_pieces: usize) {
        self.bar.set_length(n_pieces as u64);
    }

    fn finish_one(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Bar {
    /// The lines that follow start where the bar stood.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
