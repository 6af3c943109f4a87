//! Runs the rows of a sweep, on as many threads as there are; results do not depend on their number.

use rayon::prelude::*;

use super::expand::SweepRow;
use super::result::Row;
use super::results::{Outcome, failed_row, row};
use crate::judging::metrics::network::NetworkUse;
use crate::judging::metrics::{Ledger, Metrics, measure, measure_folded, network_use};
use crate::judging::progress::Progress;
use crate::plan::Plan;
use crate::running::run::{Holding, RunError, run_once, run_plan_with};
use crate::scenario::{Launch, Scenario, Workload};
use crate::search::{Found, routing_of, run_prompts, search_with};
use crate::work::cost::cost_of;
use crate::work::routing::RoutingPool;

/// Finds the best plan of one scenario and measures it; an inference by its mean decode step, then its prompts.
///
/// # Errors
///
/// [`crate::search::SearchError`] when no plan is possible, none fits, or a run fails.
pub fn simulate(scenario: &Scenario, pool: &RoutingPool) -> Outcome {
    let routing = routing_of(scenario, pool);
    let cost = cost_of(scenario);
    let ledger = |plan: &Plan| Ledger::new(scenario, plan, &routing);
    let (found, ledgers) = search_with(scenario, &routing, &*cost, (Holding::USUAL, ledger))?;
    let metrics = measure_folded(scenario, &found.plan, &found.run, ledgers);
    let Workload::Inference { batch, output_len, .. } = scenario.workload else {
        return Ok((found, metrics));
    };
    let prompts = of_prompts(scenario);
    let routing = routing_of(&prompts, pool);
    let (plan, run) = run_prompts((scenario, &prompts), &found.plan, &routing, &*cost)?;
    let first = measure(&prompts, &plan, &run, &routing);
    Ok((found, metrics.with_prompts(&first, batch, output_len)))
}

/// Measures one plan, without asking whether it fits or whether another is faster.
///
/// # Errors
///
/// [`RunError`] when simulated time cannot hold the run.
pub fn simulate_plan(scenario: &Scenario, plan: &Plan, pool: &RoutingPool) -> Result<Metrics, RunError> {
    let (routing, cost) = (routing_of(scenario, pool), cost_of(scenario));
    let metrics = match scenario.workload {
        Workload::Prefill { .. } => {
            let run = run_once(scenario, plan, &routing, &*cost)?;
            measure(scenario, plan, &run, &routing)
        }
        Workload::Decode { .. } | Workload::Inference { .. } => {
            let held = (Holding::USUAL, Ledger::new(scenario, plan, &routing));
            let (run, ledgers) = run_plan_with(scenario, plan, &routing, &*cost, held)?;
            measure_folded(scenario, plan, &run, ledgers)
        }
    };
    let Workload::Inference { batch, output_len, .. } = scenario.workload else { return Ok(metrics) };
    let prompts = of_prompts(scenario);
    let routing = routing_of(&prompts, pool);
    let run = run_once(&prompts, plan, &routing, &*cost)?;
    Ok(metrics.with_prompts(&measure(&prompts, plan, &run, &routing), batch, output_len))
}

/// What the network did while `found`'s plan was measured.
pub fn network_of(scenario: &Scenario, found: &Found, pool: &RoutingPool) -> NetworkUse {
    let (routing, cost) = (routing_of(scenario, pool), cost_of(scenario));
    network_use(scenario, &found.plan, &found.run, &routing, &*cost)
}

/// The prompts of an inference as a scenario of their own.
fn of_prompts(inference: &Scenario) -> Scenario {
    let workload = inference.workload.prompts().expect("an inference has prompts");
    // Graphs are captured for decode steps, whose shapes return: a host launches the kernels of prompts one by one.
    let launch = if inference.host_overhead.is_some() { Launch::Eager } else { inference.launch };
    Scenario { workload, launch, ..inference.clone() }
}

/// Runs every row, `n_threads` at a time.
///
/// # Panics
///
/// When the system refuses to start threads.
pub fn run_sweep(rows: &[SweepRow], n_threads: usize, progress: &dyn Progress) -> Vec<Row> {
    progress.start(rows.len());
    let pool = RoutingPool::default();
    let threads = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads start");
    let run = |place: &SweepRow| {
        let (row, _) = simulate_row(place, &pool);
        progress.finish_one();
        row
    };
    // One by one, since rows differ a hundredfold in cost.
    threads.install(|| rows.par_iter().with_max_len(1).map(run).collect())
}

