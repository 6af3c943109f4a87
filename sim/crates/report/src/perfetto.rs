//! A trace that Perfetto (ui.perfetto.dev) and `chrome://tracing` open: GPUs as processes, streams as
//! threads, dependencies as arrows.
//!
//! The input says nothing about an engine: whoever ran something, simulated or real, fills it in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use masim_units::{PS_PER_US, SimDuration, SimTime};

const PS_PER_NS: u64 = 1000;

/// Everything that a trace shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceInput {
    /// One for each GPU.
    pub processes: Vec<TraceProcess>,
    /// Slices: the tasks that ran.
    pub slices: Vec<TraceSlice>,
    /// Arrows from a task to one that waited for it.
    pub arrows: Vec<TraceArrow>,
    /// Barriers and other moments.
    pub instants: Vec<TraceInstant>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceProcess {
    /// Its `gpu_idx`.
    pub pid: u32,
    /// Such as `n0.g1 attention`.
    pub name: String,
    /// Names of its streams by thread: 0 is compute, 1 and up are communication.
    pub threads: Vec<String>,
}

/// A task on one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSlice {
    /// `gpu_idx`.
    pub pid: u32,
    /// Stream on that GPU.
    pub tid: u32,
    /// Text on the slice.
    pub name: String,
    /// Start.
    pub start: SimTime,
    /// Duration.
    pub time: SimDuration,
    /// Its details.
    pub args: TraceArgs,
}

/// Details of a slice; what does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceArgs {
    /// Kind of work, such as `attention` or `dispatch`.
    pub work: String,
    /// Layer of the model.
    pub layer: Option<u32>,
    /// Micro-batch.
    pub micro_batch: Option<u32>,
    /// Data that travels.
    pub bytes: Option<u64>,
    /// Provenance of its time.
    pub provenance: Option<String>,
    /// Idle time of its stream before it.
    pub wait: Option<SimDuration>,
    /// Cause of that idle time.
    pub wait_for: Option<String>,
}

/// The end of one slice let another begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceArrow {
    /// Position of the first among the slices.
    pub from: usize,
    /// Position of the second.
    pub to: usize,
}

/// Something without duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceInstant {
    /// `gpu_idx`.
    pub pid: u32,
    /// Stream on that GPU.
    pub tid: u32,
    /// Text of the moment.
    pub name: String,
    /// When.
    pub at: SimTime,
}

/// The trace as Chrome JSON, one event a line.
///
/// Viewers keep whole nanoseconds, some by rounding and some by cutting off, begin and length apart; a slice
/// that then sticks out of the one around it by a nanosecond is dropped. Both ends are therefore on whole
/// nanoseconds here, and the exact time is `args.time_us`.
///
/// # Panics
///
/// When an arrow names a slice that does not exist.
pub fn perfetto(trace: &TraceInput) -> String {
    let mut events = Vec::new();
    for process in &trace.processes {
        events.extend(names(process));
    }
    let shown = shown(&trace.slices);
    events.extend(trace.slices.iter().zip(&shown).map(|(it, shown)| slice(it, *shown)));
    for (id, arrow) in trace.arrows.iter().enumerate() {
        let end = |at: usize| (&trace.slices[at], shown[at]);
        events.extend(ends(id, end(arrow.from), end(arrow.to)));
    }
    events.extend(trace.instants.iter().map(instant));
    // The unit is that of the display alone: `ts` and `dur` are microseconds in any case.
    format!("{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{}\n]}}\n", events.join(",\n"))
}

/// When a viewer sees a slice begin and end, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    begin: u64,
    end: u64,
}

/// Shown start and end of every slice. One that lies inside an earlier one of its thread ends a nanosecond before
/// that at the latest, so that it stays inside even where a viewer cuts the outer one short.
fn shown(slices: &[TraceSlice]) -> Vec<Shown> {
    let mut outer = BTreeMap::<(u32, u32), Shown>::new();
    let place = |slice: &TraceSlice| {
        let begin = slice.start.as_ps() / PS_PER_NS;
        let end = (slice.start.as_ps() + slice.time.as_ps()) / PS_PER_NS;
        let thread = (slice.pid, slice.tid);
        match outer.get(&thread) {
            Some(around) if around.begin <= begin && end <= around.end => {
                Shown { begin, end: end.min(around.end - 1).max(begin) }
            }
            _ => {
                outer.insert(thread, Shown { begin, end });
                Shown { begin, end }
            }
        }
    };
    slices.iter().map(place).collect()
}

/// An instant in microseconds. A picosecond more than the nanosecond keeps a reader that multiplies by 1000
/// and cuts off from falling below it.
fn instant_us(ns: u64) -> String {
    us(ns * PS_PER_NS + 1)
}

