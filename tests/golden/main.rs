//! Shipped scenarios to the nanosecond, so that a change of the model is noticed, and beside estimates made by
//! hand, so that a wrong one is.
#![expect(clippy::unwrap_used, reason = "a test whose input cannot be read has failed")]

mod anchors;
mod shipped;