/// Runs the alternatives of one row; one that fails loses against any that does not.
///
/// The result is the best one's row, and what was found for it.
pub fn simulate_row<'a>(place: &'a SweepRow, pool: &RoutingPool) -> (Row, Option<(&'a Scenario, Found)>) {
    let alternatives = match &place.alternatives {
        Ok(alternatives) => alternatives,
        Err(error) => return (failed_row(place, error), None),
    };
    let column = place.best_of.as_deref().unwrap_or("tpot_us");
    let runs = alternatives.iter().map(|scenario| {
        let outcome = simulate(scenario, pool);
        let row = row(place, scenario, &outcome);
        (row, outcome.ok().map(|(found, _)| (scenario, found)))
    });
    let beats = |a: &Row, b: &Row| is_better(figure(a, column), figure(b, column));
    let best = runs.reduce(|best, next| if beats(&next.0, &best.0) { next } else { best });
    best.unwrap_or_else(|| (failed_row(place, "no strategy to run"), None))
}

/// True if `a` beats `b`: a figure beats none, and equals do not beat, so that the first stays.
fn is_better(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a < b,
        (a, b) => a.is_some() && b.is_none(),
    }
}

/// A column as a figure of which less is better.
fn figure(row: &Row, column: &str) -> Option<f64> {
    let figures = row.figures()?;
    match column {
        // Prompts have no time per token; what they are compared by is the time to the first.
        "tpot_us" => row.answer_us(),
        "step_time_us" => Some(figures.step_time_us),
        "ttft_us" => figures.ttft_us,
        "makespan_us" => figures.makespan_us,
        "energy_per_token_j" => Some(figures.energy_per_token_j),
        "tokens_per_sec" => Some(-figures.tokens_per_sec),
        "tokens_per_sec_per_gpu" => Some(-figures.tokens_per_sec_per_gpu),
        _ => unreachable!("input validation admits the columns of `BEST_OF` alone"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::result::{Chosen, Failure, Figures};
    use super::super::row::Side;
    use super::*;
    use crate::running::run::Steady;
    use crate::timing::provenance::Provenance;

    fn row(outcome: Result<Figures, Failure>) -> Row {
        Row {
            row_idx: 0,
            point_idx: 0,
            name: String::new(),
            side: Side::Split,
            tuned: true,
            axes: BTreeMap::new(),
            asked: None,
            chosen: Chosen::default(),
            outcome,
            warnings: Vec::new(),
        }
    }

    fn ran(tpot_us: Option<f64>, ttft_us: Option<f64>) -> Row {
        row(Ok(Figures {
            n_steps: 1,
            tpot_us,
            tpot_interval_us: None,
            tpot_step_us: None,
            step_time_us: 1.0,
            ttft_us,
            makespan_us: None,
            closed_form_us: 1.0,
            work_bound_us: 1.0,
            tokens_per_sec: 1.0,
            tokens_per_sec_per_gpu: 1.0,
            busy_share: 1.0,
            resident_share: 1.0,
            mfu: 1.0,
            mbu: 1.0,
            comm_exposed_us: 1.0,
            comm_us: 1.0,
            comm_overlap: None,
            host_us: None,
            wait_mean_us: 1.0,
            power_mean_w: 1.0,
            energy_per_token_j: 1.0,
            memory_max_gib: None,
            provenance: Provenance::Roofline,
            provenance_shares: BTreeMap::new(),
            steady: Steady::Once,
            critical_path: Vec::new(),
            regimes: Vec::new(),
            gpus: Vec::new(),
        }))
    }

    fn beats(a: &Row, b: &Row) -> bool {
        is_better(figure(a, "tpot_us"), figure(b, "tpot_us"))
    }

    #[test]
    fn prompts_are_compared_by_their_first_tokens() {
        let prompts = |ttft_us| ran(None, Some(ttft_us));
        assert!(beats(&prompts(1.0), &prompts(2.0)));
        assert!(!beats(&prompts(2.0), &prompts(1.0)));
        assert!(beats(&prompts(2.0), &row(Err(Failure { fits: false, error: String::new() }))));
        // Whole requests have both, and are compared by the time per token.
        assert!(beats(&ran(Some(1.0), Some(9.0)), &ran(Some(2.0), Some(8.0))));
    }

    #[test]
    fn the_first_of_equals_stays_and_any_figure_beats_none() {
        assert!(is_better(Some(1.0), Some(2.0)) && !is_better(Some(2.0), Some(1.0)));
        assert!(!is_better(Some(1.0), Some(1.0)));
        assert!(is_better(Some(2.0), None) && !is_better(None, Some(2.0)) && !is_better(None, None));
    }
}
