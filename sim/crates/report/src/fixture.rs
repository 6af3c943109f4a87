//! Rows for tests: by hand, and a whole sweep from plausible closed forms. No result of a simulation.

use std::collections::BTreeMap;

use masim_core::judging::sweep::{CriticalJson, GpuAccountJson, GpuJson, GpuMemoryJson, RowJson, Side};

const N_GPUS: u32 = 16;
const N_LAYERS: f64 = 4.0;
/// 80 GiB card.
pub(crate) const CAPACITY_GIB: f64 = 80.0;

/// A row at `point` that runs; `name` is a ratio such as `12:4` or the name of a baseline.
pub(crate) fn hand_made(point: u32, name: &str, tpot_us: f64) -> RowJson {
    let split = name.split_once(':').map(|(a, e)| (a.parse().unwrap(), e.parse().unwrap()));
    let strategy = match split {
        Some(_) => "ma_separation",
        None if name.starts_with("tp_pp") => "tp_pp",
        None => "dp_ep",
    };
    RowJson {
        point_idx: point,
        strategy: strategy.to_owned(),
        side: if split.is_some() { Side::Split } else { Side::Baseline },
        tuned: true,
        name: if split.is_some() { strategy.to_owned() } else { name.to_owned() },
        model: "paper-4l".to_owned(),
        cluster: "a100-4x4".to_owned(),
        profile: "none".to_owned(),
        phase: "decode".to_owned(),
        batch: 1024,
        context_len: 2048.0,
        context_len_kind: "fixed".to_owned(),
        expert_load: "balanced".to_owned(),
        n_gpus: N_GPUS,
        n_attention_gpus: split.map(|(a, _)| a),
        n_expert_gpus: split.map(|(_, e)| e),
        heads: split.map(|_| 1),
        sequences: split.map(|_| 1),
        replicas: split.map(|(a, _)| a),
        ep: split.map(|(_, e)| e),
        expert_tp: split.map(|_| 1),
        tp: split.is_none().then_some(8),
        pp: (strategy == "tp_pp").then_some(2),
        dp: (strategy == "dp_ep").then_some(16),
        n_micro_batches: split.map(|_| 2),
        n_in_flight: (strategy == "tp_pp").then_some(2),
        n_overlapped: (strategy == "dp_ep").then_some(2),
        placement: split.map(|_| "blocked".to_owned()),
        dispatch: split.map(|_| "m2n".to_owned()),
        schedule: split.map(|_| "dataflow".to_owned()),
        launch: "graph".to_owned(),
        seed: 1,
        fits: true,
        n_steps: Some(12),
        tpot_us: Some(tpot_us),
        tpot_step_p05_us: Some(tpot_us),
        tpot_step_p95_us: Some(tpot_us),
        step_time_us: Some(tpot_us * 1.3),
        closed_form_us: Some(tpot_us * 0.95),
        work_bound_us: Some(tpot_us * 0.6),
        tokens_per_sec: Some(1024.0 / tpot_us * 1e6),
        tokens_per_sec_per_gpu: Some(64.0 / tpot_us * 1e6),
        busy_share: Some(0.6),
        resident_share: Some(0.9),
        mfu: Some(0.05),
        mbu: Some(0.55),
        comm_exposed_us: Some(tpot_us * 0.1),
        overlap: "none".to_owned(),
        comm_us: Some(tpot_us * 0.2),
        comm_overlap: Some(0.5),
        wait_mean_us: Some(tpot_us * 0.4),
        memory_max_gib: Some(40.0),
        provenance: Some("Roofline".to_owned()),
        steady: Some("two successive periods equal to the picosecond".to_owned()),
        provenance_shares: BTreeMap::from([("Roofline".to_owned(), 1.0)]),
        regimes: Vec::new(),
        ..super::csv::blank()
    }
}

/// The same row of a baseline that is shown beside the tuned ones.
pub(crate) fn not_tuned(row: RowJson) -> RowJson {
    RowJson { tuned: false, ..row }
}

/// A row at `point` that does not fit into memory.
pub(crate) fn not_fitting(point: u32, name: &str) -> RowJson {
    let mut row = hand_made(point, name, 1.0);
    row.fits = false;
    row.error = Some("does not fit: GPU n0.g0 needs 93.2 GiB of 80 GiB, 13.2 GiB missing".to_owned());
    row.n_steps = None;
    let figures = [
        &mut row.tpot_us,
        &mut row.tpot_step_p05_us,
        &mut row.tpot_step_p95_us,
        &mut row.step_time_us,
        &mut row.closed_form_us,
        &mut row.work_bound_us,
        &mut row.tokens_per_sec,
        &mut row.tokens_per_sec_per_gpu,
        &mut row.busy_share,
        &mut row.resident_share,
        &mut row.mfu,
        &mut row.mbu,
        &mut row.comm_exposed_us,
        &mut row.comm_us,
        &mut row.comm_overlap,
        &mut row.wait_mean_us,
        &mut row.memory_max_gib,
    ];
    for figure in figures {
        *figure = None;
    }
    (row.provenance, row.steady) = (None, None);
    row.provenance_shares.clear();
    row
}

