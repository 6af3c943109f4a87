//! Measurements of whole models at the command line: prompts, tokens and joules through the simulator.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs;

#[path = "common/command.rs"]
mod command;

use command::expect;
use serde_json::Value;

fn json(args: &[&str]) -> (Value, String) {
    let (out, err) = expect(0, args);
    (serde_json::from_str(&out).unwrap(), err)
}

/// A set with one table in a folder that vanishes with the first value.
fn set(family: &str, table: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("lab");
    fs::create_dir(&set).unwrap();
    let cluster =
        "{ gpu: a100-sxm4-80gb, n_gpus_per_node: 8, scale_up: switch, n_nics_per_node: 8, nic: 25 GB/s }";
    let description =
        format!("gpu: a100-sxm4-80gb\nstack: vLLM\nsource: made up\nlicence: none\ncluster: {cluster}\n");
    fs::write(set.join("set.yaml"), description).unwrap();
    fs::write(set.join(format!("{family}.csv")), table).unwrap();
    let path = set.display().to_string();
    (folder, path)
}

/// Times that the shipped scenario has itself are predicted without error, which also says that what the
/// scenario assumes of the host is what validation assumes.
#[test]
fn a_set_is_compared_with_what_the_shipped_scenario_says() {
    let (found, _) = json(&["run", "scenarios/inference-bloom.yaml", "--json"]);
    let row = &found["rows"][0];
    let (prompt, token) = (row["ttft_us"].as_f64().unwrap(), row["tpot_us"].as_f64().unwrap());
    let table = format!(
        "model,tp,batch,prompt_len,output_len,time_us_prompt,time_us_per_token,average_power\n\
         BLOOM-176B,8,8,512,128,{prompt},{token},0\nbigscience/bloom,8,8,512,128,{},{},0\nnobody/none,8,8,512,128,1,1,0\n",
        prompt * 2.0,
        token / 2.0
    );
    let (_folder, set) = set("inference", &table);
    let (found, talk) = json(&["validate", &set, "--profile", "none", "--json"]);
    let bands: Vec<_> = found.as_array().unwrap().iter().map(|it| it["band"].as_str().unwrap()).collect();
    assert_eq!(bands, ["all", "prompt", "token"]);
    for (it, (n, n_missing, mape)) in
        found.as_array().unwrap().iter().zip([(4, 2, 0.375), (2, 1, 0.25), (2, 1, 0.5)])
    {
        assert_eq!((it["n"].as_u64(), it["n_missing"].as_u64()), (Some(n), Some(n_missing)), "{it}");
        assert!((it["mape"].as_f64().unwrap() - mape).abs() < 1e-6, "{it}");
    }
    assert!(
        talk.contains("`nobody/none` are not predicted: no") && !talk.contains("average_power"),
        "{talk}"
    );
}

#[test]
fn joules_are_judged_at_the_pace_that_was_measured() {
    // At one token a second all is idle: (60 + 38) W x 1 GPU, and next to nothing for the work.
    let table = "model,tp,pp,max_batch,mean_batch,mean_output_len,tokens_per_sec,energy_per_request_j,time_us_tpot\n\
                 meta-llama/Meta-Llama-3.1-8B-Instruct,1,1,32,31.9,100.0,1.0,9800,1000000\n";
    let (_folder, set) = set("inference_energy", table);
    let (found, _) = json(&["validate", &set, "--profile", "none", "--json"]);
    assert_eq!(found.as_array().unwrap().len(), 1);
    let bias = found[0]["bias"].as_f64().unwrap();
    assert!(0.0 < bias && bias < 0.02, "{found}");
}

#[test]
fn a_table_that_is_wrong_is_told_with_its_line() {
    let header = "model,tp,batch,prompt_len,output_len,time_us_prompt,time_us_per_token\n";
    for (row, message) in [
        ("bloom,0,1,1,1,1,1\n", "found `0`; expected a whole number from 1"),
        ("bloom,8,1,1,1,-4,1\n", "found `-4`; expected a number above 0"),
        (",8,1,1,1,1,1\n", "expected the name of a model"),
        ("", "holds no rows"),
    ] {
        let (_folder, set) = set("inference", &format!("{header}{row}"));
        let (_, error) = expect(1, &["validate", &set, "--profile", "none"]);
        assert!(error.contains("inference.csv:") && error.contains(message), "{error}");
    }
}
