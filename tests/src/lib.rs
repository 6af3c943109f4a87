//! Helpers shared by the tests that cross layers.
#![forbid(unsafe_code)]
