//! Clusters: GPUs, links and the routes between them.

pub mod card;
mod card_load;
pub mod cluster;
mod cluster_load;
mod explicit;
pub mod file;
mod findings;
pub mod graph;
pub mod layout;
pub mod parts;
pub(crate) mod paths;
pub mod reference;
mod regular;
mod routing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use card::{Dtype, GpuCard, Roofline};
pub use card_load::{card_from_file, load_gpu};
pub use cluster::Cluster;
pub use cluster_load::{cluster_from_file, load_cluster, read_cluster};
pub use file::{ClusterFile, GpuFile};
pub(crate) use findings::BANDWIDTH_MAX;
pub use findings::Place;
pub use graph::{Vertex, VertexIdx, VertexKind};
pub use parts::{Gpu, GpuIdx, Link, Route};
pub use reference::ReferenceFile;
