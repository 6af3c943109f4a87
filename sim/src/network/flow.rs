//! One flow of a case.

use masim_engine::LinkId;
use masim_units::{Bytes, SimDuration};

/// Data to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFlow {
    /// From the start of the case until it is sent.
    pub start: SimDuration,
    /// From there until its first byte takes bandwidth.
    pub latency: SimDuration,
    /// How much.
    pub bytes: Bytes,
    /// Links in order of crossing.
    pub route: Vec<LinkId>,
}
