//! The counts of rows that hosts must know before they can launch sends of the right sizes.

use super::routed::RoutedStep;
use crate::inputs::topology::GpuIdx;
use crate::program::instr::{Activity, Counts, Does, Label, Need, Place};
use crate::program::size::Rows;
use crate::program::value::{Data, Holder, What};
use crate::scenario::Dispatch;
use crate::work::collectives::CollectiveKind;

/// Bytes of a count.
const COUNT_BYTES: u64 = 4;

impl RoutedStep<'_, '_> {
    /// The needs of the sends of each owner: its own kernels, or where kernels are launched one by one, the counts of all
    /// rows.
    ///
    /// The counts are gathered on all ranks that send or receive, and every host waits for them once.
    /// Graphs are replayed with sizes that devices read themselves.
    pub(super) fn counted(&mut self, place: Place, posts: &[Need]) -> Vec<Need> {
        if self.plan.dispatch == Dispatch::Broadcast || !self.builder.rules.counts_are_exchanged {
            return posts.to_vec();
        }
        let mut group: Vec<GpuIdx> = self.owners.clone();
        group.extend(self.members.iter().map(|(_, gpu)| *gpu));
        group.sort_unstable();
        group.dedup();
        if group.len() < 2 {
            return posts.to_vec();
        }
        let row_bytes = self.plan.experts.groups.len() as u64 * COUNT_BYTES;
        let n_ranks = group.len() as u64;
        let data = Data { what: What::Counts, rows: Rows::Fixed(n_ranks), row_bytes };
        let kind = CollectiveKind::AllGather;
        let counts = Counts::Even { rows: Rows::Fixed(n_ranks), row_bytes };
        let group = self.builder.group(&group);
        let does = Does::Collective { kind, group, counts, is_awaited: true };
        let label = Label::new(Activity::Collective(kind), place);
        let at = self.builder.push(label, does, posts, Some((data, Holder::Group(group))));
        vec![self.builder.written(at); posts.len()]
    }
}
