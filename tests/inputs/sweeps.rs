//! Expansion of sweeps, and mistakes in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use masim_core::inputs::text::{SourceText, Tree};
use masim_core::judging::sweep::{Expanded, Side, Sweep, load_sweep};
use masim_core::scenario::{Choice, ContextLen, ExpertLoad, Strategy, Workload};
use masim_tests::Shipped;

fn load(text: &str) -> Sweep {
    let source = SourceText { path: "scenarios/x.yaml".to_owned(), text: text.to_owned() };
    load_sweep(&source, &Shipped::default()).unwrap()
}

fn expand(text: &str) -> Expanded {
    load(text).expand(&Shipped::default()).unwrap()
}

fn shipped(path: &str) -> Sweep {
    let shipped = Shipped::default();
    load_sweep(&shipped.text(path).unwrap(), &shipped).unwrap()
}

#[test]
fn the_quick_sweep_has_its_rows_in_the_documented_order() {
    let expanded = shipped("scenarios/quick.yaml").expand(&Shipped::default()).unwrap();
    // Batch 64: 3 splits x 1 micro-batch (2 is left out) and 2 baselines; batch 1024: 3 x 2 and 2.
    assert_eq!((expanded.n_points, expanded.rows.len()), (2, 5 + 8));
    let rows: Vec<(u32, u32, String)> = expanded
        .rows
        .iter()
        .map(|row| {
            let scenario = &row.alternatives.as_ref().unwrap()[0];
            let batch = scenario.workload.batch();
            let what = match &scenario.strategy {
                Strategy::MaSeparation(split) => {
                    let Choice::Fixed(n) = split.n_micro_batches else { panic!("a number") };
                    format!("{}:{} x{n}", split.n_attention_gpus, split.n_expert_gpus)
                }
                Strategy::TpPp(_) | Strategy::DpEp(_) => row.name.clone(),
            };
            (row.point_idx, batch, what)
        })
        .collect();
    let expected = [
        (0, 64, "12:4 x1"),
        (0, 64, "10:6 x1"),
        (0, 64, "8:8 x1"),
        (0, 64, "tp_pp"),
        (0, 64, "dp_ep"),
        (1, 1024, "12:4 x1"),
        (1, 1024, "12:4 x2"),
        (1, 1024, "10:6 x1"),
        (1, 1024, "10:6 x2"),
        (1, 1024, "8:8 x1"),
        (1, 1024, "8:8 x2"),
        (1, 1024, "tp_pp"),
        (1, 1024, "dp_ep"),
    ];
    assert_eq!(rows, expected.map(|(point, batch, what)| (point, batch, what.to_owned())));
    assert!(expanded.rows.iter().zip(0..).all(|(row, idx)| row.row_idx == idx));
    let best = expanded.rows.last().unwrap();
    assert_eq!((best.best_of.as_deref(), best.alternatives.as_ref().unwrap().len()), (Some("tpot_us"), 2));
    assert!(expanded.axis_columns.is_empty());
}

/// 4 contexts x 3 batches x 2 loads = 24 points; 15 splits x 4 micro-batches + 3 baselines = 63 rows each.
#[test]
fn the_main_sweep_is_whole_and_shares_its_inputs() {
    let expanded = shipped("scenarios/ratios.yaml").expand(&Shipped::default()).unwrap();
    assert_eq!((expanded.n_points, expanded.rows.len()), (24, 24 * 63));
    let first = &expanded.rows[0].alternatives.as_ref().unwrap()[0];
    for row in &expanded.rows {
        for scenario in row.alternatives.as_ref().unwrap() {
            assert!(
                Arc::ptr_eq(&scenario.cluster, &first.cluster) && Arc::ptr_eq(&scenario.model, &first.model)
            );
        }
    }
    let skewed = &expanded.rows[63].alternatives.as_ref().unwrap()[0];
    assert_eq!(skewed.load, ExpertLoad::Zipf { exponent: 0.8 });
    let last = &expanded.rows[24 * 63 - 1].alternatives.as_ref().unwrap()[0];
    assert_eq!(last.workload, Workload::Decode { batch: 1024, context_len: ContextLen::Fixed(8192) });
}