fn text(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// Picoseconds as microseconds: no float, no rounding.
fn us(ps: u64) -> String {
    format!("{}.{:06}", ps / PS_PER_US, ps % PS_PER_US)
}

fn names(process: &TraceProcess) -> Vec<String> {
    let pid = process.pid;
    let meta = |what: &str, tid: u32, args: String| {
        format!("{{\"ph\":\"M\",\"name\":\"{what}\",\"pid\":{pid},\"tid\":{tid},\"args\":{{{args}}}}}")
    };
    let mut events = vec![
        meta("process_name", 0, format!("\"name\":{}", text(&process.name))),
        meta("process_sort_index", 0, format!("\"sort_index\":{pid}")),
    ];
    for (tid, name) in (0..).zip(&process.threads) {
        events.push(meta("thread_name", tid, format!("\"name\":{}", text(name))));
        events.push(meta("thread_sort_index", tid, format!("\"sort_index\":{tid}")));
    }
    events
}

fn slice(slice: &TraceSlice, shown: Shown) -> String {
    format!(
        "{{\"ph\":\"X\",\"name\":{},\"pid\":{},\"tid\":{},\"ts\":{},\"dur\":{},\"args\":{}}}",
        text(&slice.name),
        slice.pid,
        slice.tid,
        instant_us(shown.begin),
        us((shown.end - shown.begin) * PS_PER_NS),
        args(slice)
    )
}

fn args(slice: &TraceSlice) -> String {
    let args = &slice.args;
    let mut object = format!("{{\"work\":{},\"time_us\":{}", text(&args.work), us(slice.time.as_ps()));
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(object, ",\"{key}\":{value}").expect("a string takes every text");
        }
    };
    put("layer", args.layer.map(|n| n.to_string()));
    put("micro_batch", args.micro_batch.map(|n| n.to_string()));
    put("bytes", args.bytes.map(|n| n.to_string()));
    put("provenance", args.provenance.as_deref().map(text));
    put("wait_us", args.wait.map(|wait| us(wait.as_ps())));
    put("wait_for", args.wait_for.as_deref().map(text));
    object.push('}');
    object
}

/// The two events of an arrow. Each must lie inside its slice: the first two nanoseconds before the end, of
/// which a viewer may cut one off.
fn ends(
    id: usize,
    (from, from_shown): (&TraceSlice, Shown),
    (to, to_shown): (&TraceSlice, Shown),
) -> [String; 2] {
    let inside = from_shown.end.saturating_sub(2).max(from_shown.begin);
    let event = |phase: &str, slice: &TraceSlice, ns: u64| {
        format!(
            "{{{phase},\"id\":{id},\"name\":\"after\",\"cat\":\"dependency\",\"pid\":{},\"tid\":{},\"ts\":{}}}",
            slice.pid,
            slice.tid,
            instant_us(ns)
        )
    };
    [event("\"ph\":\"s\"", from, inside), event("\"ph\":\"f\",\"bp\":\"e\"", to, to_shown.begin)]
}

fn instant(instant: &TraceInstant) -> String {
    format!(
        "{{\"ph\":\"i\",\"s\":\"t\",\"name\":{},\"pid\":{},\"tid\":{},\"ts\":{}}}",
        text(&instant.name),
        instant.pid,
        instant.tid,
        instant_us(instant.at.as_ps() / PS_PER_NS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn example() -> TraceInput {
        let slice = |pid, tid, name: &str, start, time, work: &str| TraceSlice {
            pid,
            tid,
            name: name.to_owned(),
            start: SimTime::from_ps(start),
            time: SimDuration::from_ps(time),
            args: TraceArgs { work: work.to_owned(), layer: Some(3), ..TraceArgs::default() },
        };
        let mut second = slice(1, 0, "experts \"L3\"", 12_345_678, 5_000_600, "experts");
        second.args.bytes = Some(7);
        second.args.wait = Some(SimDuration::from_ps(1_000_001));
        second.args.wait_for = Some("wire".to_owned());
        TraceInput {
            processes: vec![TraceProcess {
                pid: 1,
                name: "n0.g1 expert".to_owned(),
                threads: vec!["compute".to_owned(), "receive".to_owned()],
            }],
            slices: vec![slice(0, 1, "dispatch", 0, 12_345_678, "dispatch"), second],
            arrows: vec![TraceArrow { from: 0, to: 1 }],
            instants: vec![TraceInstant {
                pid: 0,
                tid: 0,
                name: "barrier".to_owned(),
                at: SimTime::from_ps(1),
            }],
        }
    }

    #[test]
    fn the_trace_is_json_and_keeps_exact_times_beside_shown_ones() {
        let text = perfetto(&example());
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let events = parsed["traceEvents"].as_array().unwrap();
        assert_eq!(events.len(), 6 + 2 + 2 + 1);
        assert_eq!(events[7]["name"], "experts \"L3\"");
        // 12,345.678 ns to 17,346.278 ns: shown from 12,345 to 17,346 ns.
        assert!(text.contains("\"ts\":12.345001,\"dur\":5.001000"), "{text}");
        assert!(text.contains("\"time_us\":5.000600"), "{text}");
        assert!(text.contains("\"bytes\":7,\"wait_us\":1.000001,\"wait_for\":\"wire\""), "{text}");
    }

    #[test]
    fn a_slice_that_ends_with_the_one_around_it_is_shown_to_end_earlier() {
        let slice = |start, time| TraceSlice {
            pid: 0,
            tid: 0,
            name: String::new(),
            start: SimTime::from_ps(start),
            time: SimDuration::from_ps(time),
            args: TraceArgs::default(),
        };
        // The first holds the second and third; the fourth follows it at once.
        let slices = [slice(500, 2500), slice(500, 1300), slice(1800, 1200), slice(3000, 4000)];
        let ends: Vec<_> = shown(&slices).iter().map(|shown| (shown.begin, shown.end)).collect();
        assert_eq!(ends, [(0, 3), (0, 1), (1, 2), (3, 7)]);
    }

    #[test]
    fn an_arrow_begins_inside_one_slice_and_ends_at_the_start_of_the_other() {
        let parsed: Value = serde_json::from_str(&perfetto(&example())).unwrap();
        let events = parsed["traceEvents"].as_array().unwrap();
        let [from, to] = [&events[8], &events[9]];
        assert_eq!((from["ph"].as_str(), to["ph"].as_str()), (Some("s"), Some("f")));
        assert_eq!(from["id"], to["id"]);
        assert_eq!((from["ts"].as_f64(), to["ts"].as_f64()), (Some(12.343_001), Some(12.345_001)));
    }
}
