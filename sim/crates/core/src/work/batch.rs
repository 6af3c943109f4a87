//! The sequences of one step.

use std::ops::Range;

use super::routing::context_lens;
use crate::scenario::{ContextLen, Scenario};

/// Equal sequences that stand one after the other in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceRun {
    /// Position of the first of them in the batch.
    pub first: u32,
    /// Number of sequences.
    pub n: u32,
    /// Tokens of each that pass through the model in this step: 1 in decode, the prompt in prefill.
    pub q_len: u32,
    /// Tokens of each that are in the cache before the step.
    pub kv_len: u32,
}

/// The sequences of one step, as runs of equal ones in the order of their positions.
///
/// A batch is drawn once, by a source of batches, and handed down: the program, the bound, the closed form and the memory
/// all read the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    runs: Vec<SequenceRun>,
    /// `[run]`: tokens in the caches of all sequences before it.
    cached_before: Vec<u64>,
    n_sequences: u32,
}

impl Batch {
    /// Sequences of `q_len` tokens each, of which those at each position have `kv_lens` in their caches.
    pub fn new(q_len: u32, kv_lens: impl IntoIterator<Item = u32>) -> Self {
        let mut batch = Self { runs: Vec::new(), cached_before: Vec::new(), n_sequences: 0 };
        let mut cached = 0;
        for kv_len in kv_lens {
            match batch.runs.last_mut() {
                Some(run) if run.kv_len == kv_len => run.n += 1,
                Some(_) | None => {
                    batch.runs.push(SequenceRun { first: batch.n_sequences, n: 1, q_len, kv_len });
                    batch.cached_before.push(cached);
                }
            }
            batch.n_sequences += 1;
            cached += u64::from(kv_len);
        }
        batch
    }

    /// The batch of a step of `scenario`: endless decode, prompts that begin with empty caches, or the step at the mean
    /// context of whole requests.
    pub fn of_step(scenario: &Scenario) -> Self {
        let context = scenario.workload.decode_context();
        let q_len = if context.is_some() { 1 } else { scenario.workload.tokens_at_once() };
        Self::drawn(scenario, q_len, &context.unwrap_or(ContextLen::Fixed(0)))
    }

    /// The batch of the last step of `scenario`, when the caches are fullest.
    pub fn of_last_step(scenario: &Scenario) -> Self {
        Self::drawn(scenario, 1, &scenario.workload.final_context())
    }

    fn drawn(scenario: &Scenario, q_len: u32, context: &ContextLen) -> Self {
        Self::new(q_len, context_lens(context, scenario.workload.batch(), scenario.seed))
    }

    /// Number of sequences.
    pub fn n_sequences(&self) -> u32 {
        self.n_sequences
    }

    /// Runs of equal sequences, in order.
    pub fn runs(&self) -> &[SequenceRun] {
        &self.runs
    }

    /// Tokens in the caches of the sequences at `positions`, all together.
    pub fn cached(&self, positions: &Range<u32>) -> u64 {
        self.cached_up_to(positions.end) - self.cached_up_to(positions.start)
    }

    /// Tokens in the cache of the sequence at `positions` that has most; 0 without any sequence.
    pub fn longest(&self, positions: &Range<u32>) -> u64 {
        let first = self.runs.partition_point(|run| run.first + run.n <= positions.start);
        let inside = self.runs[first..].iter().take_while(|run| run.first < positions.end);
        inside.map(|run| u64::from(run.kv_len)).max().unwrap_or(0)
    }

    /// Tokens in the cache of a sequence, mean over all.
    pub fn mean_cached(&self) -> f64 {
        self.cached_up_to(self.n_sequences) as f64 / f64::from(self.n_sequences)
    }

    fn cached_up_to(&self, position: u32) -> u64 {
        let after = self.runs.partition_point(|run| run.first < position);
        let Some(at) = after.checked_sub(1) else { return 0 };
        let run = self.runs[at];
        self.cached_before[at] + u64::from(run.kv_len) * u64::from(position - run.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 5 + 5 + 9 + 2 = 21 tokens; the two in the middle have 14, and the longer of them 9.
    #[test]
    fn sums_and_the_longest_are_those_of_the_positions() {
        let batch = Batch::new(1, [5, 5, 9, 2]);
        assert_eq!(batch.runs().len(), 3);
        assert_eq!((batch.cached(&(0..4)), batch.cached(&(1..3)), batch.cached(&(4..4))), (21, 14, 0));
        assert_eq!((batch.longest(&(1..3)), batch.longest(&(3..4)), batch.longest(&(2..2))), (9, 2, 0));
        assert!((batch.mean_cached() - 5.25).abs() < 1e-12);
    }

    #[test]
    fn equal_sequences_are_one_run() {
        let batch = Batch::new(1, [7; 1000]);
        assert_eq!(batch.runs(), [SequenceRun { first: 0, n: 1000, q_len: 1, kv_len: 7 }]);
        assert_eq!((batch.cached(&(10..20)), batch.longest(&(999..1000))), (70, 7));
    }
}