#[test]
fn a_sweep_written_with_all_defaults_expands_to_the_same_rows() {
    for path in ["scenarios/quick.yaml", "scenarios/ratios.yaml"] {
        let sweep = shipped(path);
        let written = sweep.resolved_yaml();
        let again = load(&written);
        assert_eq!(again.resolved_yaml(), written);
        let rows = |sweep: &Sweep| {
            let expanded = sweep.expand(&Shipped::default()).unwrap();
            let rows =
                expanded.rows.into_iter().map(|row| (row.point_idx, row.name, row.axes, row.documents));
            rows.collect::<Vec<_>>()
        };
        assert_eq!(rows(&again), rows(&sweep));
    }
}

#[test]
fn axes_reach_into_the_files_that_references_name() {
    let expanded = expand(
        "base: decode.yaml\naxes:\n  - { cluster.gpu.memory.bandwidth: [x1, x2], cluster.scale_up.latency: [1 us, 2 us] }\n  \
         - { model.attention.head_dim: [64, 128] }\n  - { load: [{ kind: zipf, exponent: 1 }] }\n  - { load.exponent: [0.5] }\n",
    );
    let paths = [
        "cluster.gpu.memory.bandwidth",
        "cluster.scale_up.latency",
        "model.attention.head_dim",
        "load.exponent",
    ];
    assert_eq!(expanded.axis_columns, paths);
    let seen: Vec<(u64, u32)> = expanded
        .rows
        .iter()
        .map(|row| {
            let scenario = &row.alternatives.as_ref().unwrap()[0];
            assert_eq!(scenario.load, ExpertLoad::Zipf { exponent: 0.5 });
            let card = &scenario.cluster.gpus[15].card;
            (card.memory_bandwidth.bytes_per_sec(), scenario.model.attention.head_dim)
        })
        .collect();
    let (once, twice) = (2_039_000_000_000, 4_078_000_000_000);
    assert_eq!(seen, [(once, 64), (once, 128), (twice, 64), (twice, 128)]);
    let cells = ["x2", "2 us", "128", "0.5"].map(str::to_owned);
    let expected: BTreeMap<String, String> = paths.map(str::to_owned).into_iter().zip(cells).collect();
    assert_eq!(expanded.rows[3].axes, expected);
    let cluster = |idx: usize| &expanded.rows[idx].alternatives.as_ref().unwrap()[0].cluster;
    assert!(Arc::ptr_eq(cluster(0), cluster(1)) && !Arc::ptr_eq(cluster(1), cluster(2)));
}

/// A sweep that was written down stands in another folder than its base did.
#[test]
fn references_by_path_are_taken_in() {
    let mut shipped = Shipped::default();
    let decode = shipped.text("scenarios/decode.yaml").unwrap().text;
    let by_path = decode.replace("cluster: a100-4x4", "cluster: ../topologies/a100-4x4.yaml");
    shipped.replaced.insert("scenarios/by-path.yaml".to_owned(), by_path);
    let text = "base: by-path.yaml\naxes: [{ model: [./models/paper-4l.yaml, mixtral-8x7b] }]\n";
    let source = SourceText { path: "scenarios/x.yaml".to_owned(), text: text.to_owned() };
    let sweep = load_sweep(&source, &shipped).unwrap();
    assert!(sweep.resolved_yaml().contains("    name: a100-4x4\n"), "{}", sweep.resolved_yaml());
    let rows = sweep.expand(&shipped).unwrap().rows;
    let models = rows.iter().map(|row| row.alternatives.as_ref().unwrap()[0].model.name.clone());
    assert_eq!(models.collect::<Vec<_>>(), ["paper-4l", "mixtral-8x7b"]);
}

#[test]
fn baselines_drop_only_the_keys_that_name_the_strategy() {
    let expanded = expand(
        "base: decode.yaml\naxes:\n  - { workload.batch: [64, 128], strategy.n_micro_batches: [1, 2] }\n\
         baselines: [{ name: tp, strategy: { kind: tp_pp, tp: 16, pp: 1, dp: 1 } }]\n",
    );
    let batches: Vec<(u32, &str, u32)> = expanded
        .rows
        .iter()
        .map(|row| {
            let batch = row.alternatives.as_ref().unwrap()[0].workload.batch();
            (row.point_idx, row.name.as_str(), batch)
        })
        .collect();
    assert_eq!(batches, [(0, "ma_separation", 64), (0, "tp", 64), (1, "ma_separation", 128), (1, "tp", 128)]);
}

