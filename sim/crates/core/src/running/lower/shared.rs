//! The experts that every token passes, where its residual stream is.

use masim_engine::TaskId;

use super::routed::RoutedStep;
use super::step::{Activity, Place};
use crate::work::cost::TooLong;

impl RoutedStep<'_, '_> {
    /// Every owner runs its tokens through the shared experts while they travel to the others.
    ///
    /// What follows on the owner waits in its stream; the sum with the outputs of the others belongs to it.
    pub(super) fn shared_experts(&mut self, place: Place, posts: &[TaskId]) -> Result<(), TooLong> {
        let ops = self.lowering.ops;
        let width = u64::from(ops.moe().shared_width());
        if width == 0 {
            return Ok(());
        }
        for (owner, &post) in posts.iter().enumerate() {
            let tokens = self.owned_tokens(place.micro_batch, owner);
            let kernels = ops.shared_experts(u64::from(tokens.end - tokens.start), width);
            let what = (Activity::Experts, place);
            self.step.compute(self.lowering, what, self.owners[owner], &kernels, &[post])?;
        }
        Ok(())
    }
}
