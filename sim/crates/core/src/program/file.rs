//! Programs as files, with the sizes and choices of some steps, so that another executor can run them and check results.
//!
//! Layers that are alike are written once. A file that was read is checked: every instruction waits only for those before it.

mod instr;
mod kernel;
mod layers;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::instr::Need;
use super::order::Queue;
use super::weights::WeightSlice;
use super::{Port, Program, Sizes};
use crate::inputs::topology::GpuIdx;
use crate::timing::kernel_model::moe::rows::TILE_ROWS;
use crate::work::ops::GroupRows;
use instr::NeedJson;
use layers::PartJson;

/// The version of the format.
pub const SCHEMA: u32 = 1;

/// A program with all that an executor needs beside the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedProgram {
    /// The program.
    pub program: Program,
    /// The sizes of every recorded step.
    pub sizes: Vec<Sizes>,
    /// The experts of every token: `[step][layer][token][choice]`.
    pub routing: Vec<Vec<Vec<Vec<u16>>>>,
    /// The weights of every rank.
    pub weights: Vec<WeightSlice>,
    /// The seed that weights and inputs follow from.
    pub seed: u64,
}

/// A reason why a text is no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// The text is not of the format.
    #[error("{place}: {found}")]
    Format {
        /// The path inside the file.
        place: String,
        /// The finding.
        found: String,
    },
    /// The program cannot run.
    #[error(transparent)]
    Unrunnable(#[from] super::Unrunnable),
    /// An order that its instructions do not have.
    #[error("order.{rank}: the queues differ from those of the instructions")]
    Order {
        /// The rank.
        rank: usize,
    },
}

