//! From text to trace, figures, rows and sweeps: everything between the files and the pictures.
//!
//! The order of the `mod` lines is the dependency order, here and inside each folder: a module names only modules
//! above it.
#![forbid(unsafe_code)]

pub mod inputs;
pub mod timing;
pub mod scenario;
pub mod fabric;
pub mod work;
pub mod plan;
pub mod program;
pub mod running;
pub mod search;
pub mod judging;
