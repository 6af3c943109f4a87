//! The graph of tasks that was simulated, for Graphviz and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use masim_units::{Bytes, SimDuration};
use serde::Serialize;

/// A task and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagTask {
    /// Its number, different for each task.
    pub id: u32,
    /// Text of the moment.
    pub name: String,
    /// The GPU it runs on; `None` for what occupies several, such as a collective.
    pub gpu: Option<String>,
    /// Kind of work, such as `attention` or `dispatch`.
    pub work: String,
    /// Layer of the model.
    pub layer: Option<u32>,
    /// Micro-batch.
    pub micro_batch: Option<u32>,
    /// Cost of the task.
    pub cost: DagCost,
    /// The streams that it occupies.
    pub streams: Vec<u32>,
    /// Tasks that end before it starts, stream order not included.
    pub predecessors: Vec<u32>,
}

/// Cost of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DagCost {
    /// Time alone on its GPU.
    Time(SimDuration),
    /// Data that travels.
    Bytes(Bytes),
    /// Nothing: a barrier.
    None,
}

#[derive(Serialize)]
struct TaskJson<'a> {
    id: u32,
    name: &'a str,
    gpu: Option<&'a str>,
    work: &'a str,
    layer: Option<u32>,
    micro_batch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    streams: &'a [u32],
    predecessors: &'a [u32],
}

/// The tasks as JSON, one a line.
pub fn json(tasks: &[DagTask]) -> String {
    let task = |task: &DagTask| -> String {
        let (time_us, bytes) = match task.cost {
            DagCost::Time(time) => (Some(time.as_us()), None),
            DagCost::Bytes(bytes) => (None, Some(bytes.0)),
            DagCost::None => (None, None),
        };
        let json = TaskJson {
            id: task.id,
            name: &task.name,
            gpu: task.gpu.as_deref(),
            work: &task.work,
            layer: task.layer,
            micro_batch: task.micro_batch,
            time_us,
            bytes,
            streams: &task.streams,
            predecessors: &task.predecessors,
        };
        serde_json::to_string(&json).expect("a task has finite numbers")
    };
    let tasks: Vec<_> = tasks.iter().map(task).collect();
    format!("{{\"schema\":1,\"tasks\":[\n{}\n]}}\n", tasks.join(",\n"))
}

/// Fills that stay apart for color-blind readers and carry black text.
const FILLS: [&str; 6] = ["#9ecae9", "#fbd28b", "#8fd6c0", "#e8c1d9", "#f4f0a5", "#e5b08a"];

/// The tasks as Graphviz DOT: a box for each GPU, a color for each kind of work.
pub fn dot(tasks: &[DagTask]) -> String {
    let mut by_gpu = BTreeMap::<Option<&str>, Vec<&DagTask>>::new();
    let mut works: Vec<&str> = Vec::new();
    for task in tasks {
        by_gpu.entry(task.gpu.as_deref()).or_default().push(task);
        if !works.contains(&task.work.as_str()) {
            works.push(&task.work);
        }
    }
    let fill = |work: &str| {
        let at = works.iter().position(|other| *other == work).unwrap_or(0);
        FILLS[at % FILLS.len()]
    };
    let mut dot = String::from(
        "digraph tasks {\n  rankdir=LR;\n  node [shape=box, style=filled, fontname=\"sans-serif\"];\n",
    );
    let mut line = |text: String| writeln!(dot, "  {text}").expect("a string takes every text");
    for (idx, (gpu, tasks)) in by_gpu.into_iter().enumerate() {
        if let Some(gpu) = gpu {
            line(format!("subgraph cluster_{idx} {{ label={};", quoted(gpu)));
        }
        for task in tasks {
            let label = quoted(&format!("{}{}", task.name, cost(task.cost)));
            line(format!("t{} [label={label}, fillcolor=\"{}\"];", task.id, fill(&task.work)));
        }
        if gpu.is_some() {
            line("}".to_owned());
        }
    }
    for task in tasks {
        for before in &task.predecessors {
            line(format!("t{before} -> t{};", task.id));
        }
    }
    dot.push_str("}\n");
    dot
}

fn cost(cost: DagCost) -> String {
    match cost {
        DagCost::Time(time) => format!("\n{time}"),
        DagCost::Bytes(bytes) => format!("\n{bytes}"),
        DagCost::None => String::new(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> [DagTask; 2] {
        let first = DagTask {
            id: 0,
            name: "say \"hi\"".to_owned(),
            gpu: Some("n0.g0".to_owned()),
            work: "attention".to_owned(),
            layer: Some(0),
            micro_batch: Some(1),
            cost: DagCost::Time(SimDuration::from_ps(1_500_000)),
            streams: vec![0],
            predecessors: vec![],
        };
        let second = DagTask {
            id: 1,
            gpu: None,
            work: "dispatch".to_owned(),
            cost: DagCost::Bytes(Bytes(4096)),
            predecessors: vec![0],
            ..first.clone()
        };
        [first, second]
    }

    #[test]
    fn json_has_time_or_bytes() {
        let parsed: serde_json::Value = serde_json::from_str(&json(&example())).unwrap();
        assert_eq!(parsed["schema"], 1);
        assert_eq!(parsed["tasks"][0]["time_us"], 1.5);
        assert_eq!(parsed["tasks"][0].get("bytes"), None);
        assert_eq!(parsed["tasks"][1]["bytes"], 4096);
        assert_eq!(parsed["tasks"][1]["predecessors"][0], 0);
    }

    #[test]
    fn dot_groups_by_gpu_and_escapes_names() {
        let dot = dot(&example());
        assert!(dot.contains("subgraph cluster_1 { label=\"n0.g0\";"), "{dot}");
        assert!(dot.contains("t0 [label=\"say \\\"hi\\\"\\n1.500 us\", fillcolor=\"#9ecae9\"];"), "{dot}");
        assert!(dot.contains("t0 -> t1;"));
    }
}