/// Times of one micro-batch per layer, in microseconds.
struct Stage {
    attention: f64,
    expert: f64,
    wire: f64,
}

struct At {
    batch: f64,
    context: f64,
    skew: f64,
}

impl At {
    fn attention(&self, n: f64, share: f64) -> f64 {
        let kv = self.batch * share * self.context * 8192.0 / n / 1.6e6;
        12.0 + 25.0 + kv + self.batch * share / n * 0.02
    }

    fn expert(&self, n: f64, share: f64) -> f64 {
        let per_gpu = (16.0 / n).ceil();
        let weights = per_gpu * 268.0 / 1.6 * (1.0 - (-self.batch * share / 8.0).exp());
        let tokens = self.batch * share * 2.0 / n * self.skew * 0.53;
        6.0 + weights.max(tokens) + 0.15 * weights.min(tokens)
    }

    fn wire(&self, n: f64, share: f64) -> f64 {
        20.0 + self.batch * share * 8192.0 * 1.8 / n / 25e3
    }
}

fn account(total: f64, busy: f64, imbalance: f64, wire: f64, fill: f64) -> GpuAccountJson {
    let busy = busy.min(total);
    let imbalance = imbalance.min(total - busy);
    let wire = wire.min(total - busy - imbalance);
    let fill = fill.min(total - busy - imbalance - wire);
    GpuAccountJson {
        busy_us: busy,
        wait_imbalance_us: imbalance,
        wait_dependency_us: total - busy - imbalance - wire - fill,
        wait_wire_us: wire,
        fill_drain_us: fill,
    }
}

/// Fills in everything that follows from the times of the roles.
fn finish(row: &mut RowJson, at: &At, cold: f64, roles: &[(&str, u32, f64, GpuMemoryJson)]) {
    let tpot = row.tpot_us.unwrap();
    let full = roles.iter().map(|role| role.3.total()).fold(0.0, f64::max);
    if full > CAPACITY_GIB {
        let name = row.n_attention_gpus.map_or(row.name.clone(), |a| format!("{a}:{}", N_GPUS - a));
        let mut unfit = not_fitting(row.point_idx, &name);
        unfit.error = Some(format!(
            "does not fit: GPU n0.g0 needs {full:.1} GiB of {CAPACITY_GIB} GiB, {:.1} GiB missing",
            full - CAPACITY_GIB
        ));
        unfit.tuned = row.tuned;
        (unfit.batch, unfit.context_len) = (row.batch, row.context_len);
        (unfit.expert_load, unfit.n_micro_batches) = (row.expert_load.clone(), row.n_micro_batches);
        *row = unfit;
        return;
    }
    let bound =
        N_LAYERS * (at.batch * at.context * 8192.0 / 16.0 / 2.039e6 + 268.0 / 2.039 + at.batch / 16.0 * 0.3);
    row.work_bound_us = Some(bound.min(tpot * 0.97));
    row.closed_form_us = Some(tpot * (0.93 + 0.04 * at.skew.fract()));
    row.step_time_us = Some(cold);
    row.tokens_per_sec = Some(at.batch / tpot * 1e6);
    row.tokens_per_sec_per_gpu = Some(at.batch / tpot * 1e6 / 16.0);
    row.memory_max_gib = Some(full);
    for &(role, n, busy, memory_gib) in roles {
        for _ in 0..n {
            let idx = row.gpus.len();
            let lag = busy * (1.0 - (at.skew - 1.0) * 0.1 * (idx % 3) as f64);
            let waits = (busy - lag, tpot * 0.08);
            row.gpus.push(GpuJson {
                gpu: format!("n{}.g{}", idx / 4, idx % 4),
                role: role.to_owned(),
                steady: account(tpot, lag, waits.0, waits.1, 0.0),
                host_us: 0.0,
                cold: account(cold, lag, waits.0, waits.1, (cold - tpot) * 0.8),
                memory_gib,
            });
        }
    }
    let mean_busy = row.gpus.iter().map(|gpu| gpu.steady.busy_us).sum::<f64>() / 16.0;
    row.busy_share = Some(mean_busy / tpot);
    row.wait_mean_us = Some(tpot - mean_busy);
    row.critical_path = vec![
        CriticalJson { work: "attention".to_owned(), time_us: tpot * 0.4 },
        CriticalJson { work: "experts".to_owned(), time_us: tpot * 0.35 },
        CriticalJson { work: "dispatch".to_owned(), time_us: tpot * 0.25 },
    ];
    row.provenance_shares = BTreeMap::from([("Roofline".to_owned(), 0.97), ("Assumed".to_owned(), 0.03)]);
}

