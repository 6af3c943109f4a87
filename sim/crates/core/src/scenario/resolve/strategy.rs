//! From the YAML of a strategy to its meaning on a cluster.

use super::Findings;
use crate::inputs::topology::{Cluster, GpuIdx};
use crate::scenario::count_file::CountFile;
use crate::scenario::strategy_file::{
    AttentionSplitFile, ColocatedExpertsFile, DispatchFile, DpEpFile, ExpertReduceFile, ExpertSplitFile,
    ForwardFile, GpuRefFile, MaSeparationFile, PlacementFile, PoolsFile, ScheduleFile, StrategyFile,
    TpPpFile,
};
use crate::scenario::{
    AttentionSplit, Dispatch, DpEp, ExpertReduce, ExpertSplit, Forward, MaSeparation, ModelSpec, Placement,
    Schedule, Strategy, TpPp, Workload,
};

/// Cluster, model and workload that a strategy has to fit.
struct Frame<'a> {
    cluster: &'a Cluster,
    model: &'a ModelSpec,
    batch: u32,
    /// Parts in which a prompt passes; several of one prompt may be under way together.
    n_chunks: u32,
}

pub(super) fn strategy_of(
    file: &StrategyFile,
    cluster: &Cluster,
    model: &ModelSpec,
    workload: &Workload,
    findings: &mut Findings,
) -> Strategy {
    let frame = Frame { cluster, model, batch: workload.batch().max(1), n_chunks: workload.n_chunks() };
    match file {
        StrategyFile::MaSeparation(file) => Strategy::MaSeparation(frame.ma_separation(file, findings)),
        StrategyFile::TpPp(file) => Strategy::TpPp(frame.tp_pp(*file, findings)),
        StrategyFile::DpEp(file) => Strategy::DpEp(frame.dp_ep(*file, findings)),
    }
}

