//! Measurement sets and profiles at the command line, and the shipped profiles against the reference data.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "common/command.rs"]
mod command;

use command::{expect, root};
use serde_json::Value;

/// A set of sends between pairs in a folder that vanishes with the returned value.
fn set() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("lab");
    fs::create_dir(&set).unwrap();
    let description = "gpu: a100-sxm4-80gb\nstack: s\nsource: a laboratory\nlicence: MIT\n";
    fs::write(set.join("set.yaml"), description).unwrap();
    let mut table = "scope,bytes_per_pair,n_pairs,time_us,model\n".to_owned();
    for n_pairs in [1, 2, 4] {
        writeln!(table, "intra_node,1024,{n_pairs},38,x\nintra_node,100000000,{n_pairs},420,x").unwrap();
    }
    fs::write(set.join("p2p.csv"), table).unwrap();
    let path = set.display().to_string();
    (folder, path)
}

#[test]
fn a_set_becomes_a_profile_that_is_judged_by_rows_kept_aside() {
    let (folder, set) = set();
    let profile = folder.path().join("lab-profile.yaml").display().to_string();
    let (table, talk) = expect(0, &["calibrate", &set, "-o", &profile]);
    assert!(table.contains("held out") && talk.contains("columns that are not used: model"), "{table}{talk}");
    let (json, _) = expect(0, &["validate", &set, "--profile", &profile, "--json"]);
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found[0]["set"], "lab");
    assert_eq!((&found[0]["band"], &found[0]["n"]), (&Value::from("all"), &Value::from(2)));
    expect(0, &["validate", &set, "--profile", &profile, "--max-mape", "0.5"]);
    let (_, error) = expect(3, &["validate", &set, "--profile", &profile, "--max-mape", "0.0000001"]);
    assert!(error.contains("above 0.0 %: lab p2p"), "{error}");
}

#[test]
fn sets_that_are_wrong_end_with_their_place() {
    let (folder, set) = set();
    let profile = folder.path().join("p.yaml").display().to_string();
    fs::write(Path::new(&set).join("p2p.csv"), "scope,bytes_per_pair,n_pairs,time_us\nhere,1,1,1\n").unwrap();
    let (out, error) = expect(1, &["calibrate", &set, "-o", &profile]);
    assert!(
        out.is_empty() && error.contains("p2p.csv:2") && error.contains("expected one of intra_node"),
        "{error}"
    );
    assert!(!Path::new(&profile).exists());
    let nowhere = folder.path().display().to_string();
    let (_, error) = expect(1, &["validate", &nowhere, "--profile", "a100-sxm4-80gb-generic"]);
    assert!(error.contains("is no measurement set: it has no `set.yaml`"), "{error}");
}

/// A log of two sizes on eight GPUs, made up in the form of nccl-tests 2.18.
const LOG: &str = "\
# nccl-tests version 2.18.3 nccl-headers=23003 nccl-library=22807
# Collective test starting: all_reduce_perf
# nThread 1 nGpus 8 minBytes 1024 maxBytes 2048 step: 2(factor) warmup iters: 1 iters: 20 agg iters: 1 validation: 1 graph: 0
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
        1024           256     float     sum      -1    20.50    0.05    0.09      0    19.00    0.05    0.09      0
     1048576        262144     float     sum      -1    40.50    0.05    0.09      0    39.00    0.05    0.09      0
";

