//! Good and bad cases, and routes that a case leaves out.

use masim_units::Bytes;

use super::*;
use crate::inputs::text::SourceText;
use crate::inputs::topology::testing::Shipped;

const GOOD: &str = r#"{"case":"one","topology":{"name":"t","nodes":["a","s","b"],"hosts":["a","b"],"links":[{"id":0,"src":"a","dst":"s","bw":1e9,"lat":1e-6},{"id":1,"src":"s","dst":"b","bw":1e9,"lat":2.5e-6}]},"flows":[{"id":0,"src":"a","dst":"b","bytes":1000000,"start_ns":5,"route":[0,1]}]}"#;

fn read(text: &str) -> Result<Vec<Case>, crate::inputs::text::InputError> {
    read_cases(&SourceText { path: "f.jsonl".to_owned(), text: text.to_owned() }, &Shipped)
}

/// What is said of a good case followed by one in which `from` is `to`.
fn message(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let bad = GOOD.replacen(from, to, 1).replace("\"one\"", "\"two\"");
    read(&format!("{GOOD}\n{bad}\n")).map(|cases| cases.len()).unwrap_err().to_string()
}

/// 5 ns + 3.5 us + 1 MB / 1 GB/s = 1.003505 ms.
#[test]
fn a_flow_ends_when_its_bytes_are_through() {
    let cases = read(GOOD).unwrap();
    assert_eq!(simulate(&cases[0]).unwrap()[0].as_ps(), 1_003_505_000);
    assert_eq!(read(&GOOD.replace(',', ",\n")).unwrap()[0].flows, cases[0].flows, "one object, many lines");
}

