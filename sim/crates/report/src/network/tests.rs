//! A replay tells the run's own times, and page and JSON tell the replay.

use std::collections::BTreeMap;

use masim_engine::Work;

use super::*;
use crate::Subject;
use crate::html::html;
use masim_core::judging::sweep::{SweepRow, network_of, simulate_row};
use masim_core::work::routing::RoutingPool;

fn row(strategy: &str) -> SweepRow {
    let text = format!(
        "cluster: a100-4x4\nmodel: paper-4l\nworkload: {{ phase: decode, batch: 64, context_len: 512 }}\n\
         strategy: {strategy}\nload: {{ kind: balanced }}\n"
    );
    SweepRow::alone(masim_tests::scenario(&text))
}

const STRATEGIES: [&str; 3] = [
    "{ kind: ma_separation, n_attention_gpus: 12, n_expert_gpus: 4, n_micro_batches: 2 }",
    "{ kind: tp_pp, tp: 8, pp: 2, dp: 1, n_in_flight: 2 }",
    "{ kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 2 }",
];

/// The last flow of each transfer ends when the transfer did, but for the quanta of links that the run left out.
#[test]
fn flows_end_in_a_replay_when_they_ended_in_the_run() {
    for strategy in STRATEGIES {
        let (row, pool) = (row(strategy), RoutingPool::default());
        let (_, found) = simulate_row(&row, &pool);
        let (scenario, found) = found.unwrap();
        let used = network_of(scenario, &found, &pool);
        let mut ends = used.ends.iter();
        let mut n_transfers = 0;
        // Behind the window, steps that the run began and never ended are missing.
        let last_step = found.run.window.last;
        for (idx, step) in found.run.copies[0].records().iter() {
            for (work, span) in found.run.works.iter().zip(&step.trace.spans) {
                let Work::Transfer { flows, .. } = work else { continue };
                let last = ends.by_ref().take(flows.len()).max().unwrap();
                let is_near = idx > last_step || last.as_ps().abs_diff(span.end.as_ps()) <= 10;
                assert!(is_near, "{strategy}, step {idx} of {last_step}: {last:?} is not {:?}", span.end);
                n_transfers += 1;
            }
        }
        assert!(n_transfers > 10 && ends.next().is_none(), "{strategy}: every flow belongs to a transfer");
        assert!(used.links.iter().all(|link| link.mean <= link.peak + 1e-9 && link.peak <= 1.0 + 1e-9));
        // What leaves a GPU, leaves it over its links.
        let sent: f64 = used.volume.values().sum();
        assert!(sent > 0.0 && used.links.iter().map(|link| link.bytes).sum::<f64>() >= 2.0 * sent * 0.5);
    }
}

#[test]
fn page_and_json_show_the_network() {
    let (row, pool) = (row(STRATEGIES[0]), RoutingPool::default());
    let (json_row, found) = simulate_row(&row, &pool);
    let (scenario, found) = found.unwrap();
    let used = network_of(scenario, &found, &pool);
    let shown = NetworkShown { row_idx: 0, what: "a <split>".to_owned(), cluster: &scenario.cluster, used };
    let value: Value = serde_json::from_str(&shown.json()).unwrap();
    assert_eq!(value["links"].as_array().unwrap().len(), scenario.cluster.links.len());
    let transfers = value["transfers"].as_array().unwrap();
    let dispatch = transfers.iter().find(|of| of["work"] == "dispatch").unwrap();
    assert!(dispatch["bottleneck"].as_str().unwrap().starts_with("n3."), "{transfers:#?}");
    // 12 attention GPUs send to each of 4 expert GPUs, though not all at the same time.
    assert!(value["incast"].as_array().unwrap().iter().all(|of| of["n_senders"].as_u64().unwrap() <= 12));
    let memory_gib = BTreeMap::new();
    let rows = [json_row];
    let subject = Subject {
        title: "t",
        command: "c",
        rows: &rows,
        memory_gib: &memory_gib,
        assumptions: &[],
        network: Some(&shown),
    };
    let page = html(&subject).unwrap();
    assert!(page.contains("<h2>The network of one run</h2>") && page.contains("a &#60;split&#62;"));
    assert!(page.contains("Mean use:") && page.contains("Bytes from GPU to GPU") && !page.contains("http"));
}
