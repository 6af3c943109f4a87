//! Helpers shared by the tests that cross layers.
#![forbid(unsafe_code)]

mod shipped;

pub use shipped::Shipped;