#[test]
fn a_row_that_makes_no_sense_carries_its_error() {
    let expanded = expand("base: decode.yaml\naxes: [{ strategy.n_attention_gpus: [12, 13] }]\n");
    assert!(expanded.rows[0].alternatives.is_ok());
    assert_eq!(
        expanded.rows[1].alternatives.as_ref().unwrap_err(),
        "`strategy.n_attention_gpus`: 13 attention GPUs and 4 expert GPUs make 17, but cluster `a100-4x4` has 16"
    );
}

#[test]
fn set_changes_the_base() {
    let mut sweep = shipped("scenarios/quick.yaml");
    sweep.set("workload.context_len", &Tree::parse_value("x2").unwrap(), &Shipped::default()).unwrap();
    let expanded = sweep.expand(&Shipped::default()).unwrap();
    let context_len = expanded.rows[0].alternatives.as_ref().unwrap()[0].workload.decode_context().unwrap();
    assert_eq!(context_len, ContextLen::Fixed(4096));
}

/// Messages on a sweep, its own text reachable as `scenarios/x.yaml`.
#[track_caller]
fn check(text: &str, expected: &str) {
    let mut shipped = Shipped::default();
    shipped.replaced.insert("scenarios/x.yaml".to_owned(), text.to_owned());
    let source = shipped.text("scenarios/x.yaml").unwrap();
    let error = load_sweep(&source, &shipped).and_then(|sweep| sweep.expand(&shipped)).expect_err(text);
    let hints = error.problems.iter().filter_map(|problem| problem.hint.clone());
    let found = std::iter::once(error.to_string()).chain(hints).collect::<Vec<_>>().join("\nhint: ");
    assert_eq!(found.replace("scenarios/x.yaml:", ""), expected);
}

#[test]
fn the_base_must_be_a_scenario() {
    check(
        "base: x.yaml\n",
        "1:7: `base`: `scenarios/x.yaml` is a sweep, because it has a `base`; expected a scenario",
    );
    check("base: nowhere.yaml\n", "1:7: `base`: there is no file `scenarios/nowhere.yaml`");
    check("base: { cluster: x }\n", "1:1: `base.model`: this key is required, but missing");
}

#[test]
fn axes_must_be_lists_of_equal_length() {
    check(
        "base: decode.yaml\naxes:\n  - { seed: [1, 2], workload.batch: [1] }\n  - { seed: [] }\n  - { load: 3 }\n  - {}\n",
        "3:21: `axes[0].workload.batch`: 1 values beside 2 of `seed`; expected lists of equal length\n\
         4:7: `axes[1].seed`: another item of `axes` has the same path\n\
         4:7: `axes[1].seed`: the list is empty; expected at least one value\n\
         5:13: `axes[2].load`: expected a list of values\n\
         6:5: `axes[3]`: the item is empty; expected a path and a list of values",
    );
}

#[test]
fn a_path_that_exists_nowhere_fails_early() {
    check(
        "base: decode.yaml\naxes:\n  - { workload.bach: [1, 2] }\n",
        "3:7: `axes[0].workload.bach`: `workload` has no key `bach`; it has `phase`, `batch`, `context_len`\n\
         hint: did you mean `batch`?",
    );
    check(
        "base: decode.yaml\naxes:\n  - { cluster.gpu.memory.bandwith: [1 GB/s] }\n",
        "3:7: `axes[0].cluster.gpu.memory.bandwith`: there is no such key; expected one of `size`, `bandwidth`\n\
         hint: did you mean `bandwidth`?",
    );
    check(
        "base: decode.yaml\nexclude:\n  - { load.exponent: 1 }\n",
        "3:22: `exclude[0].load.exponent`: `load` has no key `exponent`; it has `kind`",
    );
    check(
        "base: decode.yaml\naxes: [{ load: [x2] }]\n",
        "2:10: `axes[0].load`: `x2` multiplies a number or a quantity; found `{\"kind\":\"balanced\"}`",
    );
}

