//! The experts that every token passes, on the rank of its residual stream.

use super::fixed;
use super::n_of;
use super::routed::RoutedStep;
use crate::program::instr::{Activity, Kernel, Label, Need, Place};

impl RoutedStep<'_, '_> {
    /// Every owner runs its tokens through the shared experts while they travel to the others.
    ///
    /// The kernels that follow on the owner wait in its queue; the sum with the outputs of the others belongs to them.
    pub(super) fn shared_experts(&mut self, place: Place, posts: &[Need]) {
        let ops = self.builder.ops;
        let width = u64::from(ops.moe().shared_width());
        if width == 0 {
            return;
        }
        for (owner, &post) in posts.iter().enumerate() {
            let tokens = n_of(&self.owned_tokens(place.micro_batch as usize, owner));
            let kernels: Vec<Kernel> = fixed(ops.shared_experts(tokens, width)).collect();
            let (label, data) = (Label::new(Activity::Experts, place), self.builder.stream(tokens));
            self.builder.kernels(label, self.owners[owner], &kernels, &[post], data);
        }
    }
}
