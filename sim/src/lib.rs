//! Turns a scenario into a task graph, runs it, and reports what happened.
//!
//! The order of the `mod` lines is the dependency order: a module names only modules above it.
#![forbid(unsafe_code)]

// Machines, measurements made on them, and profiles fitted to measurements.
mod params;
pub mod input;
pub mod topology;
pub mod measurement;
pub mod import;
pub mod profile;

// How long kernels and collectives take, and how well that is known.
pub mod provenance;
pub mod kernel;
pub mod nccl;
pub mod accuracy;
pub mod uncertainty;
pub mod predictor;
pub mod fitted;

// What is simulated, already valid.
pub mod scenario;

// Pictures of the inputs.
pub mod topology_picture;

// What work there is, and how long it takes alone.
pub mod model;
pub mod load;
pub mod comm;
pub mod cost;

// Who does it, and when.
pub mod plan;
pub mod wires;
pub mod replay;
pub mod collective;
pub mod survey;
pub mod memory;
pub mod theory;
pub mod lower;
pub mod jitter;

// What happened.
pub mod progress;
pub mod run;
pub mod metrics;
pub mod search;
pub mod sweep;
pub mod resimulate;
pub mod schema;
pub mod network;
pub mod calibrate;
pub mod validate;
pub mod predict;
pub mod explain;
pub mod report;

// The only module that touches files, the clock, the environment or the terminal.
pub mod cli;
