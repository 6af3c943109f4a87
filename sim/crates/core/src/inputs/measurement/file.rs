//! The content of `set.yaml`.

use masim_units::Bandwidth;
use serde::{Deserialize, Serialize};

use super::machine::{Machine, ScaleUp, nvlink_of};
use crate::inputs::topology::ReferenceFile;

/// The description of a set; keys beyond these are for readers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SetFile {
    /// Name of the GPU card.
    pub gpu: String,
    /// The software that ran.
    pub stack: String,
    /// Author of the measurements.
    pub source: String,
    /// Licence of the measurements.
    pub licence: String,
    /// The machine, or the name of a cluster whose nodes are like it.
    pub(super) cluster: Option<ReferenceFile<MachineFile>>,
}

/// The machine of a set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MachineFile {
    gpu: String,
    n_gpus_per_node: u32,
    scale_up: ScaleUp,
    n_nics_per_node: u32,
    nic: Bandwidth,
}

impl MachineFile {
    /// The first mistake: its key and the finding.
    pub(super) fn mistake(&self) -> Option<(&'static str, String)> {
        let counts = [("n_gpus_per_node", self.n_gpus_per_node), ("n_nics_per_node", self.n_nics_per_node)];
        let (key, _) = counts.into_iter().find(|&(_, count)| !(1..=1024).contains(&count))?;
        Some((key, "expected a count from 1 to 1024".to_owned()))
    }

    /// The machine that it means.
    pub(super) fn machine(&self) -> Machine {
        Machine {
            n_gpus_per_node: self.n_gpus_per_node,
            scale_up: self.scale_up,
            nvlink: nvlink_of(&self.gpu),
            n_nics_per_node: self.n_nics_per_node,
            nic: self.nic.bytes_per_sec() as f64 / 1e9,
            hop_excess_us: 0.0,
            net_excess_us: 0.0,
        }
    }
}
