//! Prompts on their way through a routed plan.

use super::pass::Tokens;
use super::routed::RoutedStep;
use crate::program::instr::Place;

impl RoutedStep<'_, '_> {
    /// All chunks of all prompts, as many waves under way together as the plan has micro-batches.
    ///
    /// On the in-order queues a chunk follows those before it of the same prompt, whose keys and values it meets.
    pub(super) fn prompts(&mut self) {
        let n_layers = self.builder.scenario.model.n_layers;
        let n_waves = u32::try_from(self.waves.len()).expect("input validation bounds the number of chunks");
        let together = self.plan.n_micro_batches;
        for first in (0..n_waves).step_by(together as usize) {
            let round = first..(first + together).min(n_waves);
            for micro_batch in round.clone() {
                self.enter(Place { layer: 0, micro_batch });
            }
            for layer in 0..n_layers {
                self.builder.begin_layer(layer);
                self.layer(layer, round.clone());
            }
            self.builder.end_layers();
            for micro_batch in round {
                self.leave(Place { layer: n_layers, micro_batch });
            }
        }
    }

    /// Embeds the tokens of a wave on their owners.
    fn enter(&mut self, place: Place) {
        let mut inputs = Vec::with_capacity(self.owners.len());
        for &rank in &self.owners {
            inputs.push(vec![self.builder.join(place, Some(rank), &[])]);
        }
        let scheduled = self.scheduled(place, &[]);
        let inputs = inputs.into_iter().zip(scheduled).enumerate();
        let inputs = inputs.map(|(owner, (mut needs, scheduled))| {
            needs.extend(scheduled);
            (self.embedded(place, owner), needs)
        });
        let inputs = inputs.collect();
        self.inputs.push(inputs);
    }

    /// The first token of every sequence whose prompt ends here; of others nothing is left to do.
    fn leave(&mut self, place: Place) {
        if let Tokens::Chunk { is_last: true, .. } = self.waves[place.micro_batch as usize].tokens {
            self.next_tokens(place);
        }
    }
}