#[test]
fn a_log_becomes_a_set_that_can_be_judged_and_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (log, set) = (folder.path().join("a.log"), folder.path().join("lab"));
    fs::write(&log, LOG).unwrap();
    let [log, set] = [log, set].map(|path| path.display().to_string());
    let said = ["--gpu", "a100-sxm4-80gb", "--source", "a laboratory: ours", "--licence", "CC0-1.0"];
    let mut args = vec!["import", "nccl-tests", &log, "-o", &set];
    args.extend(said);
    expect(0, &args);
    let table = fs::read_to_string(Path::new(&set).join("collective.csv")).unwrap();
    assert_eq!(
        table,
        "kind,bytes,n_gpus,n_nodes,time_us\nall_reduce,1024,8,1,20.5\nall_reduce,1048576,8,1,40.5\n"
    );
    let (json, _) = expect(0, &["validate", &set, "--profile", "a100-sxm4-80gb-generic", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()[0]["n"], 2);
    let (_, error) = expect(1, &args);
    assert!(error.contains("is there already") && error.contains("--overwrite"), "{error}");
    args.push("--overwrite");
    expect(0, &args);
    fs::write(Path::new(&set).join("notes.txt"), "mine").unwrap();
    let (_, error) = expect(1, &args);
    assert!(error.contains("holds `notes.txt`"), "{error}");
}

#[test]
fn a_predictor_is_trained_on_the_cost_model_and_asked() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("p.yaml");
    let path = profile.display().to_string();
    let (table, _) =
        expect(0, &["calibrate", "--predictor", "--simulate", "scenarios/decode.yaml", "-o", &path]);
    assert!(table.contains("predictor: attention") && table.contains("predictor: moe"), "{table}");
    let list = folder.path().join("ops.jsonl");
    let work = r#"{"family": "attention_decode", "dtype": "bf16", "batch": 64, "kv_len": 2048, "n_heads": 32, "n_kv_heads": 32, "head_dim": 64}"#;
    fs::write(&list, work).unwrap();
    let [list, profile] = [&list, &profile].map(|path| path.display().to_string());
    let (json, _) = expect(0, &["predict", &list, "--profile", &profile, "--predictor", "--json"]);
    let found: Value = serde_json::from_str(&json).unwrap();
    // The cache: 64 x 2048 x 2 x 2048 x 2 B = 1.07 GB at 0.80 x 2039 GB/s takes 658 us.
    let time_us = found["time_us"].as_f64().unwrap();
    assert!((time_us / 658.0 - 1.0).abs() < 0.1 && found["provenance"] == "Fitted", "{json}");
    let (_, error) = expect(1, &["predict", &list, "--profile", "a100-sxm4-80gb-generic", "--predictor"]);
    assert!(error.contains("has no predictor"), "{error}");
}

/// Every shipped profile names its sets; what it says of rows kept aside is what those rows give.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn shipped_profiles_state_the_errors_that_they_have() {
    let Some(reference) = std::env::var_os("MASIM_REFERENCE").map(PathBuf::from) else {
        eprintln!("skipped: MASIM_REFERENCE is not set");
        return;
    };
    let mut n_compared = 0;
    for entry in fs::read_dir(root().join("topologies/profiles")).unwrap() {
        let path = entry.unwrap().path().display().to_string();
        let profile: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for (family, fitted) in profile["families"].as_object().unwrap() {
            let names = fitted["sets"].as_array().unwrap().iter();
            let names = names.map(|set| set["name"].as_str().unwrap());
            let sets: Vec<_> =
                names.map(|name| reference.join("data").join(name).display().to_string()).collect();
            let mut args = vec!["validate", "--profile", &path, "--json"];
            args.extend(sets.iter().map(String::as_str));
            let found: Value = serde_json::from_str(&expect(0, &args).0).unwrap();
            let of_family = found.as_array().unwrap().iter();
            let of_family = of_family.filter(|it| it["family"] == **family && it["band"] == "all");
            let (mut n, mut sum) = (0.0, 0.0);
            for it in of_family {
                n += it["n"].as_f64().unwrap();
                sum += it["n"].as_f64().unwrap() * it["mape"].as_f64().unwrap();
            }
            let stated = &fitted["error"]["held_out"];
            assert_eq!(Some(n), stated["n"].as_f64(), "{path} {family}");
            let mape = stated["mape"].as_f64().unwrap();
            assert!((sum / n - mape).abs() < 1e-4, "{path} {family}: {} is stated, {} found", mape, sum / n);
            n_compared += 1;
        }
    }
    assert!(n_compared >= 3, "the shipped profiles hold three families, found {n_compared}");
}
