//! The interval of a time per token again, by simulating under each draw of the models' errors.
//!
//! An account of the critical path cannot see that errors may move the path; simulations can.

use masim_units::SimDuration;

use crate::inputs::topology::GpuCard;
use crate::judging::progress::Progress;
use crate::plan::Plan;
use crate::running::run::{Holding, RunError, run_plan_with};
use crate::scenario::Scenario;
use crate::search::routing_of;
use crate::timing::regime::Regime;
use crate::timing::uncertainty::{RegimeTime, drawn, factor};
use crate::work::cost::{Cost, CostModel, TooLong, cost_of};
use crate::work::ops::Op;
use crate::work::routing::RoutingPool;

/// Stretches the times of another model, all of one regime alike.
struct Stretched<'a> {
    inner: &'a dyn CostModel,
    scenario: &'a Scenario,
    draw: u64,
}

impl Stretched<'_> {
    fn factor(&self, regime: Regime) -> f64 {
        let spread = self.scenario.profiles.spread(regime);
        spread.map_or(1.0, |spread| factor(self.scenario.seed, self.draw, regime, &spread))
    }
}

impl CostModel for Stretched<'_> {
    fn cost(&self, op: &Op, card: &GpuCard) -> Result<Cost, TooLong> {
        let cost = self.inner.cost(op, card)?;
        let factor = cost.basis.regime.map_or(1.0, |regime| self.factor(regime));
        let time = SimDuration::from_secs_ceil(cost.time.as_us() * factor * 1e-6);
        Ok(Cost { time: time.ok_or(TooLong { op: op.kind.name() })?, ..cost })
    }

    fn launch(&self, card: &GpuCard) -> SimDuration {
        self.inner.launch(card)
    }
}

/// 5th and 95th percentile of the time per token, by simulation and by account, over the same draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resimulated {
    /// By simulating under every draw.
    pub simulated_us: (f64, f64),
    /// By the account of the critical path.
    pub by_account_us: (f64, f64),
}

/// Runs `plan` under `n` draws of the errors of kernels; communication stays as it is predicted.
///
/// # Errors
///
/// [`RunError`] when simulated time cannot hold a run.
///
/// # Panics
///
/// Without a draw.
pub fn resimulate(
    scenario: &Scenario,
    plan: &Plan,
    (tpot_us, regimes): (f64, &[RegimeTime]),
    n: u64,
    progress: &dyn Progress,
) -> Result<Resimulated, RunError> {
    assert!(n > 0, "at least one draw");
    let pool = RoutingPool::default();
    let (routing, inner) = (routing_of(scenario, &pool), cost_of(scenario));
    let of_kernels: Vec<RegimeTime> =
        regimes.iter().filter(|it| !it.regime.family().is_communication()).cloned().collect();
    progress.start(usize::try_from(n).unwrap_or(usize::MAX));
    let (mut simulated, mut by_account) = (Vec::new(), Vec::new());
    for draw in 0..n {
        let cost = Stretched { inner: &*inner, scenario, draw };
        let (run, _) = run_plan_with(scenario, plan, &routing, &cost, (Holding::USUAL, ()))?;
        simulated.push(run.period_us());
        by_account.push(drawn(scenario.seed, draw, tpot_us, &of_kernels));
        progress.finish_one();
    }
    Ok(Resimulated { simulated_us: ends(simulated), by_account_us: ends(by_account) })
}

fn ends(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    (at(5), at(95))
}
