//! Changes of a scenario in memory.

use masim_core::inputs::text::Tree;
use masim_core::scenario::Patcher;
use masim_tests::Shipped;

/// The decode scenario with `path` set to `value`: the new value, or what is wrong.
fn patched(path: &str, value: &str) -> Result<String, String> {
    let shipped = Shipped::default();
    let source = shipped.text("scenarios/decode.yaml").unwrap();
    let patcher = Patcher::new(&shipped, &source.path);
    let mut tree = patcher.filled(&Tree::parse(&source).unwrap(), &source).unwrap();
    let value = Tree::parse_value(value).unwrap();
    let done = patcher.apply(&mut tree, path, &value).and_then(|()| patcher.value(&tree, path));
    done.map(|value| value.to_cell()).map_err(|problem| problem.message)
}

#[test]
fn values_are_absolute_or_factors() {
    assert_eq!(patched("workload.batch", "7").unwrap(), "7");
    assert_eq!(patched("workload.batch", "x0.5").unwrap(), "512");
    assert_eq!(patched("workload.batch", "x1.1").unwrap(), "1126.4");
    assert_eq!(patched("load", "{ kind: uniform }").unwrap(), r#"{"kind":"uniform"}"#);
    assert_eq!(patched("cluster.scale_out.bandwidth", "x1.1").unwrap(), "27.5 GB/s");
    assert_eq!(patched("cluster.gpu.peak.bf16", "x2").unwrap(), "624 TFLOP/s");
    assert_eq!(patched("cluster.gpu.roofline.memory", "x0.5").unwrap(), "0.4");
    assert_eq!(patched("model.attention.head_dim", "x2").unwrap(), "128");
    assert_eq!(patched("cluster", "a100-2x8").unwrap(), "a100-2x8");
}

#[test]
fn keys_that_a_file_may_leave_out_can_be_set() {
    assert_eq!(patched("seed", "5").unwrap(), "5");
    assert_eq!(patched("strategy.forward", "node").unwrap(), "node");
    assert_eq!(patched("cluster.scale_out.oversubscription", "2").unwrap(), "2");
    assert_eq!(patched("model.vocab", "null").unwrap(), "null");
    let host = r#"{"per_launch":"5 us"}"#;
    assert_eq!(patched("host_overhead", "{ per_launch: 5 us }").unwrap(), host);
}

#[test]
fn a_path_that_does_not_exist_is_told_what_does() {
    let message = |path: &str, value: &str| patched(path, value).unwrap_err();
    assert_eq!(
        message("workload.bach", "1"),
        "`workload` has no key `bach`; it has `phase`, `batch`, `context_len`"
    );
    assert_eq!(message("workload.batch.x", "1"), "`workload.batch` is `1024` and has no key `x`");
    assert!(message("workloads", "1").starts_with("the scenario has no key `workloads`; it has `cluster`,"));
    assert!(
        message("cluster.scale_outt", "1").starts_with("there is no such key; expected one of `schema`,")
    );
    assert_eq!(message("faults.0", "1"), "`faults` is a list of 0 and has no item `0`");
    assert_eq!(message("", "1"), "the path is empty");
}

#[test]
fn a_factor_needs_something_to_multiply() {
    let message = |path: &str| patched(path, "x2").unwrap_err();
    assert_eq!(message("launch"), "`x2` multiplies a number or a quantity; found `graph`");
    assert_eq!(message("strategy.n_micro_batches"), "`x2` multiplies a number or a quantity; found `auto`");
    assert_eq!(
        message("workload"),
        r#"`x2` multiplies a number or a quantity; found `{"phase":"decode","batch":1024,"context_len":2048}`"#
    );
}
