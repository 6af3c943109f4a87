//! The number of measured steps.

/// The number of measured steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepCount {
    /// The run decides: until steps repeat, or their mean is known.
    Auto,
    /// The run decides, but measures no more than these.
    AtMost(u32),
    /// All of these, even if they repeat or their mean is known before.
    Exactly(u32),
}
