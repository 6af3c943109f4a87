//! Every invariant on scenarios with every feature at once: profile, host, latent attention, jitter, copies of a pipeline,
//! prompts, overlap and compressed sums, of every strategy.
//!
//! `MASIM_N_DRAWN=2000 cargo test -p masim-tests --test invariants together -- --include-ignored` draws as many scenarios as
//! it says instead of the few of the gate.

mod generator;
mod known_faults;
mod seen;

use seen::{Invariant, Seen};

/// Scenarios that are drawn where `MASIM_N_DRAWN` says nothing.
const N_DRAWN: u64 = 40;

/// Invariants that hold today. One that does not is in `known_faults`, with the reason.
const HELD: &[(&str, Invariant)] = &[
    ("a step takes at least the work bound", seen::bound_is_kept),
    ("the accounts of each GPU add up", seen::accounts_add_up),
    ("no stream does two things at once", seen::streams_do_one_thing),
    ("a task starts when its cause ends", seen::causes_end_where_tasks_start),
    ("no link carries more than its capacity", seen::links_keep_their_capacity),
    ("shares of busy time, FLOPs and bytes lie between 0 and 1", seen::shares_are_shares),
    ("the shares of provenance add up to 1", seen::provenance_adds_up),
    ("memory holds weights and activations, and the cache where attention is", seen::memory_is_in_use),
    ("percentiles of steps lie in order", seen::percentiles_are_in_order),
];

fn n_drawn() -> u64 {
    std::env::var("MASIM_N_DRAWN").map_or(N_DRAWN, |text| {
        text.parse().unwrap_or_else(|_| panic!("MASIM_N_DRAWN is `{text}`, expected a count"))
    })
}

#[test]
fn invariants_hold_with_everything_together() {
    assert_hold(HELD);
}

/// Draws scenarios and holds each invariant against them; names the failures with the shortest command that shows one.
fn assert_hold(invariants: &[(&str, Invariant)]) {
    let (n_drawn, mut n_seen, mut failures) = (n_drawn(), 0, Vec::new());
    for seed in 0..n_drawn {
        let changes = generator::drawn(seed);
        // A plan that does not fit has no run.
        let Some(seen) = Seen::of(&changes).unwrap_or_else(|problem| panic!("seed {seed}: {problem}")) else {
            continue;
        };
        n_seen += 1;
        for (name, invariant) in invariants {
            if let Err(why) = invariant(&seen) {
                let short = shrunk(changes.clone(), *invariant);
                failures.push(format!("{name}, seed {seed}: {why}\n    {}", generator::command(&short)));
            }
        }
    }
    assert!(10 * n_seen >= 9 * n_drawn, "{n_seen} of {n_drawn} scenarios have a plan that fits");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// The changes without which `invariant` no longer fails.
fn shrunk(mut changes: Vec<(String, String)>, invariant: Invariant) -> Vec<(String, String)> {
    let mut at = 0;
    while at < changes.len() {
        let mut fewer = changes.clone();
        fewer.remove(at);
        if Seen::of(&fewer).is_ok_and(|seen| seen.is_some_and(|seen| invariant(&seen).is_err())) {
            changes = fewer;
        } else {
            at += 1;
        }
    }
    changes
}
