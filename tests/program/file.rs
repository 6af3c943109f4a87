//! A program that is written and read is the same program.

use masim_core::program::RecordedProgram;
use serde_json::Value;

use crate::cases::cases;

#[test]
fn a_program_survives_its_file() {
    for case in cases() {
        let recorded = case.recorded(2);
        let read = RecordedProgram::from_json(&recorded.to_json());
        assert!(read.as_ref() == Ok(&recorded), "{}: {:?}", case.name, read.err());
    }
}

/// The paper's model has 4 layers. The first holds the heads of the step before, so that the second finds its inputs at
/// other distances; the last two are one part.
#[test]
fn equal_layers_are_written_once() {
    let case = cases().next().unwrap();
    let json: Value = serde_json::from_str(&case.recorded(1).to_json()).unwrap();
    let parts = json["skeleton"]["parts"].as_array().unwrap();
    let shape: Vec<_> =
        parts.iter().map(|part| (part["layer"].as_u64(), part["repeat"].as_u64().unwrap())).collect();
    assert_eq!(shape, [(None, 1), (Some(0), 1), (Some(1), 1), (Some(2), 2), (None, 1)], "{}", case.name);
}

/// A file whose instruction waits for a later one, names a rank too many, a kernel that nobody knows, or another order.
#[test]
fn a_program_that_cannot_run_is_refused() {
    let text = cases().next().unwrap().recorded(1).to_json();
    let json: Value = serde_json::from_str(&text).unwrap();
    let broken = |path: &str, value: Value| {
        let mut json = json.clone();
        *json.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
        RecordedProgram::from_json(&json.to_string()).unwrap_err().to_string()
    };
    let first = json.pointer("/skeleton/parts/1/instrs/0/needs").unwrap();
    assert!(first.is_array());
    let cases = [
        ("/schema", Value::from(7), "schema: 7; expected 1"),
        (
            "/skeleton/parts/1/instrs/0/needs",
            serde_json::json!([{ "after": 99 }]),
            "does not stand before it",
        ),
        ("/skeleton/groups/0/0", Value::from(99), "rank 99 of 16"),
        ("/skeleton/parts/1/instrs/0/activity", Value::from("nap"), "unknown activity `nap`"),
        ("/skeleton/parts/2/repeat", Value::from(u32::MAX), "instructions; at most"),
        ("/order/0/compute", serde_json::json!([]), "order.0: the queues differ"),
        ("/sizes/0/rows", serde_json::json!([1, 2]), "sizes.0: fewer than the"),
    ];
    for (path, value, expected) in cases {
        let found = broken(path, value);
        assert!(found.contains(expected), "{path}: {found}");
    }
    assert!(RecordedProgram::from_json("{").unwrap_err().to_string().contains("line 1"));
}
