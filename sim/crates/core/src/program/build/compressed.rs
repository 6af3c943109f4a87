//! An all-reduce with 8 bits on the way: kernels on every member, collectives between them.

use masim_units::Bytes;

use super::Builder;
use crate::inputs::topology::GpuIdx;
use crate::program::instr::{Activity, Label, Need, Place};
use crate::program::size::Rows;
use crate::program::value::{Data, What};
use crate::work::collectives::{CollectiveKind, Quantised};

impl Builder<'_> {
    /// The sum of `bytes` on every rank of `group`: each quantises its buffer, all exchange shards, each adds up its own in
    /// fp32 and quantises the sum, all gather the sums, and each expands them.
    ///
    /// `needs` holds the buffer of each member. The result is the point at which all have the sum.
    pub(super) fn compressed_all_reduce(
        &mut self,
        place: Place,
        group: &[GpuIdx],
        (bytes, data): (Bytes, Data),
        needs: &[Need],
    ) -> Need {
        let value_bytes = self.scenario.model.dtype.activations.bytes();
        let buffers = Quantised::new(bytes, value_bytes, group.len() as u64);
        let [quantise, reduce, expand] = buffers.traffic();
        assert_eq!(needs.len(), group.len(), "every member has a buffer of its own");
        let buffer = |bytes: Bytes| Data { what: What::Quantised, rows: Rows::Fixed(1), row_bytes: bytes.0 };
        let (all, shard) = ((buffers.all, buffer(buffers.all)), buffer(buffers.shard));
        let after: Vec<&[Need]> = needs.chunks(1).collect();
        let quantised = self.on_all(place, group, quantise, &after, all.1);
        let exchanged = self.together(CollectiveKind::AllToAll, place, group, all, &quantised);
        let reduced = self.on_all(place, group, reduce, &vec![&[exchanged][..]; group.len()], shard);
        let gathered = self.together(CollectiveKind::AllGather, place, group, all, &reduced);
        let expanded = self.on_all(place, group, expand, &vec![&[gathered][..]; group.len()], data);
        self.join(place, None, &expanded)
    }

    /// A kernel on every rank of `group` that reads and writes `traffic` together.
    fn on_all(
        &mut self,
        place: Place,
        group: &[GpuIdx],
        traffic: Bytes,
        needs: &[&[Need]],
        data: Data,
    ) -> Vec<Need> {
        let kernel = [self.ops.quantise(traffic).into()];
        let label = Label::new(Activity::Quantise, place);
        let members = group.iter().zip(needs);
        members.map(|(&gpu, needs)| self.kernels(label, gpu, &kernel, needs, data)).collect()
    }
}
