//! Instructions in a program file, each with the values that it makes.

use serde::{Deserialize, Serialize};

use super::kernel::KernelJson;
use super::{ProgramError, format_error, range};
use crate::inputs::topology::GpuIdx;
use crate::program::instr::{Activity, Counts, Does, Instr, Label, Message, Place, Posted};
use crate::program::size::{Rows, RowsIdx};
use crate::program::skeleton::{Mark, Skeleton};
use crate::program::value::{Data, GroupIdx, Holder, Value, ValueIdx, What};
use crate::work::collectives::CollectiveKind;

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InstrJson {
    activity: String,
    layer: u32,
    micro_batch: u32,
    /// Values and instructions that it waits for, counted from the start of its part.
    needs: Vec<NeedJson>,
    does: DoesJson,
    /// The value that it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writes: Option<ValueJson>,
}

/// A condition: a value, counted in the order in which values are made, or the end of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum NeedJson {
    /// A value.
    Value(i64),
    /// An instruction.
    After(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum DoesJson {
    Kernels { rank: u32, kernels: Vec<KernelJson> },
    Exchange { from: u32, posted: PostedJson, messages: Vec<MessageJson> },
    Collective { kind: String, group: u32, counts: CountsJson, is_awaited: bool },
    HostStep { rank: u32, group: u32, n_sequences: u64 },
    Join { rank: Option<u32> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PostedJson {
    InGroups,
    Relayed,
    InTurn,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CountsJson {
    /// The whole buffer.
    Even {
        rows: RowsJson,
        row_bytes: u64,
    },
    ByPair(Vec<MessageJson>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct MessageJson {
    from: u32,
    to: u32,
    rows: RowsJson,
    row_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writes: Option<ValueJson>,
}

/// A count of rows: a number, or the position of a size of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RowsJson {
    Fixed(u64),
    At(u32),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ValueJson {
    what: String,
    rows: RowsJson,
    row_bytes: u64,
    on: HolderJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HolderJson {
    Rank(u32),
    Group(u32),
}

/// The distance of a repetition from the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) layers: u32,
    pub(super) rows: u32,
    pub(super) grouped: u32,
}

impl RowsJson {
    fn of(rows: Rows) -> Self {
        match rows {
            Rows::Fixed(n) => Self::Fixed(n),
            Rows::At(RowsIdx(at)) => Self::At(at),
        }
    }

    fn meaning(self) -> Rows {
        match self {
            Self::Fixed(n) => Rows::Fixed(n),
            Self::At(at) => Rows::At(RowsIdx(at)),
        }
    }

    fn shifted(self, shift: Shift) -> Self {
        match self {
            Self::Fixed(n) => Self::Fixed(n),
            Self::At(at) => Self::At(at.saturating_add(shift.rows)),
        }
    }
}

impl ValueJson {
    fn of(value: &Value) -> Self {
        let Data { what, rows, row_bytes } = value.data;
        let on = match value.on {
            Holder::Rank(rank) => HolderJson::Rank(rank.0),
            Holder::Group(group) => HolderJson::Group(group.0),
        };
        Self { what: what.name().to_owned(), rows: RowsJson::of(rows), row_bytes, on }
    }

    fn meaning(&self) -> Result<Value, ProgramError> {
        let what = What::ALL.into_iter().find(|what| what.name() == self.what);
        let what =
            what.ok_or_else(|| format_error("writes.what", format!("unknown value `{}`", self.what)))?;
        let on = match self.on {
            HolderJson::Rank(rank) => Holder::Rank(GpuIdx(rank)),
            HolderJson::Group(group) => Holder::Group(GroupIdx(group)),
        };
        Ok(Value { data: Data { what, rows: self.rows.meaning(), row_bytes: self.row_bytes }, on })
    }

    fn shifted(&self, shift: Shift) -> Self {
        Self { rows: self.rows.shifted(shift), ..self.clone() }
    }
}

impl MessageJson {
    fn of(message: &Message, skeleton: &Skeleton) -> Self {
        let Message { from, to, rows, row_bytes, writes } = *message;
        let writes = writes.map(|value| ValueJson::of(&skeleton.values[value.0 as usize]));
        Self { from: from.0, to: to.0, rows: RowsJson::of(rows), row_bytes, writes }
    }

    fn shifted(&self, shift: Shift) -> Self {
        let writes = self.writes.as_ref().map(|value| value.shifted(shift));
        Self { rows: self.rows.shifted(shift), writes, ..self.clone() }
    }
}

impl InstrJson {
    /// An instruction of a part that starts at `start`.
    pub(super) fn of(instr: &Instr, skeleton: &Skeleton, start: Mark) -> Self {
        let messages = |at: &std::ops::Range<u32>| {
            skeleton.messages[range(at)].iter().map(|it| MessageJson::of(it, skeleton)).collect()
        };
        let does = match &instr.does {
            Does::Kernels { rank, kernels } => {
                let kernels = skeleton.kernels[range(kernels)].iter().map(KernelJson::of).collect();
                DoesJson::Kernels { rank: rank.0, kernels }
            }
            Does::Exchange { from, messages: at, posted } => {
                let posted = match posted {
                    Posted::InGroups => PostedJson::InGroups,
                    Posted::Relayed => PostedJson::Relayed,
                    Posted::InTurn => PostedJson::InTurn,
                };
                DoesJson::Exchange { from: from.0, posted, messages: messages(at) }
            }
            Does::Collective { kind, group, counts, is_awaited } => {
                let counts = match counts {
                    Counts::Even { rows, row_bytes } => {
                        CountsJson::Even { rows: RowsJson::of(*rows), row_bytes: *row_bytes }
                    }
                    Counts::ByPair(at) => CountsJson::ByPair(messages(at)),
                };
                let (kind, group) = (kind.name().to_owned(), group.0);
                DoesJson::Collective { kind, group, counts, is_awaited: *is_awaited }
            }
            Does::HostStep { rank, group, n_sequences } => {
                DoesJson::HostStep { rank: rank.0, group: group.0, n_sequences: *n_sequences }
            }
            Does::Join { rank } => DoesJson::Join { rank: rank.map(|rank| rank.0) },
        };
        let at = (start.values, start.instrs);
        let Label { activity, place: Place { layer, micro_batch } } = instr.label;
        Self {
            activity: activity.name().to_owned(),
            layer,
            micro_batch,
            needs: skeleton.needs_of(instr).iter().map(|need| NeedJson::of(*need, at)).collect(),
            does,
            writes: instr.writes.map(|value| ValueJson::of(&skeleton.values[value.0 as usize])),
        }
    }

    /// The instruction of a repetition that lies `shift` away.
    pub(super) fn shifted(&self, shift: Shift) -> Self {
        let messages = |all: &[MessageJson]| all.iter().map(|it| it.shifted(shift)).collect();
        let does = match &self.does {
            DoesJson::Kernels { rank, kernels } => {
                let kernels = kernels.iter().map(|it| it.shifted(shift.rows, shift.grouped)).collect();
                DoesJson::Kernels { rank: *rank, kernels }
            }
            DoesJson::Exchange { from, posted, messages: all } => {
                DoesJson::Exchange { from: *from, posted: *posted, messages: messages(all) }
            }
            DoesJson::Collective { kind, group, counts: CountsJson::ByPair(all), is_awaited } => {
                let (kind, counts) = (kind.clone(), CountsJson::ByPair(messages(all)));
                DoesJson::Collective { kind, group: *group, counts, is_awaited: *is_awaited }
            }
            DoesJson::Collective {
                kind,
                group,
                counts: CountsJson::Even { rows, row_bytes },
                is_awaited,
            } => {
                let counts = CountsJson::Even { rows: rows.shifted(shift), row_bytes: *row_bytes };
                DoesJson::Collective { kind: kind.clone(), group: *group, counts, is_awaited: *is_awaited }
            }
            other @ (DoesJson::HostStep { .. } | DoesJson::Join { .. }) => other.clone(),
        };
        let writes = self.writes.as_ref().map(|value| value.shifted(shift));
        Self { layer: self.layer.saturating_add(shift.layers), does, writes, ..self.clone() }
    }

    /// The positions of the first count of rows and of the first group of rows that it names.
    pub(super) fn sizes(&self) -> (Option<u32>, Option<u32>) {
        let of_rows = |rows: RowsJson| match rows {
            RowsJson::At(at) => Some(at),
            RowsJson::Fixed(_) => None,
        };
        match &self.does {
            DoesJson::Kernels { kernels, .. } => kernels
                .iter()
                .map(KernelJson::sizes)
                .fold((None, None), |(rows, grouped): (Option<u32>, Option<u32>), next| {
                    (rows.or(next.0), grouped.or(next.1))
                }),
            DoesJson::Exchange { messages, .. }
            | DoesJson::Collective { counts: CountsJson::ByPair(messages), .. } => {
                (messages.iter().find_map(|it| of_rows(it.rows)), None)
            }
            DoesJson::Collective { counts: CountsJson::Even { rows, .. }, .. } => (of_rows(*rows), None),
            DoesJson::HostStep { .. } | DoesJson::Join { .. } => (None, None),
        }
    }

    /// Appends the instruction to a skeleton in which its part starts at `start`.
    pub(super) fn append(&self, skeleton: &mut Skeleton, start: Mark) -> Result<(), ProgramError> {
        let does = match &self.does {
            DoesJson::Kernels { rank, kernels } => {
                let first = skeleton.mark().kernels;
                for kernel in kernels {
                    skeleton.kernels.push(kernel.meaning()?);
                }
                Does::Kernels { rank: GpuIdx(*rank), kernels: first..skeleton.mark().kernels }
            }
            DoesJson::Exchange { from, posted, messages } => {
                let posted = match posted {
                    PostedJson::InGroups => Posted::InGroups,
                    PostedJson::Relayed => Posted::Relayed,
                    PostedJson::InTurn => Posted::InTurn,
                };
                let messages = append_messages(messages, skeleton)?;
                Does::Exchange { from: GpuIdx(*from), messages, posted }
            }
            DoesJson::Collective { kind, group, counts, is_awaited } => {
                let found = CollectiveKind::ALL.into_iter().find(|it| it.name() == kind);
                let unknown = || format_error("does.kind", format!("unknown collective `{kind}`"));
                let counts = match counts {
                    CountsJson::Even { rows, row_bytes } => {
                        Counts::Even { rows: rows.meaning(), row_bytes: *row_bytes }
                    }
                    CountsJson::ByPair(messages) => Counts::ByPair(append_messages(messages, skeleton)?),
                };
                let kind = found.ok_or_else(unknown)?;
                Does::Collective {
                    kind,
                    group: known_group(*group, skeleton)?,
                    counts,
                    is_awaited: *is_awaited,
                }
            }
            DoesJson::HostStep { rank, group, n_sequences } => {
                let group = known_group(*group, skeleton)?;
                Does::HostStep { rank: GpuIdx(*rank), group, n_sequences: *n_sequences }
            }
            DoesJson::Join { rank } => Does::Join { rank: rank.map(GpuIdx) },
        };
        let first = skeleton.mark().needs;
        let at = (start.values, start.instrs);
        skeleton.needs.extend(self.needs.iter().map(|need| need.meaning(at)));
        let needs = first..skeleton.mark().needs;
        let writes = self.writes.as_ref().map(|value| append_value(value, skeleton)).transpose()?;
        let place = Place { layer: self.layer, micro_batch: self.micro_batch };
        let label = Label::new(activity(&self.activity)?, place);
        skeleton.instrs.push(Instr { label, does, needs, writes });
        Ok(())
    }
}

fn known_group(group: u32, skeleton: &Skeleton) -> Result<GroupIdx, ProgramError> {
    let found = || format_error("does.group", format!("group {group} of {}", skeleton.groups.len()));
    ((group as usize) < skeleton.groups.len()).then_some(GroupIdx(group)).ok_or_else(found)
}

fn append_value(value: &ValueJson, skeleton: &mut Skeleton) -> Result<ValueIdx, ProgramError> {
    let at = ValueIdx(skeleton.mark().values);
    skeleton.values.push(value.meaning()?);
    Ok(at)
}

fn append_messages(
    messages: &[MessageJson],
    skeleton: &mut Skeleton,
) -> Result<std::ops::Range<u32>, ProgramError> {
    let first = skeleton.mark().messages;
    for MessageJson { from, to, rows, row_bytes, writes } in messages {
        let writes = writes.as_ref().map(|value| append_value(value, skeleton)).transpose()?;
        let (from, to, rows) = (GpuIdx(*from), GpuIdx(*to), rows.meaning());
        skeleton.messages.push(Message { from, to, rows, row_bytes: *row_bytes, writes });
    }
    Ok(first..skeleton.mark().messages)
}

fn activity(name: &str) -> Result<Activity, ProgramError> {
    let plain = [
        Activity::Attention,
        Activity::Experts,
        Activity::Embedding,
        Activity::Head,
        Activity::Quantise,
        Activity::Dispatch,
        Activity::Combine,
        Activity::CacheExchange,
        Activity::StageSend,
        Activity::Host,
        Activity::Barrier,
    ];
    let all = plain.into_iter().chain(CollectiveKind::ALL.map(Activity::Collective));
    let found = all.into_iter().find(|activity| activity.name() == name);
    found.ok_or_else(|| format_error("activity", format!("unknown activity `{name}`")))
}
