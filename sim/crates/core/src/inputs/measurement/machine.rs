//! The machine on which communication was measured, as far as its time depends on it.

use masim_units::Bandwidth;

use crate::inputs::topology::ClusterFile;
use crate::inputs::topology::file::ScaleUpKind;

/// Links between the GPUs of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScaleUp {
    /// Through switches: every GPU reaches every other with all its links.
    Switch,
    /// In pairs: an equal part of the links of a GPU leads to each of the others, a third on a board of four.
    Mesh,
}

/// Nodes of equal GPUs.
///
/// # Units
///
/// Rates are GB/s in one direction, as the parameters of a profile are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// GPUs in a node.
    pub n_gpus_per_node: u32,
    /// Kind of the links.
    pub scale_up: ScaleUp,
    /// All `NVLink`s of one GPU together.
    pub nvlink: f64,
    /// NICs in a node.
    pub n_nics_per_node: u32,
    /// One NIC.
    pub nic: f64,
    /// Microseconds by which a hop inside a node takes longer than on the machine that was fitted; below 0 where it takes shorter.
    pub hop_excess_us: f64,
    /// The same for a hop between nodes.
    pub net_excess_us: f64,
}

impl Machine {
    /// Machine of a set that does not describe it: 8 GPUs, NVSwitch, a 25 GB/s NIC for each GPU.
    pub fn assumed(gpu: &str) -> Self {
        Self {
            n_gpus_per_node: 8,
            scale_up: ScaleUp::Switch,
            nvlink: nvlink_of(gpu),
            n_nics_per_node: 8,
            nic: 25.0,
            hop_excess_us: 0.0,
            net_excess_us: 0.0,
        }
    }

    /// The nodes of a cluster of the regular form; none for the explicit one.
    pub fn of_cluster(file: &ClusterFile) -> Option<Self> {
        let n_gpus_per_node = file.n_gpus_per_node?;
        let rate = |bandwidth: Bandwidth| bandwidth.bytes_per_sec() as f64 / 1e9;
        let links = f64::from(n_gpus_per_node.max(2) - 1);
        let (scale_up, nvlink) = match &file.scale_up {
            Some(links_up) if links_up.kind == ScaleUpKind::Mesh => {
                (ScaleUp::Mesh, links * rate(links_up.bandwidth))
            }
            Some(links_up) => (ScaleUp::Switch, rate(links_up.bandwidth)),
            None => (ScaleUp::Switch, f64::INFINITY),
        };
        let (n_nics_per_node, nic) = file
            .scale_out
            .as_ref()
            .map_or((1, f64::INFINITY), |out| (out.n_nics_per_node, rate(out.bandwidth)));
        // What is measured on a machine has its latencies.
        let (hop_excess_us, net_excess_us) = (0.0, 0.0);
        Some(Self { n_gpus_per_node, scale_up, nvlink, n_nics_per_node, nic, hop_excess_us, net_excess_us })
    }

    /// The rate at which one of `n` GPUs of a node can reach the others.
    pub fn reach(&self, n: u32) -> f64 {
        match self.scale_up {
            ScaleUp::Switch => self.nvlink,
            ScaleUp::Mesh => {
                let all = self.n_gpus_per_node.max(2);
                self.nvlink * f64::from(n.clamp(2, all) - 1) / f64::from(all - 1)
            }
        }
    }

    /// All NICs of a node together.
    pub fn nics(&self) -> f64 {
        f64::from(self.n_nics_per_node) * self.nic
    }
}

/// GB/s of all `NVLink`s of a GPU in one direction.
///
/// # Source
///
/// NVIDIA datasheets: V100 6 links of 25 GB/s, A100 12 of 25, H100 18 of 25. Other cards count as an A100.
pub(super) fn nvlink_of(gpu: &str) -> f64 {
    known_nvlink_of(gpu).unwrap_or(300.0)
}

/// The same, for the cards of which it is known.
pub fn known_nvlink_of(gpu: &str) -> Option<f64> {
    match gpu.split('-').next() {
        Some("v100") => Some(150.0),
        Some("a100") => Some(300.0),
        Some("h100" | "h200") => Some(450.0),
        _ => None,
    }
}