/// A program file.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramJson {
    /// The version of the format.
    schema: u32,
    /// Ranks of the cluster.
    ranks: u32,
    skeleton: SkeletonJson,
    /// By step.
    sizes: Vec<SizesJson>,
    /// By rank: the instructions of each queue as `[first, number]`.
    order: Vec<QueuesJson>,
    ports: PortsJson,
    routing: RoutingJson,
    weights: Vec<WeightSlice>,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SkeletonJson {
    groups: Vec<Vec<u32>>,
    /// Instructions in sequence, each part so many times.
    parts: Vec<PartJson>,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SizesJson {
    rows: Vec<u64>,
    grouped: Vec<GroupRowsJson>,
}

/// Rows of the experts of one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupRowsJson {
    n_experts: u64,
    tokens: u64,
    rows: u64,
    n_activated: u64,
    blocks: Vec<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueuesJson {
    compute: Vec<[u32; 2]>,
    communication: Vec<[u32; 2]>,
    host: Vec<[u32; 2]>,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct PortsJson {
    r#in: Vec<PortJson>,
    out: Vec<PortJson>,
    /// The points at which each micro-batch has its token.
    done: Vec<NeedJson>,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct PortJson {
    replica: u32,
    micro_batch: u32,
    rank: u32,
    at: NeedJson,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoutingJson {
    /// Seed of weights and inputs.
    seed: u64,
    /// `[step][layer][token][choice]`
    experts: Vec<Vec<Vec<Vec<u16>>>>,
}

impl RecordedProgram {
    /// The text of the file, in one line.
    pub fn to_json(&self) -> String {
        let program = &self.program;
        let json = ProgramJson {
            schema: SCHEMA,
            ranks: program.n_ranks,
            skeleton: SkeletonJson {
                groups: program.skeleton.groups.iter().map(|group| ranks(group)).collect(),
                parts: layers::write(program),
            },
            sizes: self.sizes.iter().map(SizesJson::of).collect(),
            order: queues(program),
            ports: PortsJson {
                r#in: program.ins.iter().map(PortJson::of).collect(),
                out: program.outs.iter().map(PortJson::of).collect(),
                done: program.done.iter().map(|need| NeedJson::of(*need, (0, 0))).collect(),
            },
            routing: RoutingJson { seed: self.seed, experts: self.routing.clone() },
            weights: self.weights.clone(),
        };
        serde_json::to_string(&json).expect("a program is JSON")
    }

    /// The program in `text`.
    ///
    /// # Errors
    ///
    /// [`ProgramError`] when the text is not of the format, or its program cannot run.
    pub fn from_json(text: &str) -> Result<Self, ProgramError> {
        let json: ProgramJson = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            ProgramError::Format { place, found: error.to_string() }
        })?;
        if json.schema != SCHEMA {
            return Err(format_error("schema", format!("{}; expected {SCHEMA}", json.schema)));
        }
        let mut program = Program { n_ranks: json.ranks, ..Program::default() };
        for group in &json.skeleton.groups {
            if let Some(rank) = group.iter().find(|&&rank| rank >= json.ranks) {
                return Err(format_error("skeleton.groups", format!("rank {rank} of {}", json.ranks)));
            }
            program.skeleton.groups.push(group.iter().copied().map(GpuIdx).collect());
        }
        layers::read(&json.skeleton.parts, &mut program)?;
        program.ins = json.ports.r#in.iter().map(PortJson::meaning).collect();
        program.outs = json.ports.out.iter().map(PortJson::meaning).collect();
        program.done = json.ports.done.iter().map(|need| need.meaning((0, 0))).collect();
        program.check()?;
        let order = queues(&program);
        if order != json.order {
            let rank = order.iter().zip(&json.order).position(|(a, b)| a != b);
            return Err(ProgramError::Order { rank: rank.unwrap_or(order.len().min(json.order.len())) });
        }
        let sizes = json.sizes.iter().map(SizesJson::meaning).collect::<Result<Vec<_>, _>>()?;
        sized(&program, &sizes)?;
        let RoutingJson { seed, experts: routing } = json.routing;
        Ok(Self { program, sizes, routing, weights: json.weights, seed })
    }
}

/// Checks that every step has all sizes that the program names.
fn sized(program: &Program, sizes: &[Sizes]) -> Result<(), ProgramError> {
    let (rows, grouped) = program.skeleton.n_sizes();
    let short = sizes.iter().position(|of| of.rows.len() < rows || of.grouped.len() < grouped);
    match short {
        None => Ok(()),
        Some(step) => {
            let found = format!("fewer than the {rows} counts and {grouped} groups that instructions name");
            Err(format_error(&format!("sizes.{step}"), found))
        }
    }
}

fn format_error(place: &str, found: String) -> ProgramError {
    ProgramError::Format { place: place.to_owned(), found }
}

fn ranks(group: &[GpuIdx]) -> Vec<u32> {
    group.iter().map(|rank| rank.0).collect()
}

fn queues(program: &Program) -> Vec<QueuesJson> {
    let runs = |queue: &[super::InstrIdx]| {
        let mut runs: Vec<[u32; 2]> = Vec::new();
        for idx in queue {
            match runs.last_mut() {
                Some([first, n]) if *first + *n == idx.0 => *n += 1,
                Some(_) | None => runs.push([idx.0, 1]),
            }
        }
        runs
    };
    let of_rank = |queues: &[Vec<super::InstrIdx>; 3]| QueuesJson {
        compute: runs(&queues[Queue::Compute as usize]),
        communication: runs(&queues[Queue::Communication as usize]),
        host: runs(&queues[Queue::Host as usize]),
    };
    program.order().iter().map(of_rank).collect()
}

impl SizesJson {
    fn of(sizes: &Sizes) -> Self {
        let grouped = sizes.grouped.iter().map(GroupRowsJson::of).collect();
        Self { rows: sizes.rows.clone(), grouped }
    }

    fn meaning(&self) -> Result<Sizes, ProgramError> {
        let grouped = self.grouped.iter().map(GroupRowsJson::meaning).collect::<Result<_, _>>()?;
        Ok(Sizes { rows: self.rows.clone(), grouped })
    }
}

impl GroupRowsJson {
    fn of(rows: &GroupRows) -> Self {
        let GroupRows { n_experts, tokens, rows, n_activated, blocks } = *rows;
        Self { n_experts, tokens, rows, n_activated, blocks: blocks.to_vec() }
    }

    fn meaning(&self) -> Result<GroupRows, ProgramError> {
        let Self { n_experts, tokens, rows, n_activated, .. } = *self;
        let blocks = self.blocks[..].try_into().map_err(|_| {
            let found = format!("{} tile heights; expected {}", self.blocks.len(), TILE_ROWS.len());
            format_error("grouped.blocks", found)
        })?;
        Ok(GroupRows { n_experts, tokens, rows, n_activated, blocks })
    }
}

impl PortJson {
    fn of(port: &Port) -> Self {
        let Port { replica, micro_batch, rank, at } = *port;
        Self { replica, micro_batch, rank: rank.0, at: NeedJson::of(at, (0, 0)) }
    }

    fn meaning(&self) -> Port {
        let Self { replica, micro_batch, rank, at } = self;
        Port { replica: *replica, micro_batch: *micro_batch, rank: GpuIdx(*rank), at: at.meaning((0, 0)) }
    }
}

/// A range as its start and its end.
fn range(positions: &Range<u32>) -> Range<usize> {
    positions.start as usize..positions.end as usize
}

/// A position relative to the start of a part.
fn relative(position: u32, start: u32) -> i64 {
    i64::from(position) - i64::from(start)
}

/// A position from one that is relative to the start of a part; one that lies before the program is no position, which
/// the check of the program finds.
fn absolute(relative: i64, start: u32) -> u32 {
    u32::try_from(i64::from(start).saturating_add(relative)).unwrap_or(u32::MAX)
}

impl NeedJson {
    fn of(need: Need, (values, instrs): (u32, u32)) -> Self {
        match need {
            Need::Value(value) => Self::Value(relative(value.0, values)),
            Need::After(instr) => Self::After(relative(instr.0, instrs)),
        }
    }

    fn meaning(&self, (values, instrs): (u32, u32)) -> Need {
        match *self {
            Self::Value(value) => Need::Value(super::ValueIdx(absolute(value, values))),
            Self::After(instr) => Need::After(super::InstrIdx(absolute(instr, instrs))),
        }
    }
}