impl Frame<'_> {
    fn ma_separation(&self, file: &MaSeparationFile, findings: &mut Findings) -> MaSeparation {
        let (n_attention, n_expert) = (file.n_attention_gpus, file.n_expert_gpus);
        let n_gpus = self.cluster.n_gpus();
        findings.count("strategy.n_attention_gpus", n_attention, n_gpus - 1);
        findings.count("strategy.n_expert_gpus", n_expert, n_gpus - 1);
        let sum = u64::from(n_attention) + u64::from(n_expert);
        if sum != u64::from(n_gpus) {
            let cluster = &self.cluster.name;
            findings.add(
                "strategy.n_attention_gpus",
                format_args!(
                    "{n_attention} attention GPUs and {n_expert} expert GPUs make {sum}, but cluster `{cluster}` has {n_gpus}"
                ),
            );
        }
        MaSeparation {
            n_attention_gpus: n_attention,
            n_expert_gpus: n_expert,
            attention: self.attention(file.attention, n_attention, findings),
            experts: self.experts(file.experts, n_expert, findings),
            dispatch: match file.dispatch {
                DispatchFile::M2n => Dispatch::M2n,
                DispatchFile::Broadcast => Dispatch::Broadcast,
            },
            forward: match file.forward {
                ForwardFile::None => Forward::None,
                ForwardFile::Node => Forward::Node,
            },
            placement: self.placement(file, findings),
            schedule: match file.schedule {
                ScheduleFile::Dataflow => Schedule::Dataflow,
                ScheduleFile::Lockstep => Schedule::Lockstep,
            },
            n_micro_batches: findings.choice(
                "strategy.n_micro_batches",
                file.n_micro_batches,
                self.batch.saturating_mul(self.n_chunks),
            ),
        }
    }

    fn attention(&self, file: AttentionSplitFile, n_gpus: u32, findings: &mut Findings) -> AttentionSplit {
        let n_heads = self.model.attention.n_heads;
        let split = AttentionSplit {
            heads: findings.choice("strategy.attention.heads", file.heads, n_heads),
            sequences: findings.choice("strategy.attention.sequences", file.sequences, n_gpus.max(1)),
            replicas: findings.choice("strategy.attention.replicas", file.replicas, self.batch),
        };
        let parts = [("heads", file.heads), ("sequences", file.sequences), ("replicas", file.replicas)];
        check_product("strategy.attention", &parts, n_gpus, "attention", findings);
        split
    }

    fn experts(&self, file: ExpertSplitFile, n_gpus: u32, findings: &mut Findings) -> ExpertSplit {
        let moe = self.model.ffn.as_moe();
        // A copy on a GPU that already holds the expert would be no copy.
        let copies_max = moe.n_routed_experts.saturating_mul(n_gpus.saturating_sub(1));
        if file.copies > copies_max {
            let found = file.copies;
            findings.add(
                "strategy.experts.copies",
                format_args!("{found} is out of range; expected 0 to {copies_max}, one for each expert on each other GPU"),
            );
        }
        let instances = moe.n_routed_experts.saturating_add(file.copies);
        let split = ExpertSplit {
            ep: findings.choice("strategy.experts.ep", file.ep, instances),
            tp: findings.choice("strategy.experts.tp", file.tp, moe.expert_hidden),
            copies: file.copies,
            reduce: reduce_of(file.reduce),
        };
        check_product("strategy.experts", &[("ep", file.ep), ("tp", file.tp)], n_gpus, "expert", findings);
        split
    }

    fn placement(&self, file: &MaSeparationFile, findings: &mut Findings) -> Placement {
        match &file.placement {
            PlacementFile::Blocked => Placement::Blocked,
            PlacementFile::Interleaved => Placement::Interleaved,
            PlacementFile::List(pools) => self.listed(file, pools, findings),
        }
    }

    /// Every GPU of the cluster must stand in one of the lists, once.
    fn listed(&self, file: &MaSeparationFile, pools: &PoolsFile, findings: &mut Findings) -> Placement {
        const KEY: &str = "strategy.placement";
        let mut first_place: Vec<Option<String>> = vec![None; self.cluster.gpus.len()];
        let mut read = |role: &str, gpus: &[GpuRefFile], findings: &mut Findings| -> Vec<GpuIdx> {
            let mut pool = Vec::new();
            for (idx, gpu) in gpus.iter().enumerate() {
                let place = format!("{role}[{idx}]");
                let key = format!("{KEY}.{place}");
                let Some(gpu) = self.gpu(gpu, &key, findings) else { continue };
                let name = &self.cluster.gpu(gpu).name;
                match &first_place[gpu.0 as usize] {
                    Some(first) => {
                        findings.add(&key, format_args!("GPU `{name}` already stands in `{first}`"));
                    }
                    None => first_place[gpu.0 as usize] = Some(place),
                }
                pool.push(gpu);
            }
            pool
        };
        let attention = read("attention", &pools.attention, findings);
        let expert = read("expert", &pools.expert, findings);
        let unplaced = first_place.iter().zip(&self.cluster.gpus).filter(|(place, _)| place.is_none());
        let unplaced: Vec<&str> = unplaced.map(|(_, gpu)| gpu.name.as_str()).collect();
        if !unplaced.is_empty() {
            findings.add(KEY, format_args!("no role for {}; expected every GPU once", unplaced.join(", ")));
        }
        let sizes = [
            ("attention", pools.attention.len(), file.n_attention_gpus),
            ("expert", pools.expert.len(), file.n_expert_gpus),
        ];
        for (role, found, expected) in sizes {
            if found != expected as usize {
                findings.add(
                    &format!("{KEY}.{role}"),
                    format_args!("{found} GPUs are listed; expected {expected}, as `n_{role}_gpus` says"),
                );
            }
        }
        Placement::List { attention, expert }
    }

    fn gpu(&self, gpu: &GpuRefFile, key: &str, findings: &mut Findings) -> Option<GpuIdx> {
        let n_gpus = self.cluster.n_gpus();
        let cluster = &self.cluster.name;
        match gpu {
            GpuRefFile::Idx(idx) if *idx < n_gpus => Some(GpuIdx(*idx)),
            GpuRefFile::Idx(idx) => {
                let last = n_gpus - 1;
                findings.add(
                    key,
                    format_args!("there is no GPU {idx}; cluster `{cluster}` has GPUs 0 to {last}"),
                );
                None
            }
            GpuRefFile::Name(name) => {
                let at = self.cluster.gpus.iter().position(|gpu| gpu.name == *name);
                if at.is_none() {
                    let (first, last) =
                        (&self.cluster.gpus[0].name, &self.cluster.gpus[n_gpus as usize - 1].name);
                    findings.add(
                        key,
                        format_args!(
                            "there is no GPU `{name}`; cluster `{cluster}` has `{first}` to `{last}`"
                        ),
                    );
                }
                at.and_then(|at| u32::try_from(at).ok()).map(GpuIdx)
            }
        }
    }

    fn tp_pp(&self, file: TpPpFile, findings: &mut Findings) -> TpPp {
        let TpPpFile { tp, pp, dp, n_in_flight } = file;
        let parts = [("tp", tp), ("pp", pp), ("dp", dp)];
        self.check_cluster(&parts, findings);
        findings.count("strategy.tp", tp, self.model.attention.n_heads);
        findings.count("strategy.pp", pp, self.model.n_layers);
        findings.count("strategy.dp", dp, self.batch);
        let n_in_flight =
            findings.choice("strategy.n_in_flight", n_in_flight, (self.batch / dp.max(1)).max(1));
        TpPp { tp, pp, dp, n_in_flight }
    }

    fn dp_ep(&self, file: DpEpFile, findings: &mut Findings) -> DpEp {
        let DpEpFile { dp, tp, experts, n_overlapped, .. } = file;
        self.check_cluster(&[("dp", dp), ("tp", tp)], findings);
        let ep = self.colocated_ep(file, findings);
        findings.count("strategy.dp", dp, self.batch);
        findings.count("strategy.tp", tp, self.model.attention.n_heads);
        findings.count("strategy.ep", ep, self.model.ffn.as_moe().n_routed_experts);
        let n_gpus = u64::from(dp) * u64::from(tp);
        if ep > 0 && n_gpus % u64::from(ep) != 0 {
            findings.add("strategy.ep", format_args!("{ep} does not divide the {n_gpus} GPUs of `dp x tp`"));
        }
        let most = (self.batch / dp.max(1)).max(1).saturating_mul(self.n_chunks);
        findings.count("strategy.n_overlapped", n_overlapped, most);
        DpEp { dp, tp, ep, reduce: reduce_of(experts.reduce), n_overlapped }
    }

    /// Expert-parallel groups of `dp_ep`, from `ep`, `experts.ep` or `experts.tp`.
    fn colocated_ep(&self, file: DpEpFile, findings: &mut Findings) -> u32 {
        let n_gpus = self.cluster.n_gpus();
        let ColocatedExpertsFile { ep, tp, .. } = file.experts;
        if let (Some(flat), Some(inner)) = (file.ep, ep)
            && flat != inner
        {
            findings.add(
                "strategy.ep",
                format_args!("is {flat}, but `experts.ep` is {inner}; expected one of them"),
            );
        }
        let by_tp = tp.filter(|&tp| tp > 0 && n_gpus.is_multiple_of(tp)).map(|tp| n_gpus / tp);
        let Some(ep) = ep.or(file.ep).or(by_tp) else {
            match tp {
                Some(tp) => findings.add(
                    "strategy.experts.tp",
                    format_args!("{tp} does not divide the {n_gpus} GPUs of the cluster"),
                ),
                None => findings.add("strategy.experts.ep", "this key is required, but missing"),
            }
            return 1;
        };
        if let Some(tp) = tp.filter(|&tp| u64::from(tp) * u64::from(ep) != u64::from(n_gpus)) {
            let product = u64::from(tp) * u64::from(ep);
            findings.add(
                "strategy.experts",
                format_args!("`ep x tp` is {product}, but the cluster has {n_gpus} GPUs"),
            );
        }
        ep
    }

    /// The product of `parts` must be the number of GPUs.
    fn check_cluster(&self, parts: &[(&str, u32)], findings: &mut Findings) {
        let product: u128 = parts.iter().map(|(_, n)| u128::from(*n)).product();
        let n_gpus = self.cluster.n_gpus();
        if product != u128::from(n_gpus) {
            let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
            let (names, cluster) = (names.join(" x "), &self.cluster.name);
            findings.add(
                &format!("strategy.{}", parts[0].0),
                format_args!("`{names}` is {product}, but cluster `{cluster}` has {n_gpus} GPUs"),
            );
        }
    }
}

const fn reduce_of(file: ExpertReduceFile) -> ExpertReduce {
    match file {
        ExpertReduceFile::Inside => ExpertReduce::Inside,
        ExpertReduceFile::None => ExpertReduce::None,
    }
}

/// The product of the parts that are given must be the size of the pool, or divide it if some are `auto`.
fn check_product(key: &str, parts: &[(&str, CountFile)], n_gpus: u32, pool: &str, findings: &mut Findings) {
    let mut product: u128 = 1;
    let mut n_auto = 0;
    for (_, count) in parts {
        match count {
            CountFile::Auto => n_auto += 1,
            CountFile::Fixed(n) => product *= u128::from(*n),
        }
    }
    let n_gpus = u128::from(n_gpus);
    let fits = if n_auto == 0 { product == n_gpus } else { product > 0 && n_gpus % product == 0 };
    if !fits && product > 0 {
        let names: Vec<&str> =
            parts.iter().filter(|(_, count)| *count != CountFile::Auto).map(|(name, _)| *name).collect();
        let (names, relation) = (names.join(" x "), if n_auto == 0 { "is not" } else { "does not divide" });
        findings.add(key, format_args!("`{names}` is {product}, which {relation} the {n_gpus} {pool} GPUs"));
    }
}
