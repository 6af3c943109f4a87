//! Digests of the rows beyond the verdict: flips, theory, contrasts, causes, notes.

mod accounts;
mod contrast;
mod flips;
mod gap;
mod notes;
mod theory;

pub(crate) use accounts::{Account, accounts, memories};
pub(crate) use contrast::{Contrast, ContrastRow, best_split, contrasts, margin_against};
pub(crate) use flips::{Flip, Span, flips, moves, spans};
pub(crate) use gap::{Gap, gap, longest_work, waits};
pub(crate) use notes::{Notes, notes};
pub(crate) use theory::theory;