/// A baseline is one whatever it is called and however it is laid out; `tuned` left out is `true`.
#[test]
fn rows_say_on_which_side_they_stand() {
    let split = "{ kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8 }";
    let pipeline = "{ kind: tp_pp, tp: 8, pp: 2, dp: 1 }";
    let sides = |text: &str| -> Vec<(Side, bool)> {
        expand(text).rows.iter().map(|row| (row.side, row.tuned)).collect()
    };
    let text = format!(
        "base: decode.yaml\nbaselines:\n  - {{ name: a_literal, strategy: {pipeline} }}\n  \
         - {{ name: b, tuned: false, strategy: {pipeline} }}\n  - {{ name: c, tuned: true, strategy: {split} }}\n"
    );
    let expected =
        [(Side::Split, true), (Side::Baseline, true), (Side::Baseline, false), (Side::Baseline, true)];
    assert_eq!(sides(&text), expected);
    let mixed = format!("base: decode.yaml\naxes:\n  - {{ strategy: [{split}, {pipeline}] }}\n");
    assert_eq!(sides(&mixed), [(Side::Split, true), (Side::Baseline, true)]);
    let resolved = load(&text).resolved_yaml();
    assert_eq!(resolved.matches("tuned: true").count(), 2, "{resolved}");
    assert_eq!(resolved.matches("tuned: false").count(), 1, "{resolved}");
}

#[test]
fn conditions_and_baselines_are_checked() {
    check(
        "base: decode.yaml\nexclude: [{}, { seed: '> balanced' }]\nbaselines:\n  - { name: ma_separation, strategy: [] }\n  \
         - { name: b, best_of: x, strategy: { kind: dp_ep, dp: 1, ep: 2, tp: 3 } }\n",
        "2:11: `exclude[0]`: the item is empty and would leave out every point; expected a path and a condition\n\
         2:23: `exclude[1].seed`: `balanced` has no order; expected a number or a quantity after the sign\n\
         4:13: `baselines[0].name`: another strategy of this sweep is already called `ma_separation`\n\
         4:28: `baselines[0].strategy`: the list is empty; expected at least one strategy\n\
         4:28: `baselines[0].strategy`: a list of strategies needs `best_of`, the column by which the best is chosen\n\
         5:25: `baselines[1].best_of`: found `x`; expected one of `tpot_us`, `step_time_us`, `tokens_per_sec`, `tokens_per_sec_per_gpu`, `ttft_us`, `makespan_us`, `energy_per_token_j`",
    );
    check(
        "base: decode.yaml\nbaselines: [{ name: b, best_of: tpot_us, strategy: [{ kind: dp_ep, dp: 1 }] }]\n",
        "2:53: `baselines[0].strategy[0].tp`: this key is required, but missing",
    );
}

/// Messages on a column stand with a hint, which the one line of `check` does not show.
#[test]
fn a_misspelt_column_is_told_which_was_meant() {
    let text = "base: decode.yaml\nbaselines: [{ name: b, best_of: tpot_ms, strategy: [{ kind: dp_ep, dp: 16, ep: 16, tp: 1 }] }]\n";
    let source = SourceText { path: "scenarios/x.yaml".to_owned(), text: text.to_owned() };
    let error = load_sweep(&source, &Shipped::default()).unwrap_err();
    assert_eq!(error.problems[0].position, Some((2, 33)));
    assert_eq!(error.problems[0].hint.as_deref(), Some("did you mean `tpot_us`?"));
}

#[test]
fn more_rows_than_anybody_waits_for_are_refused() {
    let hundred = format!("{:?}", (1..=100).collect::<Vec<_>>());
    let text = format!(
        "base: decode.yaml\naxes: [{{ seed: {hundred} }}, {{ workload.batch: {hundred} }}, {{ n_steps: {hundred} }}, {{ workload.context_len: {hundred} }}]\n"
    );
    check(&text, "2:1: `axes`: the axes make more rows than 1000000");
}
