//! The command line as a user and as a script meet it: exit codes, places of mistakes, nothing half-written.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary, started at the top of the project, so that its folders are found.
fn masim(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masim"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    command.args(args).current_dir(root).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    masim(args).output().unwrap()
}

/// Runs, expects `code`, and returns standard output and standard error.
#[track_caller]
fn expect(code: i32, args: &[&str]) -> (String, String) {
    let output = run(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "masim {}\n{out}\n{err}", args.join(" "));
    (out, err)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file with `content` in a folder that vanishes with the returned value.
fn file(name: &str, content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

const SCENARIO: &str = "\
cluster: a100-4x4
model: paper-4l
workload: { phase: decode, batch: 64, context_len: 512 }
strategy:
  kind: ma_separation
  n_attention_gpus: 12
  n_expert_gpus: 4
";

#[test]
fn help_and_version_are_answers() {
    let (help, err) = expect(0, &["--help"]);
    assert!(help.contains("Examples:") && err.is_empty(), "{help}{err}");
    let (version, _) = expect(0, &["--version"]);
    assert!(version.starts_with("masim ") && version.contains("(commit "), "{version}");
    assert!(version.contains("schemas: ") && version.contains("scenario 1"), "{version}");
}

#[test]
fn every_command_has_help_with_examples() {
    for command in [&["check"][..], &["network"], &["topology", "show"], &["completions"]] {
        let (help, _) = expect(0, &[command, &["--help"]].concat());
        assert!(help.contains("Example"), "{help}");
    }
}

/// 64 MB at 1 GB/s is 64 ms: here 2 x 3/4 x 64 MB over the three wires of each GPU at 100 GB/s, 320 us.
#[test]
fn a_collective_is_shown_by_every_way() {
    let args = ["collective", "all_reduce", "--bytes", "64MB", "--cluster", "a100-4x4", "--json"];
    let (out, _) = expect(0, &[&args[..], &["--gpus", "n0.g0..n0.g3"]].concat());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let ways = json["ways"].as_array().unwrap();
    let ring = ways.iter().find(|way| way["algorithm"] == "ring").unwrap();
    // Six hops of 0.5 us and a launch of 1.5 us.
    assert!((ring["time_us"].as_f64().unwrap() - 324.5).abs() < 1e-5, "{ring}");
    assert_eq!(ways.iter().filter(|way| way["chosen"] == true).count(), 1, "{ways:?}");
    let profile = ["--profile", "a100-sxm4-80gb-generic", "--compressed", "int8"];
    let (out, _) = expect(0, &[&args[..], &["--gpus", "all"], &profile].concat());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(json["ways"].as_array().unwrap().len() > 10 && json["compressed"]["speedup"].is_f64(), "{json}");
    for (gpus, problem) in [
        ("n0.g0", "names 1 GPU(s)"),
        ("n0.g0,n0.g1,n0.g0", "`n0.g0` is named twice"),
        ("n0.g0..n0.g2,n0.g2..n1.g0", "`n0.g2` is named twice"),
        ("all,n3.g3", "`n3.g3` is named twice"),
        ("n0.g0..n9.g0", "n9.g0"),
        ("n1.g0..n0.g0", "runs backwards"),
    ] {
        let (_, err) = expect(1, &[&args[..], &["--gpus", gpus]].concat());
        assert!(err.contains(problem), "{err}");
    }
    for (bytes, problem) in [
        ("0", "expected 1 B to 1 PiB"),
        ("2000 TB", "expected 1 B to 1 PiB"),
        ("99999999999999999999 TB", "range"),
    ] {
        let args = ["collective", "all_reduce", "--bytes", bytes, "--cluster", "a100-4x4", "--gpus", "all"];
        let (_, err) = expect(1, &args);
        assert!(err.contains(problem), "{err}");
    }
    // A single byte and a pebibyte are sizes like others.
    for bytes in ["1 B", "1024 TiB"] {
        for kind in ["all_reduce", "all_to_all", "broadcast"] {
            expect(0, &["collective", kind, "--bytes", bytes, "--cluster", "a100-4x4", "--gpus", "all"]);
        }
    }
}

/// One algorithm on 1,024 GPUs is worked out alone, without the million flows of the others.
#[test]
fn a_large_group_is_asked_for_one_way() {
    let args =
        ["collective", "broadcast", "--bytes", "1 MB", "--cluster", "fabric-1024", "--gpus", "all", "--json"];
    let (out, _) = expect(0, &[&args[..], &["--algorithm", "ring"]].concat());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["ways"].as_array().unwrap().len(), 1, "{json}");
    let (_, err) = expect(1, &[&args[..], &["--algorithm", "rings"]].concat());
    assert!(err.contains("no way `rings` to do broadcast"), "{err}");
}

/// Ten million flows are more than a file may hold, packed or not: they are refused before they are read.
#[test]
fn a_packed_file_of_any_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.jsonl.gz");
    let mut packed =
        flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
    for _ in 0..257 {
        packed.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    packed.finish().unwrap();
    let (_, err) = expect(1, &["network", &path.display().to_string()]);
    assert!(err.contains("more than 256 MiB"), "{err}");
}

/// Sizes of patterns that do not fit, or would move until after all time.
#[test]
fn patterns_of_absurd_size_end_or_are_told() {
    let pattern = |bytes, pattern| {
        let args = ["network", "--cluster", "a100-4x4", "--pattern", pattern, "--bytes", bytes];
        run(&args)
    };
    for kind in ["all_to_all", "ring", "incast", "permutation"] {
        assert_eq!(pattern("0 B", kind).status.code(), Some(0), "{kind}");
        let huge = pattern("1000000 TB", kind);
        assert_eq!(huge.status.code(), Some(1), "{kind}");
        assert!(text(&huge.stderr).contains("ends after 213 simulated days"), "{}", text(&huge.stderr));
        assert!(text(&pattern("2000000 TB", kind).stderr).contains("out of range"));
    }
}

#[test]
fn wrong_flags_are_the_users_mistake() {
    for args in [&[][..], &["chekc"], &["check"], &["check", "--fast"], &["completions", "sh"]] {
        let (out, err) = expect(1, args);
        assert!(out.is_empty(), "standard output is for data: {out}");
        assert!(err.contains("Usage") || err.contains("--help"), "{err}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (out, err) = expect(1, &["check", "scenarios/none.yaml"]);
    assert!(out.is_empty(), "{out}");
    assert!(err.starts_with("error: failed to read `scenarios/none.yaml`: "), "{err}");
    assert!(err.contains("  hint: "), "{err}");
}

#[test]
fn a_folder_is_no_file() {
    let (_, err) = expect(1, &["check", "scenarios"]);
    assert!(err.contains("`scenarios`") && err.contains("hint: name a file in it"), "{err}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let (_folder, path) = file("x.yaml", "");
    fs::write(&path, b"name: \xff\xfe").unwrap();
    let (_, err) = expect(1, &["check", &path]);
    assert!(err.contains("is not a text in UTF-8: byte 6"), "{err}");
}

#[test]
fn a_sound_scenario_is_printed_with_its_defaults() {
    let (_folder, path) = file("x.yaml", SCENARIO);
    let (out, err) = expect(0, &["check", &path]);
    assert!(err.is_empty(), "{err}");
    for line in ["seed: 1", "launch: graph", "  dispatch: m2n"] {
        assert!(out.lines().any(|found| found == line), "{line} in {out}");
    }
}

/// Ten ways to get a file wrong: what to change in [`SCENARIO`], and place and message that must come back.
const BAD: [(&str, &str, &str, &str); 10] = [
    ("batch: 64", "bach: 64", ":3:", "`batch`"),
    ("batch: 64", "batch: many", ":3:", "whole number"),
    ("batch: 64", "batch: 0", ":3:", "batch"),
    ("decode", "dekode", ":3:", "did you mean `decode`?"),
    ("model: paper-4l", "model: paper-5l", ":2:", "did you mean `paper-4l`?"),
    ("cluster: a100-4x4", "cluster: a100-5x4", ":1:", "did you mean `a100-4x4`?"),
    ("n_expert_gpus: 4", "n_expert_gpus: 5", ":", "16"),
    ("kind: ma_separation", "kind: ma_separtion", ":5:", "did you mean `ma_separation`?"),
    ("  n_expert_gpus: 4\n", "", ":", "n_expert_gpus"),
    ("workload: {", "workload: [", ":3:", ""),
];

#[test]
fn mistakes_are_shown_where_they_stand() {
    for (sound, wrong, place, message) in BAD {
        assert!(SCENARIO.contains(sound), "{sound}");
        let (_folder, path) = file("x.yaml", &SCENARIO.replacen(sound, wrong, 1));
        let (out, err) = expect(1, &["check", &path]);
        assert!(out.is_empty(), "{out}");
        assert!(err.contains(&format!("x.yaml{place}")), "{wrong}: expected {place}\n{err}");
        assert!(err.contains(message), "{wrong}: expected {message}\n{err}");
        assert!(!err.contains('\u{1b}'), "no colour in a pipe: {err:?}");
        assert!(err.trim_end().ends_with("x.yaml"), "a count of the problems ends it\n{err}");
    }
}

#[test]
fn all_files_are_checked_though_the_first_is_wrong() {
    let (_folder, path) = file("x.yaml", "nonsense: 1\n");
    let (out, err) = expect(1, &["check", &path, "topologies/a100-4x4.yaml"]);
    assert!(out.contains("a cluster, 16 GPUs"), "{out}");
    assert!(err.contains("this is no file of masim"), "{err}");
}

#[test]
fn a_route_leads_over_links() {
    let (out, _) = expect(0, &["topology", "show", "a100-4x4", "--route", "n0.g0", "n1.g2"]);
    assert!(out.starts_with("n0.g0 -> "), "{out}");
    let (json, _) = expect(0, &["topology", "show", "a100-4x4", "--json", "--route", "n0.g0", "n0.g1"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["gpus"].as_array().unwrap().len(), 16);
    assert_eq!(value["route"]["links"][0], "n0.g0->n0.g1");
}

#[test]
fn a_gpu_that_is_not_there_is_answered_with_those_that_are() {
    let (_, err) = expect(1, &["topology", "show", "a100-4x4", "--route", "n0.g0", "n0.g4"]);
    assert!(err.contains("`n0.g4` is not a GPU of `a100-4x4`; expected `n0.g0` to `n3.g3`"), "{err}");
    let (_, err) = expect(1, &["topology", "show", "a100-4x4", "--route", "n0.g0", "n0.g0"]);
    assert!(err.contains("twice"), "{err}");
}

/// 1,000,000 B at 1 GB/s after 1 us of latency end at 1.001 ms.
const CASE: &str = r#"{"case":"one","topology":{"name":"t","nodes":["a","b"],"hosts":["a","b"],"links":[{"id":0,"src":"a","dst":"b","bw":1e9,"lat":1e-6}]},"flows":[{"id":0,"src":"a","dst":"b","bytes":1000000,"start_ns":0,"route":[0]}],"expect":{"finish_s":[0.001001]}}"#;

#[test]
fn a_flow_set_runs_and_compares() {
    let (_folder, path) = file("flows.jsonl", &format!("{CASE}\n{CASE}\n"));
    let (out, _) = expect(0, &["network", &path, "--json"]);
    assert_eq!(out.lines().count(), 2);
    let value: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(value["finish_s"][0].as_f64().unwrap().to_bits(), 0.001_001_f64.to_bits());
    expect(0, &["network", &path, "--compare"]);
}

#[test]
fn an_exceeded_bound_has_a_code_of_its_own() {
    let (_folder, path) = file("flows.jsonl", &CASE.replace("0.001001", "0.002"));
    let (out, err) = expect(3, &["network", &path, "--compare", "--tolerance", "0.1"]);
    assert!(out.contains("one"), "the comparison is printed all the same: {out}");
    assert!(err.contains("1 of 1 flows"), "{err}");
}

#[test]
fn a_bad_case_is_named_with_its_line_and_nothing_is_printed() {
    let bad = [
        ("\"route\":[0]", "\"route\":[7]", "`route` names link 7"),
        (
            "\"src\":\"a\",\"dst\":\"b\",\"bytes\"",
            "\"src\":\"b\",\"dst\":\"a\",\"bytes\"",
            "link 0 begins at `a`",
        ),
        ("\"bw\":1e9", "\"bw\":0", "`bw` is 0"),
        ("[0.001001]", "[1,2]", "2 ends for 1 flows"),
        ("\"bytes\":1000000", "\"bytes\":-1", "-1"),
        ("\"route\":[0]}", "\"speed\":1}", "speed"),
    ];
    for (sound, wrong, message) in bad {
        assert!(CASE.contains(sound), "{sound}");
        let (_folder, path) = file("flows.jsonl", &format!("{CASE}\n{}\n", CASE.replacen(sound, wrong, 1)));
        let (out, err) = expect(1, &["network", &path, "--json"]);
        assert!(out.is_empty(), "{out}");
        assert!(err.contains("flows.jsonl:2:") && err.contains(message), "{wrong}\n{err}");
    }
}

#[test]
fn a_cluster_brings_its_routes() {
    let case = r#"{"case":"c","topology":"a100-4x4","flows":[{"id":0,"src":"n0.g0","dst":"n1.g0","bytes":25000000,"start_ns":0}]}"#;
    let (_folder, path) = file("flows.jsonl", case);
    let (out, _) = expect(0, &["network", &path, "--json"]);
    // 25 MB at 25 GB/s are 1 ms, and six hops add 4 us.
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["finish_s"][0].as_f64().unwrap().to_bits(), 0.001_004_f64.to_bits());
}

#[test]
fn a_reader_that_leaves_is_no_mistake() {
    let mut child =
        masim(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_said() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = masim(&["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("failed to write to standard output"));
}

/// A command that waits for its input is interrupted, as Ctrl-C would do it.
#[test]
#[cfg(unix)]
fn an_interruption_has_a_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let path = pipe.display().to_string();
    let child = masim(&["network", &path]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Opening it returns once masim has opened the other end, when its handler is in place.
    let writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    drop(writer);
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).contains("interrupted"));
}

/// A sweep of a thousand rows, interrupted once it simulates, leaves an older report as it was.
#[test]
#[cfg(unix)]
fn an_interrupted_sweep_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let sweep = |file: &str| masim(&["sweep", file, "--out", out.to_str().unwrap(), "--threads", "1"]);
    let quick = sweep("scenarios/quick.yaml").output().unwrap();
    assert_eq!(quick.status.code(), Some(0), "{}", text(&quick.stderr));
    let before: Vec<_> = files_below(&out).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let mut child =
        sweep("scenarios/ratios.yaml").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its first line says that the rows begin.
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    talk.read_line(&mut first).unwrap();
    assert!(first.contains("points"), "{first}");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty());
    let after: Vec<_> = files_below(&out).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    assert!(before == after, "the report that was there is as it was");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies beside it");
}

/// Wrong command lines, and the expected messages.
const WRONG: [(&[&str], &str); 12] = [
    (&["run", "scenarios/ratios.yaml"], "a sweep was found where a scenario was expected"),
    (&["sweep", "scenarios/decode.yaml"], "a scenario was found where a sweep was expected"),
    (&["run", "scenarios/decode.yaml", "--set", "workload.bach=3"], "did you mean `batch`?"),
    (
        &["run", "scenarios/decode.yaml", "--set", "workload.batch=-5"],
        "the number -5; expected a whole number",
    ),
    (
        &["run", "scenarios/decode.yaml", "--set", "n_steps=0"],
        "0 is out of range; expected 1 to 1000, from `--set n_steps=0`",
    ),
    (&["run", "scenarios/decode.yaml", "--row", "1"], "cannot be used with"),
    (
        &["run", "--from", "reports/none/results.csv", "--row", "1"],
        "failed to read `reports/none/results.csv`",
    ),
    (&["run", "scenarios/decode.yaml", "--dag", "x.svg"], "neither .dot nor .json"),
    (&["sweep", "scenarios/quick.yaml", "--threads", "100000"], "100000 is not in 1..=1024"),
    (
        &["sweep", "scenarios/quick.yaml", "--set", "workload.batch=12"],
        "every row has a value of the axis `workload.batch`",
    ),
    (
        &["network", "tests/data/simgrid/edge.jsonl", "--compare", "--tolerance", "-1"],
        "expected a share from 0 to 1",
    ),
    (
        &["run", "scenarios/decode.yaml", "--set", "cluster.scale_out.bandwidth=1 B/s"],
        "ends after 213 simulated days",
    ),
];

#[test]
fn what_is_typed_wrong_is_said_and_no_panic() {
    for (args, message) in WRONG {
        let (out, err) = expect(1, args);
        assert!(err.contains(message), "{args:?}\n{err}");
        assert!(out.is_empty() || message.ends_with("213 simulated days"), "{args:?}\n{out}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_without_an_end_is_refused() {
    let (_, err) = expect(1, &["check", "/dev/zero"]);
    assert!(err.contains("more than 256 MiB"), "{err}");
}

/// All files below `folder`.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn reading_commands_write_nothing() {
    let (folder, path) = file("x.yaml", SCENARIO);
    expect(0, &["check", &path]);
    assert_eq!(files_below(folder.path()), [PathBuf::from(&path)]);
}
