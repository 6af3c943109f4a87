//! The YAML files that ship.

use serde_json::{Map, Value};

use crate::{assert_none, files};

fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn every_yaml_file_parses() {
    let all = files("", ".yaml").into_iter().chain(files("", ".yml")).chain(files("", ".cff"));
    let findings: Vec<_> = all
        .filter_map(|file| parse(&file.text).err().map(|error| format!("{}: {error}", file.path)))
        .collect();
    assert_none(&findings, "YAML files parse");
}

#[test]
fn every_hardware_number_has_a_source() {
    let mut findings = Vec::new();
    for file in files("topologies", ".yaml") {
        let value = parse(&file.text).expect("another test says where it is wrong");
        for place in unsourced(&value) {
            findings.push(format!("{}: {place}", file.path));
        }
    }
    assert_none(&findings, "a hardware quantity stands in a block with a `source`");
}

/// Paths of the quantities that no `source` covers.
fn unsourced(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(value, "", false, &mut found);
    found
}

/// `has_source`: a block around this value names one.
fn walk(value: &Value, path: &str, has_source: bool, found: &mut Vec<String>) {
    match value {
        Value::Object(block) => {
            // Efficiencies are no datasheet's: the source of the card does not cover them.
            let is_inherited = has_source && !path.ends_with(".roofline");
            let has_source = is_inherited || states_source(block);
            for (key, value) in block {
                walk(value, &format!("{path}.{key}"), has_source, found);
            }
        }
        Value::Array(items) => {
            for (idx, item) in items.iter().enumerate() {
                walk(item, &format!("{path}[{idx}]"), has_source, found);
            }
        }
        Value::String(text) if is_quantity(text) && !has_source => found.push(path.to_owned()),
        Value::Number(number) if number.is_f64() && !has_source => found.push(path.to_owned()),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn states_source(block: &Map<String, Value>) -> bool {
    block.get("source").and_then(Value::as_str).is_some_and(|source| source.len() > 3)
}

/// A number, a space, a unit.
fn is_quantity(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(number, _)| number.parse::<f64>().is_ok())
}

#[test]
fn a_number_without_a_source_is_found() {
    let text = "a: { x: 25 GB/s, source: s p e c }\nsource: datasheet\nroofline: { memory: 0.8 }\n";
    assert_eq!(unsourced(&parse(text).unwrap()), [".roofline.memory"]);
    assert_eq!(unsourced(&parse("a: { x: 25 GB/s, n: 4 }\n").unwrap()), [".a.x"]);
}
