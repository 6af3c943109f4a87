//! Which GPUs play which role, and which of them work together.

use crate::inputs::topology::{Cluster, GpuIdx};
use crate::scenario::Placement;

/// The two pools of an attention/expert separation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools {
    /// GPUs that do attention, in order.
    pub attention: Vec<GpuIdx>,
    /// GPUs that do experts, in order.
    pub expert: Vec<GpuIdx>,
}

/// Lays `n_attention` roles over all GPUs of a cluster; the others do experts.
pub fn pools(placement: &Placement, n_attention: u32, n_gpus: u32) -> Pools {
    let all = (0..n_gpus).map(GpuIdx);
    let (attention, expert) = match placement {
        Placement::Blocked => all.partition(|gpu| gpu.0 < n_attention),
        // Steps of a staircase from 0 to n_attention: every stretch of GPUs has the ratio of the whole.
        Placement::Interleaved => all.partition(|gpu| {
            let stairs = |at: u32| u64::from(at) * u64::from(n_attention) / u64::from(n_gpus);
            stairs(gpu.0 + 1) > stairs(gpu.0)
        }),
        Placement::List { attention, expert } => (attention.clone(), expert.clone()),
    };
    Pools { attention, expert }
}

/// Groups of `size` GPUs that sit inside one node where they can; what is left over forms the last ones.
pub fn groups(gpus: &[GpuIdx], size: u32, cluster: &Cluster) -> Vec<Vec<GpuIdx>> {
    let size = size as usize;
    let (mut groups, mut left_over) = (Vec::new(), Vec::new());
    for node in gpus.chunk_by(|a, b| cluster.gpu(*a).node_idx == cluster.gpu(*b).node_idx) {
        let chunks = node.chunks_exact(size);
        left_over.extend_from_slice(chunks.remainder());
        groups.extend(chunks.map(<[GpuIdx]>::to_vec));
    }
    groups.extend(left_over.chunks_exact(size).map(<[GpuIdx]>::to_vec));
    assert_eq!(groups.len() * size, gpus.len(), "the size of a group divides the pool");
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_gives_each_node_the_ratio() {
        let pools = pools(&Placement::Interleaved, 12, 16);
        for node in 0..4 {
            let in_node = |gpu: &&GpuIdx| gpu.0 / 4 == node;
            assert_eq!(pools.attention.iter().filter(in_node).count(), 3);
            assert_eq!(pools.expert.iter().filter(in_node).count(), 1);
        }
    }

    #[test]
    fn blocked_puts_experts_last() {
        let pools = pools(&Placement::Blocked, 12, 16);
        assert_eq!(pools.expert, [GpuIdx(12), GpuIdx(13), GpuIdx(14), GpuIdx(15)]);
    }
}
