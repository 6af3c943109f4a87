//! Everything that a simulation of one scenario shows, and what must hold of it.

use std::collections::BTreeMap;

use masim_core::judging::metrics::Metrics;
use masim_core::judging::sweep::{RowJson, SweepRow, network_of, results, simulate};
use masim_core::plan::Role;
use masim_core::running::run::{CopySteps, Records};
use masim_core::scenario::Scenario;
use masim_core::search::{Found, SearchError};
use masim_core::work::routing::RoutingPool;
use masim_engine::{Shape, StreamId};
use masim_tests::{cold_time, try_decode, windows};
use masim_units::{SimDuration, SimTime};

/// One property of everything that was seen; the error says where it fails.
pub(super) type Invariant = fn(&Seen) -> Result<(), String>;

/// One simulated scenario.
pub(super) struct Seen {
    scenario: Scenario,
    found: Found,
    metrics: Metrics,
    row: RowJson,
    /// The largest share of its bandwidth that a link carried, and its position.
    link_peak: (f64, u32),
}

impl Seen {
    /// Simulates `scenarios/decode.yaml` with `changes`; nothing where no plan is possible.
    pub(super) fn of(changes: &[(String, String)]) -> Result<Option<Self>, String> {
        let changes: Vec<(&str, &str)> =
            changes.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        let scenario = try_decode(&changes)?;
        let pool = RoutingPool::default();
        let outcome = simulate(&scenario, &pool);
        let row = RowJson::from(&results::row(&SweepRow::alone(scenario.clone()), &scenario, &outcome));
        let (found, metrics) = match outcome {
            Ok(both) => both,
            Err(SearchError::NoPlan(_) | SearchError::DoesNotFit(_)) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let network = network_of(&scenario, &found, &pool);
        let peaks = network.links.iter().map(|link| (link.peak, link.link.0));
        let link_peak = peaks.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        Ok(Some(Self { scenario, found, metrics, row, link_peak }))
    }
}

fn hold(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

pub(super) fn bound_is_kept(seen: &Seen) -> Result<(), String> {
    let (period, bound) = (seen.metrics.period_us, seen.metrics.work_bound_us);
    hold(bound > 0.0 && period >= bound, || format!("{period} us, bound {bound} us"))
}

pub(super) fn accounts_add_up(seen: &Seen) -> Result<(), String> {
    let run = &seen.found.run;
    for gpu in &seen.metrics.gpus {
        let copy = run.copies.iter().find(|copy| copy.gpus.contains(&gpu.gpu)).unwrap();
        let stretch = run.stretch(copy);
        let window = stretch.to.since(stretch.from);
        for (name, account, whole) in [("steady", gpu.window, window), ("cold", gpu.cold, cold_time(run))] {
            let sum = account.busy + account.waits();
            hold(sum == whole, || format!("{:?} {name}: {sum} of {whole}", gpu.gpu))?;
        }
    }
    Ok(())
}

pub(super) fn critical_path_adds_up(seen: &Seen) -> Result<(), String> {
    let path = &seen.metrics.critical_path;
    let (by_work, by_basis): (SimDuration, SimDuration) =
        (path.by_work.values().copied().sum(), path.by_basis.values().copied().sum());
    let window = windows(&seen.found.run);
    hold(by_work == window && by_basis == window, || format!("{by_work} and {by_basis} of {window}"))
}

pub(super) fn streams_do_one_thing(seen: &Seen) -> Result<(), String> {
    let run = &seen.found.run;
    in_order(&run.shape, Records::alone(&run.cold))?;
    run.copies.iter().try_for_each(|copy| in_order(&copy.shape, copy.records()))
}

/// In order of submission, which is the order in which a stream runs its tasks.
fn in_order(shape: &Shape, steps: Records<'_>) -> Result<(), String> {
    let mut ends = BTreeMap::<StreamId, SimTime>::new();
    for (_, step) in steps.iter() {
        for task in shape.tasks() {
            let span = step.trace.span(task);
            for &stream in shape.streams(task) {
                let before = ends.insert(stream, span.end).unwrap_or(span.start);
                hold(before <= span.start, || format!("{stream:?}: {span:?} begins before {before:?}"))?;
            }
        }
    }
    Ok(())
}

pub(super) fn causes_end_where_tasks_start(seen: &Seen) -> Result<(), String> {
    for records in seen.found.run.copies.iter().map(CopySteps::records) {
        for (_, step) in records.iter() {
            for span in &step.trace.spans {
                hold(span.start <= span.end, || format!("{span:?} ends before it starts"))?;
                if let Some(cause) = span.cause {
                    let end = records.task(cause).1.end;
                    hold(end == span.start, || format!("{span:?}, but {cause:?} ends at {end:?}"))?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn links_keep_their_capacity(seen: &Seen) -> Result<(), String> {
    let (peak, link) = seen.link_peak;
    // Rates are whole numbers of 2^-16 B/s.
    hold(peak <= 1.0 + 1e-9, || format!("link {link} carries {peak} of its capacity"))
}

pub(super) fn shares_are_shares(seen: &Seen) -> Result<(), String> {
    let metrics = &seen.metrics;
    let overlap = metrics.comm_overlap.unwrap_or(0.0);
    let shares =
        [("busy", metrics.busy_share), ("mfu", metrics.mfu), ("mbu", metrics.mbu), ("overlap", overlap)];
    for (name, share) in shares {
        hold((0.0..=1.0 + 1e-12).contains(&share), || format!("{name} {share}"))?;
    }
    hold(metrics.busy_share > 0.0 && metrics.mfu > 0.0, || "a GPU has work".to_owned())
}

pub(super) fn resident_share_is_a_share(seen: &Seen) -> Result<(), String> {
    let (busy, resident) = (seen.metrics.busy_share, seen.metrics.resident_share);
    hold(busy <= resident + 1e-12 && resident <= 1.0 + 1e-12, || format!("{busy} busy, {resident} resident"))
}

pub(super) fn waits_hold_the_resident_ones(seen: &Seen) -> Result<(), String> {
    for gpu in &seen.metrics.gpus {
        for account in [gpu.window, gpu.cold] {
            let (part, whole) = (account.resident_wait, account.waits());
            hold(part <= whole, || format!("{:?}: {part} of {whole}", gpu.gpu))?;
        }
    }
    Ok(())
}

pub(super) fn watts_are_possible(seen: &Seen) -> Result<(), String> {
    let (mut idle, mut limit) = (0.0, 0.0);
    for gpu in &seen.scenario.cluster.gpus {
        idle += gpu.card.power_idle.watts() + gpu.card.power_model.context.watts();
        limit += gpu.card.power_tdp.watts();
    }
    let watts = seen.metrics.power_w();
    hold(idle < watts && watts <= limit, || format!("{watts} W of {idle} to {limit}"))
}

pub(super) fn interval_contains_the_estimate(seen: &Seen) -> Result<(), String> {
    let row = &seen.row;
    let (Some(low), Some(time), Some(high)) = (row.tpot_p05_us, row.tpot_us, row.tpot_p95_us) else {
        return Ok(());
    };
    hold(low <= time && time <= high, || format!("{time} us outside of {low} to {high}"))
}

pub(super) fn provenance_adds_up(seen: &Seen) -> Result<(), String> {
    let sum: f64 = seen.row.provenance_shares.values().sum();
    hold((sum - 1.0).abs() < 1e-9, || format!("{sum}"))
}

pub(super) fn memory_is_in_use(seen: &Seen) -> Result<(), String> {
    for ((gpu, role), (_, memory)) in seen.found.plan.roles().into_iter().zip(&seen.found.memory) {
        let holds =
            memory.weights.0 > 0 && memory.activations.0 > 0 && (memory.kv.0 > 0) == (role != Role::Expert);
        hold(holds, || format!("{gpu:?} {role:?}: {memory:?}"))?;
    }
    Ok(())
}

pub(super) fn percentiles_are_in_order(seen: &Seen) -> Result<(), String> {
    let (low, high) = seen.metrics.step_us;
    hold(0.0 < low && low <= high, || format!("{low} and {high}"))
}
