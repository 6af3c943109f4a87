//! Machines and measurements as they are written down: text with positions, clusters, cards, measurement sets, profiles.

pub mod text;
pub mod topology;
pub mod measurement;
pub mod import;
pub mod profile;
