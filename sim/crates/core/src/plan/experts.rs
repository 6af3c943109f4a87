//! The expert pool: whole experts over groups, each group splitting its experts, plus redundant copies.

use super::{placement, share};
use crate::inputs::topology::{Cluster, GpuIdx};
use crate::scenario::{ExpertLoad, MoeSpec};
use crate::work::routing::popularity;

/// Layout of experts over their GPUs.
#[derive(Clone, Debug)]
pub struct ExpertLayout {
    /// The GPUs of each expert-parallel rank; they split every expert of the rank.
    pub groups: Vec<Vec<GpuIdx>>,
    /// One for all layers, or one for each where copies follow the popularity.
    maps: Vec<ExpertMap>,
}

/// The groups that host each expert of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpertMap {
    /// `[expert]`, never empty: an expert with copies has several hosts.
    hosts: Vec<Vec<u32>>,
}

impl ExpertMap {
    /// Consecutive experts on consecutive groups, as the paper lays them.
    pub(crate) fn contiguous(n_experts: u32, n_groups: u32) -> Self {
        let groups = share::split(&(0..n_experts), n_groups).zip(0..);
        Self { hosts: groups.flat_map(|(experts, group)| experts.map(move |_| vec![group])).collect() }
    }

    /// Copies the experts with the most tokens per instance, then fills groups, heaviest instance first.
    ///
    /// Greedy, after the published balancer EPLB; ties go to the lower index.
    fn with_copies(popularity: &[f64], n_groups: u32, n_copies: u32) -> Self {
        let mut n_instances = vec![1_u32; popularity.len()];
        let per_instance = |expert: usize, n: u32| popularity[expert] / f64::from(n);
        for _ in 0..n_copies {
            let open = (0..popularity.len()).filter(|&expert| n_instances[expert] < n_groups);
            let Some(hottest) = open
                .rev()
                .max_by(|&a, &b| per_instance(a, n_instances[a]).total_cmp(&per_instance(b, n_instances[b])))
            else {
                break;
            };
            n_instances[hottest] += 1;
        }
        let mut instances: Vec<(f64, usize)> = (0..popularity.len())
            .flat_map(|expert| {
                let n = n_instances[expert];
                (0..n).map(move |_| (per_instance(expert, n), expert))
            })
            .collect();
        instances.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let n_slots = instances.len().div_ceil(n_groups as usize);
        let mut groups = vec![(0.0_f64, Vec::<usize>::new()); n_groups as usize];
        let mut hosts = vec![Vec::new(); popularity.len()];
        for (load, expert) in instances {
            let open = (0..groups.len())
                .filter(|&idx| groups[idx].1.len() < n_slots && !groups[idx].1.contains(&expert));
            // A second copy that finds only groups with the first is left out: it would help nobody.
            let Some(lightest) = open.min_by(|&a, &b| groups[a].0.total_cmp(&groups[b].0)) else { continue };
            groups[lightest].0 += load;
            groups[lightest].1.push(expert);
            hosts[expert].push(u32::try_from(lightest).expect("made from a u32 above"));
        }
        Self { hosts }
    }

    /// The group that serves `token` with `expert`; copies share the tokens nearly evenly.
    ///
    /// Not in turn: a balanced load gives an expert every n-th token, and all of them could be even. Multiples of
    /// the golden ratio spread over their fractions whatever the stride.
    pub fn group(&self, expert: u16, token: u32) -> u32 {
        const GOLDEN_FRACTION: u32 = 0x9E37_79B9;
        let hosts = &self.hosts[usize::from(expert)];
        if let [only] = hosts[..] {
            return only;
        }
        let fraction = u64::from(token.wrapping_mul(GOLDEN_FRACTION));
        hosts[usize::try_from((fraction * hosts.len() as u64) >> u32::BITS)
            .expect("below the number of hosts")]
    }

    /// Instances on `group`.
    pub fn n_on(&self, group: u32) -> u32 {
        let n = self.hosts.iter().flatten().filter(|&&host| host == group).count();
        u32::try_from(n).expect("at most one instance of each expert")
    }

    /// The groups of each expert.
    pub fn hosts(&self) -> &[Vec<u32>] {
        &self.hosts
    }
}

impl ExpertLayout {
    /// Spreads the experts over `ep` groups of `gpus`, with `n_copies` extra instances per layer.
    ///
    /// # Panics
    ///
    /// Unless `ep` divides the GPUs and every group has an instance.
    pub fn new(
        gpus: &[GpuIdx],
        ep: u32,
        n_copies: u32,
        moe: MoeSpec,
        load: &ExpertLoad,
        (n_layers, seed): (u32, u64),
        cluster: &Cluster,
    ) -> Self {
        assert!(ep <= moe.n_routed_experts + n_copies, "every group has an instance");
        let n_gpus = u32::try_from(gpus.len()).expect("fewer than 2^32 GPUs");
        let groups = placement::groups(gpus, n_gpus / ep, cluster);
        let maps = if n_copies == 0 {
            vec![ExpertMap::contiguous(moe.n_routed_experts, ep)]
        } else {
            let popular = |layer| popularity(load, moe.n_routed_experts, seed, layer);
            (0..n_layers).map(|layer| ExpertMap::with_copies(&popular(layer), ep, n_copies)).collect()
        };
        Self { groups, maps }
    }

    /// Map from experts to groups in `layer`.
    pub fn map(&self, layer: u32) -> &ExpertMap {
        &self.maps[layer as usize % self.maps.len()]
    }

    /// Expert-parallel ranks.
    pub fn ep(&self) -> u32 {
        u32::try_from(self.groups.len()).expect("fewer groups than GPUs")
    }

    /// GPUs among which each expert is split.
    pub fn tp(&self) -> u32 {
        u32::try_from(self.groups[0].len()).expect("fewer than 2^32 GPUs")
    }

    /// Every GPU with its group.
    pub fn members(&self) -> impl Iterator<Item = (u32, GpuIdx)> {
        (0..).zip(&self.groups).flat_map(|(idx, gpus)| gpus.iter().map(move |&gpu| (idx, gpu)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_experts_over_five_groups() {
        let map = ExpertMap::contiguous(16, 5);
        assert_eq!((0..5).map(|group| map.n_on(group)).collect::<Vec<_>>(), [4, 3, 3, 3, 3]);
    }

    /// One expert has half of all tokens: with one copy, no group needs to carry more than a third.
    #[test]
    fn a_copy_goes_to_the_hottest_expert_and_to_another_group() {
        let popularity = [0.5, 0.2, 0.1, 0.1, 0.1];
        let map = ExpertMap::with_copies(&popularity, 3, 1);
        assert_eq!(map.hosts()[0].len(), 2);
        assert_ne!(map.hosts()[0][0], map.hosts()[0][1]);
        assert!(map.hosts().iter().all(|hosts| !hosts.is_empty()));
        assert_ne!(map.group(0, 0), map.group(0, 1), "copies share the tokens");
    }

    /// Expert 0 of 16 with two choices per token gets every eighth token of a balanced load: 64 to each copy.
    #[test]
    fn copies_share_tokens_of_any_stride() {
        let map = ExpertMap { hosts: vec![vec![3, 7]] };
        let n_first = (0..1024).step_by(8).filter(|&token| map.group(0, token) == 3).count();
        assert!(n_first.abs_diff(64) <= 2, "{n_first}");
    }
}
