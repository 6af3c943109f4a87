//! A finished run as a trace and as a task graph: what each task was, in words.

mod timeline;
#[cfg(test)]
mod tests;

use masim_engine::{TaskId, Work};

use super::dag::{DagCost, DagTask};
use masim_core::running::price::TaskInfo;
use masim_core::running::run::Run;
use masim_core::scenario::Scenario;

pub use timeline::trace_input;

/// The tasks of one step, with the work of the first.
pub fn dag_tasks(scenario: &Scenario, run: &Run) -> Vec<DagTask> {
    let task = |((task, info), work): ((TaskId, &TaskInfo), &Work)| DagTask {
        id: task.0,
        name: name(scenario, info),
        gpu: info.gpu.map(|gpu| scenario.cluster.gpu(gpu).name.clone()),
        work: info.activity.name().to_owned(),
        layer: Some(info.place.layer),
        micro_batch: Some(info.place.micro_batch),
        cost: match work {
            Work::Compute { time } | Work::Delay { time } => DagCost::Time(*time),
            Work::Transfer { .. } => DagCost::Bytes(info.bytes),
            Work::Barrier => DagCost::None,
        },
        streams: run.shape.streams(task).iter().map(|stream| stream.0).collect(),
        predecessors: run.shape.predecessors(task).iter().map(|before| before.0).collect(),
    };
    run.shape.tasks().zip(run.cold.infos.iter()).zip(run.works.iter()).map(task).collect()
}

/// Such as `dispatch to n3.g0, layer 2, micro-batch 1`.
fn name(scenario: &Scenario, info: &TaskInfo) -> String {
    let to = info.to.map_or(String::new(), |gpu| format!(" to {}", scenario.cluster.gpu(gpu).name));
    let (layer, micro_batch) = (info.place.layer, info.place.micro_batch);
    let place =
        if layer < scenario.model.n_layers { format!("layer {layer}") } else { "end of step".to_owned() };
    format!("{}{to}, {place}, micro-batch {micro_batch}", info.activity.name())
}
