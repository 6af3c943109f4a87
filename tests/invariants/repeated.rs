//! Equal inputs give equal outputs.

use masim_core::inputs::text::SourceText;
use masim_core::judging::progress::Silent;
use masim_core::judging::sweep::{Row, SweepRow, load_sweep, run_sweep, simulate_row};
use masim_core::running::run::{Run, run_plan};
use masim_core::work::cost::RooflineCost;
use masim_core::work::routing::RoutingPool;
use masim_report::{csv, json};
use masim_tests::{Shipped, only_plan, routing};

use crate::drawn::drawn;

/// Each call reads, draws, lowers and runs anew.
fn run(seed: u64) -> Run {
    let (scenario, _) = drawn(seed);
    let cost = RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
    run_plan(&scenario, &only_plan(&scenario), &routing(&scenario), &cost).unwrap()
}

#[test]
fn a_run_repeats_to_the_picosecond() {
    for seed in 0..12 {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.window, second.window);
        assert_eq!(first.works, second.works);
        assert_eq!(first.cold.trace, second.cold.trace);
        assert_eq!(first.copies.len(), second.copies.len());
        for (first, second) in first.copies.iter().zip(&second.copies) {
            assert_eq!(first.n_ended(), second.n_ended());
            for ((_, first), (_, second)) in first.records().iter().zip(second.records().iter()) {
                assert_eq!((&first.trace, &first.infos), (&second.trace, &second.infos));
            }
        }
    }
}

/// The rows of the quick sweep, with a skewed load beside the balanced one, and the text that it is written as.
fn quick() -> (Vec<SweepRow>, String) {
    let shipped = Shipped::default();
    let mut source = shipped.text("scenarios/quick.yaml").unwrap();
    source.text = source
        .text
        .replace("axes:\n", "axes:\n  - { load: [{ kind: balanced }, { kind: zipf, exponent: 0.8 }] }\n");
    let sweep = load_sweep(&source, &shipped).unwrap();
    let rows = sweep.expand(&shipped).unwrap().rows;
    assert_eq!(rows.len(), 2 * 13);
    (rows, sweep.resolved_yaml())
}

fn assert_equal(a: &[Row], b: &[Row]) {
    assert_eq!(a, b);
    assert_eq!(csv::csv(a), csv::csv(b));
    assert_eq!(json::json(a), json::json(b));
}

#[test]
fn a_sweep_does_not_depend_on_threads() {
    let rows = quick().0;
    let one = run_sweep(&rows, 1, &Silent);
    assert!(one.iter().all(|row| row.figures().is_some_and(|figures| figures.tpot_us.is_some())));
    assert_equal(&one, &run_sweep(&rows, 2, &Silent));
}

/// Rows that `masim run --from results.csv --row N` runs again, from the `sweep.yaml` of a report.
#[test]
fn a_row_of_a_written_sweep_runs_again_alone() {
    let (rows, written) = quick();
    let all = run_sweep(&rows, 2, &Silent);
    let shipped = Shipped::default();
    let source = SourceText { path: "reports/quick/sweep.yaml".to_owned(), text: written };
    let again = load_sweep(&source, &shipped).unwrap().expand(&shipped).unwrap().rows;
    assert_eq!(again.len(), all.len());
    for (row, expected) in again.iter().zip(&all) {
        let (found, _) = simulate_row(row, &RoutingPool::default());
        assert_equal(&[found], std::slice::from_ref(expected));
    }
}
