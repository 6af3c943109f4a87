//! No result depends on how a run is held: on how far steps are submitted ahead, and on which steps are kept.

use masim_core::judging::metrics::{Ledger, Metrics, measure, measure_folded};
use masim_core::running::run::{Holding, run_plan, run_plan_with};
use masim_core::scenario::{Scenario, StepCount};
use masim_core::work::cost::cost_of;
use masim_tests::{decode, only_plan, routing};

use crate::drawn::drawn;

/// The figures of a run that is held as `holding` says.
fn held(scenario: &Scenario, holding: Holding) -> Metrics {
    let (plan, routing) = (only_plan(scenario), routing(scenario));
    let held = (holding, Ledger::new(scenario, &plan, &routing));
    let (run, ledgers) = run_plan_with(scenario, &plan, &routing, &*cost_of(scenario), held).unwrap();
    measure_folded(scenario, &plan, &run, ledgers)
}

/// Two, three and eight steps ahead, with all steps kept and with as few as can be.
#[test]
fn results_do_not_depend_on_how_a_run_is_held() {
    for seed in 0..16 {
        let (scenario, what) = drawn(seed);
        let scenario = Scenario { n_steps: StepCount::Exactly(12), ..scenario };
        let usual = format!("{:?}", held(&scenario, Holding::ALL));
        for n_ahead in [2, 3, 8] {
            for n_bytes in [0, usize::MAX] {
                let other = format!("{:?}", held(&scenario, Holding { n_ahead, n_bytes }));
                assert_eq!(usual, other, "{n_ahead} ahead, {n_bytes} bytes: {what}");
            }
        }
    }
}

/// A step of this scenario takes 0.2 MB: of 300 steps, 1 MB holds a few.
#[test]
fn a_long_run_keeps_few_steps() {
    let scenario = decode(&[
        ("workload.batch", "64"),
        ("strategy", "{ kind: tp_pp, tp: 8, pp: 2, dp: 1, n_in_flight: 2 }"),
        ("load", "{ kind: zipf, exponent: 0.8 }"),
        ("n_steps", "{ exactly: 300 }"),
    ]);
    let (plan, routing, cost) = (only_plan(&scenario), routing(&scenario), cost_of(&scenario));
    let holding = Holding { n_bytes: 1 << 20, ..Holding::USUAL };
    let fold = Ledger::new(&scenario, &plan, &routing);
    let (run, ledgers) = run_plan_with(&scenario, &plan, &routing, &*cost, (holding, fold)).unwrap();
    assert_eq!(run.n_measured(), 300);
    assert!(run.copies[0].records().iter().count() < 40);
    let short = measure_folded(&scenario, &plan, &run, ledgers);
    let whole = run_plan(&scenario, &plan, &routing, &*cost).unwrap();
    assert!(whole.copies[0].records().iter().count() > 300);
    let whole = measure(&scenario, &plan, &whole, &routing);
    assert_eq!(format!("{short:?}"), format!("{whole:?}"));
}
