//! Clusters: GPUs, links and the routes between them.

pub mod card;
pub mod cluster;

pub use card::{Dtype, GpuCard, Roofline};
pub use cluster::{Cluster, Gpu, GpuIdx, Link, Route};
