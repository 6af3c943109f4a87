//! The skeleton in parts: layers that are alike are written once.

use serde::{Deserialize, Serialize};

use super::instr::{InstrJson, Shift};
use super::{ProgramError, format_error};
use crate::program::Program;
use crate::program::skeleton::Mark;

/// Most instructions of a program that is read.
const INSTRS_MAX: u64 = 1 << 26;

/// Instructions that follow each other, and so many repetitions of them, each one layer further.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PartJson {
    /// The layer of the first repetition; none outside layers.
    layer: Option<u32>,
    repeat: u32,
    /// Distance of the counts of rows from repetition to repetition.
    rows_stride: u32,
    /// Distance of the groups of rows.
    grouped_stride: u32,
    instrs: Vec<InstrJson>,
}

/// A stretch of instructions.
struct Segment {
    layer: Option<u32>,
    instrs: Vec<InstrJson>,
}

/// The parts of a program.
pub(super) fn write(program: &Program) -> Vec<PartJson> {
    let mut parts: Vec<PartJson> = Vec::new();
    for segment in segments(program) {
        if parts.last_mut().is_some_and(|last| last.takes(&segment)) {
            continue;
        }
        let Segment { layer, instrs } = segment;
        parts.push(PartJson { layer, repeat: 1, rows_stride: 0, grouped_stride: 0, instrs });
    }
    parts
}

impl PartJson {
    /// Takes `segment` as its next repetition, if it is one; the second repetition sets the strides.
    fn takes(&mut self, segment: &Segment) -> bool {
        let (Some(first), Some(layer)) = (self.layer, segment.layer) else { return false };
        if layer != first + self.repeat || self.instrs.len() != segment.instrs.len() {
            return false;
        }
        if self.repeat == 1 {
            (self.rows_stride, self.grouped_stride) = distance(&self.instrs, &segment.instrs);
        }
        let shift = self.shift(self.repeat);
        let is_next =
            self.instrs.iter().zip(&segment.instrs).all(|(own, other)| own.shifted(shift) == *other);
        self.repeat += u32::from(is_next);
        is_next
    }

    fn shift(&self, repetition: u32) -> Shift {
        Shift {
            layers: repetition,
            rows: self.rows_stride.saturating_mul(repetition),
            grouped: self.grouped_stride.saturating_mul(repetition),
        }
    }
}

/// The distance of the sizes of two layers.
fn distance(a: &[InstrJson], b: &[InstrJson]) -> (u32, u32) {
    let sizes = || a.iter().zip(b).map(|(a, b)| (a.sizes(), b.sizes()));
    let rows = sizes().find_map(|(a, b)| Some((a.0?, b.0?)));
    let grouped = sizes().find_map(|(a, b)| Some((a.1?, b.1?)));
    let apart = |pair: Option<(u32, u32)>| pair.map_or(0, |(a, b)| b.saturating_sub(a));
    (apart(rows), apart(grouped))
}

fn segments(program: &Program) -> Vec<Segment> {
    let skeleton = &program.skeleton;
    let starts = [(None, Mark::default())].into_iter().chain(program.layers.iter().copied());
    let starts: Vec<(Option<u32>, Mark)> = starts.collect();
    let ends = starts[1..].iter().map(|(_, mark)| *mark).chain([skeleton.mark()]);
    let segment = |((layer, start), end): (&(Option<u32>, Mark), Mark)| {
        let instrs = &skeleton.instrs[start.instrs as usize..end.instrs as usize];
        let instrs = instrs.iter().map(|instr| InstrJson::of(instr, skeleton, *start)).collect();
        Segment { layer: *layer, instrs }
    };
    starts.iter().zip(ends).map(segment).collect()
}

/// Appends the instructions of all parts to `program`, whose groups are known.
pub(super) fn read(parts: &[PartJson], program: &mut Program) -> Result<(), ProgramError> {
    let n_instrs = parts.iter().map(|part| u64::from(part.repeat).saturating_mul(part.instrs.len() as u64));
    let n_instrs = n_instrs.fold(0_u64, u64::saturating_add);
    if n_instrs > INSTRS_MAX {
        return Err(format_error("skeleton.parts", format!("{n_instrs} instructions; at most {INSTRS_MAX}")));
    }
    for (idx, part) in parts.iter().enumerate() {
        if part.layer.is_none() && part.repeat != 1 {
            let found = format!("{} repetitions outside layers; expected 1", part.repeat);
            return Err(format_error(&format!("skeleton.parts.{idx}"), found));
        }
        if part.instrs.is_empty() && part.repeat != 1 {
            let found = format!("{} repetitions of nothing; expected 1", part.repeat);
            return Err(format_error(&format!("skeleton.parts.{idx}"), found));
        }
        for repetition in 0..part.repeat {
            let start = program.skeleton.mark();
            let layer = part.layer.map(|layer| layer.saturating_add(repetition));
            // The first part, outside layers, begins where the program does.
            if idx > 0 || layer.is_some() {
                program.layers.push((layer, start));
            }
            for instr in &part.instrs {
                instr.shifted(part.shift(repetition)).append(&mut program.skeleton, start)?;
            }
        }
    }
    Ok(())
}