#[test]
fn a_bad_case_is_told_with_line_and_case() {
    assert_eq!(
        message("\"bw\":1e9", "\"bw\":0"),
        "f.jsonl:2:1: `topology.links[0]`: case `two`: `bw` is 0; expected 1 to 2e14 bytes per second"
    );
    for (from, to, expected) in [
        ("\"bw\":1e9", "\"bw\":1e18", "`bw` is 1000000000000000000; expected 1 to 2e14 bytes per second"),
        ("\"lat\":1e-6", "\"lat\":-1", "`lat` is -1; expected seconds, at least 0"),
        ("\"id\":1", "\"id\":7", "`id` is 7; identifiers count from 0 in order"),
        ("\"src\":\"a\",\"dst\":\"s\"", "\"src\":\"x\",\"dst\":\"s\"", "`x` is not one of `nodes`"),
        ("\"dst\":\"b\",\"bytes\"", "\"dst\":\"a\",\"bytes\"", "goes from `a` to itself"),
        ("[0,1]", "[0]", "`route` ends at `s`, not at `b`"),
        ("[0,1]", "[1]", "`route` is at `a`, but link 1 begins at `s`"),
        ("[0,1]", "[0,0]", "`route` crosses link 0 twice"),
        ("\"src\":\"a\",\"dst\":\"b\"", "\"src\":\"a\",\"dst\":\"y\"", "`y` is not one of `nodes`"),
        (
            "{\"id\":1,\"src\":\"s\",\"dst\":\"b\",\"bw\":1e9,\"lat\":2.5e-6}]},\"flows\":[{\"id\":0,\"src\":\"a\",\"dst\":\"b\",\"bytes\":1000000,\"start_ns\":5,\"route\":[0,1]",
            "{\"id\":1,\"src\":\"b\",\"dst\":\"s\",\"bw\":1e9,\"lat\":2.5e-6}]},\"flows\":[{\"id\":0,\"src\":\"a\",\"dst\":\"b\",\"bytes\":1000000,\"start_ns\":5",
            "there is no way from `a` to `b`",
        ),
        ("[0,1]", "[0,9]", "`route` names link 9, but there are 2, from 0"),
        ("\"start_ns\":5", "\"start_ns\":18000000000000000000", "expected at most 53 days"),
        (
            "\"flows\":[{\"id\":0,\"src\":\"a\",\"dst\":\"b\",\"bytes\":1000000,\"start_ns\":5,\"route\":[0,1]}]",
            "\"flows\":[]",
            "`flows`: case `two`: is empty",
        ),
        ("}]}", "}],\"expect\":{\"finish_s\":[1,2]}}", "2 ends for 1 flows"),
    ] {
        if from == "}]}" {
            // The last of the two places.
            let bad = format!("{}{to}", GOOD.strip_suffix(from).unwrap());
            assert!(read(&bad).map(|cases| cases.len()).unwrap_err().to_string().contains(expected));
            continue;
        }
        let found = message(from, to);
        assert!(found.starts_with("f.jsonl:2:1:") && found.contains("case `two`"), "{found}");
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn broken_syntax_is_told_with_its_case_too() {
    for (from, to, expected) in [
        ("\"bytes\":1000000", "\"bytes\":NaN", "case `two`: expected value"),
        ("\"bytes\":1000000", "\"bytes\":1e400", "case `two`: number out of range"),
        ("\"bytes\":1000000", "\"bytes\":-1", "case `two`: invalid value: integer `-1`, expected u64"),
        ("\"bytes\"", "\"byte\"", "case `two`: unknown field `byte`"),
        ("\"start_ns\":5,", "", "case `two`: missing field `start_ns`"),
    ] {
        let found = message(from, to);
        assert!(found.starts_with("f.jsonl:2:") && found.contains(expected), "{found}");
    }
    assert!(read("").map(|cases| cases.len()).unwrap_err().to_string().contains("there is no case"));
}

/// The routes that the flow sets give are shortest ones with destinations spread over spines, as ours are.
#[test]
fn routes_that_are_left_out_are_found() {
    for text in [
        include_str!("../../../../../../tests/data/simgrid/dgx4x4.jsonl"),
        include_str!("../../../../../../tests/data/simgrid/fattree64_2to1.jsonl"),
    ] {
        let line = text.lines().next().unwrap();
        let given = read(line).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        for flow in value["flows"].as_array_mut().unwrap() {
            flow.as_object_mut().unwrap().remove("route");
        }
        let found = read(&value.to_string()).unwrap();
        assert_eq!(found[0].flows, given[0].flows);
    }
}

/// On `a100-4x4`: 4 us of latency, then 1 MB at 25 GB/s = 40 us.
#[test]
fn a_named_cluster_has_routes_of_its_own() {
    let text = r#"{"case":"c","topology":"a100-4x4","flows":[{"id":0,"src":"n0.g1","dst":6,"bytes":1000000,"start_ns":0}]}"#;
    let cases = read(text).unwrap();
    assert_eq!(simulate(&cases[0]).unwrap()[0].as_ps(), 44_000_000);
    let error = read(&text.replace(":6,", ":16,")).map(|cases| cases.len()).unwrap_err().to_string();
    assert!(error.ends_with("case `c`: `16` is not a GPU of `a100-4x4`"), "{error}");
}

/// Nothing to send takes the latency alone: 5 ns + 3.5 us. More than 213 days of data is told, not waited for.
#[test]
fn flows_of_no_size_and_of_absurd_size_end_or_are_told() {
    let cases = read(&GOOD.replace("1000000", "0")).unwrap();
    assert_eq!(simulate(&cases[0]).unwrap()[0].as_ps(), 3_505_000);
    let cases = read(&GOOD.replace("1000000", "18446744073709551615")).unwrap();
    let error = simulate(&cases[0]).unwrap_err().to_string();
    assert_eq!(error, "flow 0 ends after 213 simulated days, the longest time that can be simulated");
    let cases = read(&GOOD.replace("\"bw\":1e9", "\"bw\":1")).unwrap();
    assert_eq!(simulate(&cases[0]).unwrap()[0].as_ps() / 1_000_000_000_000, 1_000_000, "11.6 days are fine");
}

#[test]
fn of_many_problems_the_first_are_told_and_the_rest_counted() {
    let flow = r#"{"id":0,"src":"a","dst":"b","bytes":1000000,"start_ns":5,"route":[0,1]}"#;
    let bad: Vec<_> = (0..150).map(|id| flow.replace("\"id\":0", &format!("\"id\":{}", id + 7))).collect();
    let error = read(&GOOD.replace(flow, &bad.join(","))).map(|cases| cases.len()).unwrap_err().to_string();
    assert_eq!(error.matches("identifiers count from 0").count(), 100);
    assert!(error.contains("case `one`: 50 problems more"), "{error}");
}

/// On `a100-4x4` (25 GB/s between machines, 100 GB/s on a board), 1 MB each, closed forms without latency.
#[test]
fn patterns_take_as_long_as_their_busiest_link() {
    let cluster = crate::inputs::topology::testing::shipped("a100-4x4");
    let last = |pattern: Pattern| {
        let case = pattern.case(&cluster, Bytes(1_000_000), Sizes::Equal).unwrap();
        let found = seen(&case).unwrap();
        (case.flows.len(), found)
    };
    // 12 senders over the one NIC of the receiver: 12 MB at 25 GB/s are 480 us; 4 us of latency.
    let (n_flows, found) = last(Pattern::Incast);
    assert_eq!((n_flows, found.incast[&0]), (15, 15));
    assert!((found.window_s * 1e6 - 484.0).abs() < 1e-3, "{}", found.window_s);
    assert!((found.busiest()[0].peak - 1.0).abs() < 1e-9);
    // Each NIC carries 12 MB, each pair of a board 1 MB.
    let (n_flows, found) = last(Pattern::AllToAll);
    assert_eq!(n_flows, 240);
    assert!((found.window_s * 1e6 - 484.0).abs() < 1e-3, "{}", found.window_s);
    // 1.875 MB at 25 GB/s are 75 us, and 30 steps wait 4 us each.
    let (n_flows, found) = last(Pattern::Ring);
    assert_eq!((n_flows, found.incast[&0], found.volume[&(15, 0)]), (1, 1, 1_875_000.0));
    assert!((found.window_s * 1e6 - 195.0).abs() < 1e-3, "{}", found.window_s);
    let (n_flows, found) = last(Pattern::Permutation);
    assert_eq!((n_flows, found.incast.values().max()), (16, Some(&1)));
}

#[test]
fn an_all_to_all_beyond_the_limit_is_refused_before_it_is_made() {
    let big = crate::inputs::topology::testing::changed("n_nodes: 4", "n_nodes: 400").unwrap();
    let error = Pattern::AllToAll.case(&big, Bytes(1), Sizes::Equal).unwrap_err().to_string();
    assert_eq!(error, "2558400 flows between 1600 GPUs are more than 2097152, the most that a case may have");
}

/// One flow more than a case may have is where reading stops.
#[test]
fn more_flows_than_a_case_may_have_are_not_read() {
    let flow = r#"{"id":0,"src":"a","dst":"b","bytes":1,"start_ns":0}"#;
    let good = r#"{"id":0,"src":"a","dst":"b","bytes":1000000,"start_ns":5,"route":[0,1]}"#;
    let many = GOOD.replace(good, &format!("{},\"no more is read", vec![flow; (1 << 21) + 1].join(",")));
    let error = read(&many).map(|cases| cases.len()).unwrap_err().to_string();
    assert!(error.contains("there are more than 2097152 flows"), "{error}");
}
