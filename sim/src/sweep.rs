//! Many runs: the points of a sweep and one row of results for each point and strategy.

pub mod row;

pub use row::{CriticalJson, GpuAccountJson, GpuJson, GpuMemoryJson, RowJson};
