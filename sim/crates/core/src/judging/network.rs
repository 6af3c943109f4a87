//! Flow sets: flows over links without anything else, to be compared with other simulators.

mod case_links;
mod case;
mod compare;
mod file;
mod flow;
mod line;
mod lines;
mod pattern;
mod seen;
mod simulate;
#[cfg(test)]
mod tests;

pub use case::Case;
pub use compare::{Comparison, compare};
pub use flow::CaseFlow;
pub use lines::read_cases;
pub use pattern::{Pattern, PatternError, Sizes};
pub use seen::seen;
pub use simulate::{simulate, simulate_noting};
