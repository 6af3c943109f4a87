//! The figures of a run, and how true they are: metrics, rows, sweeps, measurement sets, fits and their errors.

pub mod progress;
pub mod survey;
pub mod metrics;
pub mod sweep;
pub mod resimulate;
pub mod schema;
pub mod network;
pub mod calibrate;
pub mod validate;
pub mod predict;
pub mod explain;
pub mod record;