fn memory(weights: f64, kv: f64, at: &At) -> GpuMemoryJson {
    GpuMemoryJson { weights, kv, activations: at.batch * 0.0008, buffers: at.batch * 0.0005 }
}

fn split(row: &mut RowJson, at: &At, n_attention: u32, m: u32) {
    let (a, e, share) = (f64::from(n_attention), f64::from(N_GPUS - n_attention), 1.0 / f64::from(m));
    let stage = Stage {
        attention: at.attention(a, share),
        expert: at.expert(e, share),
        wire: at.wire(a.min(e), share),
    };
    let path = stage.attention + stage.expert + 2.0 * stage.wire;
    let m = f64::from(m);
    let tpot = N_LAYERS * path.max(m * stage.attention).max(m * stage.expert).max(m * stage.wire) + 40.0;
    row.tpot_us = Some(tpot);
    let cold = tpot + (m - 1.0) * stage.attention.max(stage.expert);
    let kv = at.batch * at.context * 8192.0 * N_LAYERS / a / 1.074e9;
    let roles = [
        ("attention", n_attention, N_LAYERS * m * stage.attention, memory(0.3, kv, at)),
        (
            "expert",
            N_GPUS - n_attention,
            N_LAYERS * m * stage.expert,
            memory((16.0 / e).ceil() * 1.0, 0.0, at),
        ),
    ];
    finish(row, at, cold, &roles);
}

fn baseline(row: &mut RowJson, at: &At) {
    let kv = at.batch * at.context * 8192.0 * N_LAYERS / 16.0 / 1.074e9;
    let (attention, expert) = (at.attention(16.0, 1.0), at.expert(16.0, 1.0));
    let (tpot, cold, roles): (f64, f64, Vec<(&str, u32)>) = match row.name.as_str() {
        "dp_ep" => {
            let tpot = N_LAYERS * (attention + expert * at.skew * at.skew + 1.2 * at.wire(16.0, 1.0)) + 30.0;
            (tpot, tpot * 1.05, vec![("both", 16)])
        }
        name => {
            let stage =
                2.0 * (attention * 2.0 + at.expert(16.0, 1.0) * 1.1 + 3.0 * at.wire(16.0, 1.0)) + 40.0;
            let tpot = if name == "tp_pp" { stage * 1.35 } else { stage * 2.0 };
            (tpot, stage * 2.1, vec![("stage 0", 8), ("stage 1", 8)])
        }
    };
    row.tpot_us = Some(tpot);
    let busy = N_LAYERS * (attention + expert).min(tpot / N_LAYERS * 0.8);
    let roles: Vec<_> = roles.into_iter().map(|(role, n)| (role, n, busy, memory(1.4, kv, at))).collect();
    finish(row, at, cold, &roles);
}

/// 15 splits x 4 micro-batches and 3 baselines at 5 contexts x 3 batches x 2 loads: 1,890 rows.
pub(crate) fn sweep_rows() -> Vec<RowJson> {
    let mut rows = Vec::new();
    let mut point = 0;
    for context in [512_u32, 1024, 2048, 4096, 8192] {
        for batch in [64_u32, 256, 1024] {
            for (load, skew) in [("balanced", 1.0), ("zipf(0.8)", 1.6)] {
                let at = At { batch: f64::from(batch), context: f64::from(context), skew };
                let mut push = |name: &str, n_micro_batches: Option<u32>| {
                    let mut row = hand_made(point, name, 1.0);
                    row.tuned = name != "tp_pp_literal";
                    (row.batch, row.context_len) = (batch, f64::from(context));
                    row.expert_load = load.to_owned();
                    row.n_micro_batches = n_micro_batches;
                    match (row.n_attention_gpus, n_micro_batches) {
                        (Some(a), Some(m)) => split(&mut row, &at, a, m),
                        _ => baseline(&mut row, &at),
                    }
                    row.row_idx = u32::try_from(rows.len()).unwrap();
                    if skew > 1.0 && row.row_idx.is_multiple_of(97) {
                        row.warnings = vec!["mean not settled after 200 steps".to_owned()];
                    }
                    rows.push(row);
                };
                for attention in (1..N_GPUS).rev() {
                    for m in 1..=4 {
                        push(&format!("{attention}:{}", N_GPUS - attention), Some(m));
                    }
                }
                for name in ["tp_pp", "tp_pp_literal", "dp_ep"] {
                    push(name, None);
                }
                point += 1;
            }
        }
    }
    rows
}
