//! Rows for tests: by hand, and a whole sweep from plausible closed forms. No result of a simulation.

use std::collections::BTreeMap;

use masim_core::judging::sweep::{
    Asked, Chosen, Failure, Figures, GpuAccountJson, GpuJson, GpuMemoryJson, Row, Side,
};
use masim_core::running::run::Steady;
use masim_core::scenario::{
    AttentionSplit, Choice, ContextLen, Dispatch, DpEp, ExpertLoad, ExpertReduce, ExpertSplit, Forward,
    Launch, MaSeparation, Overlap, Placement, Schedule, Strategy, TpPp, Workload,
};
use masim_core::timing::provenance::Provenance;

const N_GPUS: u32 = 16;
const N_LAYERS: f64 = 4.0;
/// 80 GiB card.
pub(crate) const CAPACITY_GIB: f64 = 80.0;

/// A row at `point` that runs; `name` is a ratio such as `12:4` or the name of a baseline.
pub(crate) fn hand_made(point: u32, name: &str, tpot_us: f64) -> Row {
    let split = name.split_once(':').map(|(a, e)| (a.parse().unwrap(), e.parse().unwrap()));
    let strategy = match split {
        Some((n_attention_gpus, n_expert_gpus)) => separation(n_attention_gpus, n_expert_gpus),
        None if name.starts_with("tp_pp") => {
            Strategy::TpPp(TpPp { tp: 8, pp: 2, dp: 1, n_in_flight: Choice::Fixed(2) })
        }
        None => Strategy::DpEp(DpEp { dp: 16, tp: 8, ep: 16, n_overlapped: 2, reduce: ExpertReduce::Inside }),
    };
    Row {
        row_idx: 0,
        point_idx: point,
        name: if split.is_some() { strategy.kind().to_owned() } else { name.to_owned() },
        side: if split.is_some() { Side::Split } else { Side::Baseline },
        tuned: true,
        axes: BTreeMap::new(),
        chosen: Chosen::given(&strategy),
        asked: Some(Asked {
            model: "paper-4l".to_owned(),
            cluster: "a100-4x4".to_owned(),
            n_gpus: N_GPUS,
            profile: "none".to_owned(),
            workload: Workload::Decode { batch: 1024, context_len: ContextLen::Fixed(2048) },
            context_len: 2048.0,
            load: ExpertLoad::Balanced,
            strategy,
            launch: Launch::Graph,
            overlap: Overlap::None,
            seed: 1,
        }),
        outcome: Ok(figures(tpot_us)),
        warnings: Vec::new(),
    }
}

fn separation(n_attention_gpus: u32, n_expert_gpus: u32) -> Strategy {
    let one = Choice::Fixed(1);
    Strategy::MaSeparation(MaSeparation {
        n_attention_gpus,
        n_expert_gpus,
        attention: AttentionSplit { heads: one, sequences: one, replicas: Choice::Fixed(n_attention_gpus) },
        experts: ExpertSplit {
            ep: Choice::Fixed(n_expert_gpus),
            tp: one,
            copies: 0,
            reduce: ExpertReduce::Inside,
        },
        dispatch: Dispatch::M2n,
        forward: Forward::None,
        placement: Placement::Blocked,
        schedule: Schedule::Dataflow,
        n_micro_batches: Choice::Fixed(2),
    })
}

fn figures(tpot_us: f64) -> Figures {
    Figures {
        n_steps: 12,
        tpot_us: Some(tpot_us),
        tpot_interval_us: None,
        tpot_step_us: Some((tpot_us, tpot_us)),
        step_time_us: tpot_us * 1.3,
        ttft_us: None,
        makespan_us: None,
        closed_form_us: tpot_us * 0.95,
        work_bound_us: tpot_us * 0.6,
        tokens_per_sec: 1024.0 / tpot_us * 1e6,
        tokens_per_sec_per_gpu: 64.0 / tpot_us * 1e6,
        busy_share: 0.6,
        resident_share: 0.9,
        mfu: 0.05,
        mbu: 0.55,
        comm_exposed_us: tpot_us * 0.1,
        comm_us: tpot_us * 0.2,
        comm_overlap: Some(0.5),
        host_us: None,
        wait_mean_us: tpot_us * 0.4,
        power_mean_w: 300.0,
        energy_per_token_j: 300.0 * 16.0 * tpot_us / 1024.0 / 1e6,
        memory_max_gib: Some(40.0),
        provenance: Provenance::Roofline,
        provenance_shares: BTreeMap::from([(Provenance::Roofline, 1.0)]),
        steady: Steady::Repeats { n_steps: 2 },
        critical_path: Vec::new(),
        regimes: Vec::new(),
        gpus: Vec::new(),
    }
}

/// The part of a row that its scenario states.
pub(crate) fn asked(row: &mut Row) -> &mut Asked {
    row.asked.as_mut().unwrap()
}

/// Gives the scenario of a row another batch.
pub(crate) fn set_batch(row: &mut Row, batch: u32) {
    asked(row).workload = Workload::Decode { batch, context_len: ContextLen::Fixed(2048) };
}

/// The same row for prompts, whose first tokens take as long.
pub(crate) fn prompts(mut row: Row) -> Row {
    asked(&mut row).workload = Workload::Prefill { batch: 1024, prompt_len: 2048, chunk_len: Choice::Auto };
    let figures = row.outcome.as_mut().unwrap();
    (figures.ttft_us, figures.tpot_us) = (figures.tpot_us, None);
    row
}

