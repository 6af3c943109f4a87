//! The columns of a row: the one place where its values become texts and empty cells.

use super::result::{Asked, Figures, Row, steady_in_words};
use super::row::{CriticalJson, RowJson};
use crate::inputs::topology::GpuIdx;
use crate::scenario::{Dispatch, Forward, MaSeparation, Placement, Schedule, Strategy, Workload};

impl From<&Row> for RowJson {
    fn from(row: &Row) -> Self {
        let chosen = row.chosen;
        let mut written = Self {
            row_idx: row.row_idx,
            point_idx: row.point_idx,
            name: row.name.clone(),
            side: row.side,
            tuned: row.tuned,
            // Where a scenario makes no sense, these are what the formats say of keys left out.
            profile: "none".to_owned(),
            phase: "decode".to_owned(),
            heads: chosen.heads,
            sequences: chosen.sequences,
            replicas: chosen.replicas,
            ep: chosen.ep,
            expert_tp: chosen.expert_tp,
            expert_reduce: chosen.expert_reduce.map(|place| place.name().to_owned()),
            copies: chosen.copies,
            tp: chosen.tp,
            pp: chosen.pp,
            dp: chosen.dp,
            n_micro_batches: chosen.n_micro_batches,
            n_in_flight: chosen.n_in_flight,
            n_overlapped: chosen.n_overlapped,
            fits: row.fits(),
            error: row.failure().map(|failure| failure.error.clone()),
            axes: row.axes.clone(),
            warnings: row.warnings.clone(),
            ..Self::default()
        };
        if let Some(asked) = &row.asked {
            write_asked(&mut written, asked);
        }
        if let Some(figures) = row.figures() {
            write_figures(&mut written, figures);
        }
        written
    }
}

fn write_asked(written: &mut RowJson, asked: &Asked) {
    let workload = &asked.workload;
    (written.prompt_len, written.output_len) = match *workload {
        Workload::Decode { .. } => (None, None),
        Workload::Prefill { prompt_len, .. } => (Some(prompt_len), None),
        Workload::Inference { prompt_len, output_len, .. } => (Some(prompt_len), Some(output_len)),
    };
    let is_prefill = matches!(workload, Workload::Prefill { .. });
    written.chunk_len = is_prefill.then(|| workload.tokens_at_once());
    asked.context_len_kind().clone_into(&mut written.context_len_kind);
    written.context_len = asked.context_len;
    written.batch = workload.batch();
    workload.phase().clone_into(&mut written.phase);
    written.model.clone_from(&asked.model);
    written.cluster.clone_from(&asked.cluster);
    written.profile.clone_from(&asked.profile);
    written.expert_load = asked.load.to_string();
    written.n_gpus = asked.n_gpus;
    asked.launch.name().clone_into(&mut written.launch);
    written.seed = asked.seed;
    written.overlap = asked.overlap.to_string();
    asked.strategy.kind().clone_into(&mut written.strategy);
    if let Strategy::MaSeparation(split) = &asked.strategy {
        write_split(written, split);
    }
}

fn write_split(written: &mut RowJson, split: &MaSeparation) {
    let some = |name: &str| Some(name.to_owned());
    written.n_attention_gpus = Some(split.n_attention_gpus);
    written.n_expert_gpus = Some(split.n_expert_gpus);
    written.replica_mode = some("data");
    written.placement = Some(placement(&split.placement));
    written.dispatch = some(match split.dispatch {
        Dispatch::M2n => "m2n",
        Dispatch::Broadcast => "broadcast",
    });
    written.forward = some(match split.forward {
        Forward::None => "none",
        Forward::Node => "node",
    });
    written.schedule = some(match split.schedule {
        Schedule::Dataflow => "dataflow",
        Schedule::Lockstep => "lockstep",
    });
}

fn write_figures(written: &mut RowJson, figures: &Figures) {
    written.n_steps = Some(figures.n_steps);
    written.tpot_us = figures.tpot_us;
    (written.tpot_p05_us, written.tpot_p95_us) = both(figures.tpot_interval_us);
    (written.tpot_step_p05_us, written.tpot_step_p95_us) = both(figures.tpot_step_us);
    written.step_time_us = Some(figures.step_time_us);
    written.ttft_us = figures.ttft_us;
    written.makespan_us = figures.makespan_us;
    written.closed_form_us = Some(figures.closed_form_us);
    written.work_bound_us = Some(figures.work_bound_us);
    written.tokens_per_sec = Some(figures.tokens_per_sec);
    written.tokens_per_sec_per_gpu = Some(figures.tokens_per_sec_per_gpu);
    written.busy_share = Some(figures.busy_share);
    written.resident_share = Some(figures.resident_share);
    written.mfu = Some(figures.mfu);
    written.mbu = Some(figures.mbu);
    written.comm_exposed_us = Some(figures.comm_exposed_us);
    written.comm_us = Some(figures.comm_us);
    written.comm_overlap = figures.comm_overlap;
    written.host_us = figures.host_us;
    written.wait_mean_us = Some(figures.wait_mean_us);
    written.power_mean_w = Some(figures.power_mean_w);
    written.energy_per_token_j = Some(figures.energy_per_token_j);
    written.memory_max_gib = figures.memory_max_gib;
    written.provenance = Some(figures.provenance.name().to_owned());
    let shares = figures.provenance_shares.iter();
    written.provenance_shares = shares.map(|(level, share)| (level.name().to_owned(), *share)).collect();
    written.steady = Some(steady_in_words(figures.steady, figures.n_steps));
    let works = figures.critical_path.iter();
    written.critical_path =
        works.map(|(work, time_us)| CriticalJson { work: work.clone(), time_us: *time_us }).collect();
    written.regimes.clone_from(&figures.regimes);
    written.gpus.clone_from(&figures.gpus);
}

fn both(pair: Option<(f64, f64)>) -> (Option<f64>, Option<f64>) {
    (pair.map(|it| it.0), pair.map(|it| it.1))
}

fn placement(placement: &Placement) -> String {
    let list = |gpus: &[GpuIdx]| {
        let all: Vec<String> = gpus.iter().map(|gpu| gpu.0.to_string()).collect();
        format!("[{}]", all.join(","))
    };
    match placement {
        Placement::Blocked => "blocked".to_owned(),
        Placement::Interleaved => "interleaved".to_owned(),
        Placement::List { attention, expert } => {
            format!("{{\"attention\":{},\"expert\":{}}}", list(attention), list(expert))
        }
    }
}
