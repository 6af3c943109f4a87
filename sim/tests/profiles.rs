//! Shipped profiles at the command line: times of kernels, of scenarios, and their provenance.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs;

#[path = "common/command.rs"]
mod command;

use command::expect;
use serde_json::Value;

const VLLM: &str = "a100-sxm4-80gb-vllm";
const WITH_VLLM: [&str; 2] = ["--set", "profile=a100-sxm4-80gb-vllm"];

/// A list of work in a folder that vanishes with the returned value.
fn list() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ops.jsonl");
    let lines = [
        r#"{"family": "gemm", "dtype": "bf16", "m": 4096, "n": 8192, "k": 8192, "time_us": 2300.0}"#,
        r#"{"family": "attention_decode", "dtype": "bf16", "batch": 64, "kv_len": 4096, "n_heads": 32, "n_kv_heads": 8, "head_dim": 128}"#,
        r#"{"family": "collective", "kind": "all_reduce", "bytes": 1000000000, "n_gpus": 8}"#,
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn predicted(args: &[&str]) -> Vec<Value> {
    let (out, _) = expect(0, args);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(line: &Value, key: &str) -> f64 {
    line[key].as_f64().unwrap_or_else(|| panic!("{key} of {line}"))
}

/// The bounds: 2 x 4096 x 8192 x 8192 FLOP at 312 TFLOP/s = 1762 us; 64 x 4096 x 2 x 8 x 128 x 2 B of cache
/// at 2039 GB/s = 527 us; 2 x 7/8 GB over NVLink at 300 GB/s = 5833 us.
#[test]
fn work_takes_more_than_its_bound_and_has_an_interval() {
    let (_folder, path) = list();
    let lines = predicted(&["predict", &path, "--profile", VLLM, "--json"]);
    for (line, bound_us) in lines.iter().zip([1762.0, 527.0, 5833.0]) {
        let [low, time, high] = ["time_p05_us", "time_us", "time_p95_us"].map(|key| number(line, key));
        assert!(bound_us < time && time < 2.0 * bound_us, "{line}");
        assert!(low < high && 0.7 * time < low && high < 1.7 * time, "{line}");
    }
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["measured_us"], 2300.0);
    // The stack's own model inside of what was measured; one of all stacks together at best extrapolates.
    assert_eq!(
        (&lines[1]["provenance"], &lines[0]["provenance"]),
        (&"Fitted".into(), &"Extrapolated".into())
    );
}

/// 989 against 312 TFLOP/s: products are faster, by less than the ratio of the peaks.
#[test]
fn a_card_without_a_profile_has_the_same_physics() {
    let (_folder, path) = list();
    let other = predicted(&["predict", &path, "--gpu", "h100-sxm", "--json"]);
    let own = predicted(&["predict", &path, "--profile", VLLM, "--json"]);
    let ratio = number(&own[0], "time_us") / number(&other[0], "time_us");
    assert!(1.5 < ratio && ratio < 989.0 / 312.0 * 1.1, "{ratio}");
    assert_eq!((&other[0]["provenance"], &other[0]["time_p05_us"]), (&"Roofline".into(), &Value::Null));
}

#[test]
fn parameters_of_another_card_extrapolate() {
    let (folder, path) = list();
    let profile = folder.path().join("derived.yaml").display().to_string();
    expect(0, &["calibrate", "--derive", VLLM, "--gpu", "a100-sxm4-40gb", "-o", &profile]);
    let lines = predicted(&["predict", &path, "--profile", &profile, "--json"]);
    assert!(lines.iter().all(|line| line["provenance"] == "Extrapolated"), "{lines:?}");
    // 1555 instead of 2039 GB/s: reading caches takes longer there.
    let own = predicted(&["predict", &path, "--profile", VLLM, "--json"]);
    assert!(number(&lines[1], "time_us") > 1.15 * number(&own[1], "time_us"));
}

#[test]
fn every_time_of_a_step_is_explained() {
    let (out, _) = expect(0, &[&["explain", "scenarios/decode.yaml", "--json"], &WITH_VLLM[..]].concat());
    let found: Value = serde_json::from_str(&out).unwrap();
    let kernels = found["kernels"].as_array().unwrap();
    let total: f64 = kernels.iter().map(|kernel| number(kernel, "share")).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    let models = found["models"].as_array().unwrap();
    for kernel in kernels.iter().filter(|kernel| !kernel["family"].is_null()) {
        assert!(models.iter().any(|model| model["family"] == kernel["family"]), "{kernel}");
        assert!(!kernel["interval_us"].is_null(), "{kernel}");
    }
    assert!(models.iter().all(|model| model["source"].as_str().unwrap().contains("fitted to")), "{models:?}");
}

#[test]
fn a_scenario_has_an_interval_that_simulations_confirm() {
    let run = ["run", "scenarios/decode.yaml"];
    let (out, _) = expect(0, &[&run[..], &WITH_VLLM, &["--json"]].concat());
    let found: Value = serde_json::from_str(&out).unwrap();
    let row = &found["rows"][0];
    let [low, tpot, high] = ["tpot_p05_us", "tpot_us", "tpot_p95_us"].map(|key| number(row, key));
    assert!(low < tpot && tpot < high && row["profile"] == VLLM, "{low} {tpot} {high}");
    let (out, _) = expect(0, &[&run[..], &WITH_VLLM, &["--resimulate", "20"]].concat());
    assert!(out.contains("simulated") && out.contains("by account"), "{out}");
    let (_, error) = expect(1, &[&run[..], &["--resimulate", "20"]].concat());
    assert!(error.contains("needs the errors of models"), "{error}");
}

/// Products were repeated, attention was not; shares that are given hold for all.
#[test]
fn how_far_times_stray_is_explained() {
    let explained = |jitter: &str| {
        let set = ["--set", jitter];
        let (out, _) =
            expect(0, &[&["explain", "scenarios/decode.yaml", "--json"], &WITH_VLLM[..], &set].concat());
        let found: Value = serde_json::from_str(&out).unwrap();
        let families = found["jitter"].as_array().unwrap().clone();
        let width = |name: &str| {
            let line = families.iter().find(|it| it["family"] == name).unwrap();
            (number(line, "width"), line["source"].as_str().unwrap().to_owned())
        };
        ["gemm", "attention_decode", "p2p"].map(width)
    };
    let [gemm, attention, p2p] = explained("jitter=profile");
    assert!(0.005 < gemm.0 && gemm.0 < 0.05 && gemm.1.contains("a100-sxm4-80gb-generic"), "{gemm:?}");
    assert!(attention.0.abs() < 1e-12 && attention.1.contains("no row was repeated"), "{attention:?}");
    assert!(p2p.0 > 0.005, "{p2p:?}");
    let given = "jitter={ kernels: 0.02, communication: 0.05, source: made up }";
    let widths = explained(given).map(|(width, source)| (width, source == "given by the scenario"));
    assert_eq!(widths, [(0.02, true), (0.02, true), (0.05, true)]);
    let (out, _) =
        expect(0, &[&["run", "scenarios/decode.yaml", "--set", "jitter=profile"], &WITH_VLLM[..]].concat());
    assert!(out.contains("jitter: no repeated rows of attention_prefill, attention_decode, moe"), "{out}");
}