/// The same row of a baseline that is shown beside the tuned ones.
pub(crate) fn not_tuned(row: Row) -> Row {
    Row { tuned: false, ..row }
}

/// A row at `point` that does not fit into memory.
pub(crate) fn not_fitting(point: u32, name: &str) -> Row {
    let error = "does not fit: GPU n0.g0 needs 93.2 GiB of 80 GiB, 13.2 GiB missing".to_owned();
    Row { outcome: Err(Failure { fits: false, error }), ..hand_made(point, name, 1.0) }
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
fn finish(row: &mut Row, at: &At, tpot: f64, cold: f64, roles: &[(&str, u32, f64, GpuMemoryJson)]) {
    let full = roles.iter().map(|role| role.3.total()).fold(0.0, f64::max);
    if full > CAPACITY_GIB {
        let error = format!(
            "does not fit: GPU n0.g0 needs {full:.1} GiB of {CAPACITY_GIB} GiB, {:.1} GiB missing",
            full - CAPACITY_GIB
        );
        row.outcome = Err(Failure { fits: false, error });
        return;
    }
    let bound =
        N_LAYERS * (at.batch * at.context * 8192.0 / 16.0 / 2.039e6 + 268.0 / 2.039 + at.batch / 16.0 * 0.3);
    let mut gpus = Vec::new();
    for &(role, n, busy, memory_gib) in roles {
        for _ in 0..n {
            let idx = gpus.len();
            let lag = busy * (1.0 - (at.skew - 1.0) * 0.1 * (idx % 3) as f64);
            let waits = (busy - lag, tpot * 0.08);
            gpus.push(GpuJson {
                gpu: format!("n{}.g{}", idx / 4, idx % 4),
                role: role.to_owned(),
                steady: account(tpot, lag, waits.0, waits.1, 0.0),
                host_us: 0.0,
                cold: account(cold, lag, waits.0, waits.1, (cold - tpot) * 0.8),
                memory_gib,
            });
        }
    }
    let mean_busy = gpus.iter().map(|gpu| gpu.steady.busy_us).sum::<f64>() / 16.0;
    row.outcome = Ok(Figures {
        work_bound_us: bound.min(tpot * 0.97),
        closed_form_us: tpot * (0.93 + 0.04 * at.skew.fract()),
        step_time_us: cold,
        tokens_per_sec: at.batch / tpot * 1e6,
        tokens_per_sec_per_gpu: at.batch / tpot * 1e6 / 16.0,
        memory_max_gib: Some(full),
        busy_share: mean_busy / tpot,
        wait_mean_us: tpot - mean_busy,
        critical_path: vec![
            ("attention".to_owned(), tpot * 0.4),
            ("experts".to_owned(), tpot * 0.35),
            ("dispatch".to_owned(), tpot * 0.25),
        ],
        provenance_shares: BTreeMap::from([(Provenance::Roofline, 0.97), (Provenance::Assumed, 0.03)]),
        gpus,
        ..figures(tpot)
    });
}

fn memory(weights: f64, kv: f64, at: &At) -> GpuMemoryJson {
    GpuMemoryJson { weights, kv, activations: at.batch * 0.0008, buffers: at.batch * 0.0005 }
}

fn split(row: &mut Row, at: &At, n_attention: u32, m: u32) {
    let (a, e, share) = (f64::from(n_attention), f64::from(N_GPUS - n_attention), 1.0 / f64::from(m));
    let stage = Stage {
        attention: at.attention(a, share),
        expert: at.expert(e, share),
        wire: at.wire(a.min(e), share),
    };
    let path = stage.attention + stage.expert + 2.0 * stage.wire;
    let m = f64::from(m);
    let tpot = N_LAYERS * path.max(m * stage.attention).max(m * stage.expert).max(m * stage.wire) + 40.0;
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
    finish(row, at, tpot, cold, &roles);
}

fn baseline(row: &mut Row, at: &At) {
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
    let busy = N_LAYERS * (attention + expert).min(tpot / N_LAYERS * 0.8);
    let roles: Vec<_> = roles.into_iter().map(|(role, n)| (role, n, busy, memory(1.4, kv, at))).collect();
    finish(row, at, tpot, cold, &roles);
}

/// 15 splits x 4 micro-batches and 3 baselines at 5 contexts x 3 batches x 2 loads: 1,890 rows.
pub(crate) fn sweep_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut point = 0;
    for context in [512_u32, 1024, 2048, 4096, 8192] {
        for batch in [64_u32, 256, 1024] {
            for (load, skew) in [(ExpertLoad::Balanced, 1.0), (ExpertLoad::Zipf { exponent: 0.8 }, 1.6)] {
                let at = At { batch: f64::from(batch), context: f64::from(context), skew };
                let mut push = |name: &str, n_micro_batches: Option<u32>| {
                    let mut row = hand_made(point, name, 1.0);
                    row.tuned = name != "tp_pp_literal";
                    let asked = asked(&mut row);
                    asked.workload = Workload::Decode { batch, context_len: ContextLen::Fixed(context) };
                    (asked.context_len, asked.load) = (f64::from(context), load.clone());
                    let pools = asked.pools();
                    row.chosen.n_micro_batches = n_micro_batches;
                    match (pools, n_micro_batches) {
                        (Some((a, _)), Some(m)) => split(&mut row, &at, a, m),
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
