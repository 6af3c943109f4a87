//! What the rows say beyond the verdict: flips, theory, the literal reading of the paper, notes.

mod accounts;
mod flips;
mod notes;
mod paper;
mod theory;

pub(crate) use accounts::{Account, accounts, memories};
pub(crate) use flips::{Flip, flips, moves};
pub(crate) use notes::{Notes, notes};
pub(crate) use paper::{PaperPoint, paper};
pub(crate) use theory::theory;
