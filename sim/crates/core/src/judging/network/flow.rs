//! One flow of a case.

use masim_engine::LinkId;
use masim_units::{Bytes, SimDuration};

/// Data to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFlow {
    /// Where it comes from: a position among [`super::Case::ends`].
    pub src: u32,
    /// Where it goes; the same as `src` where it runs round all ends in order, as a ring does.
    pub dst: u32,
    /// From the start of the case until it is sent.
    pub start: SimDuration,
    /// From there until its first byte takes bandwidth.
    pub latency: SimDuration,
    /// How much.
    pub bytes: Bytes,
    /// Links in order of crossing.
    pub route: Vec<LinkId>,
}
