//! Variation of times from run to run.

use std::collections::BTreeSet;

use super::Scenario;
use crate::inputs::measurement::Family;

/// Variation of the time of a task around the model's time, drawn anew for each task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// Variation of each kernel.
    pub kernels: Width,
    /// Variation of each transfer.
    pub communication: Width,
}

/// Standard deviation of a time, as a share of its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// The variation that the profiles hold for the family; families without repeated rows do not vary.
    Profile,
    /// Given.
    Share(f64),
}

impl Jitter {
    /// Nothing varies.
    pub const NONE: Self = Self { kernels: Width::Share(0.0), communication: Width::Share(0.0) };

    /// The variation that the profiles hold, of kernels and of transfers.
    pub const PROFILE: Self = Self { kernels: Width::Profile, communication: Width::Profile };
}

/// Variation of the times of a family, and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyJitter {
    /// Standard deviation over the mean.
    pub share: f64,
    /// Origin of the width.
    pub origin: JitterOrigin,
}

/// Origin of the width of a jitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JitterOrigin {
    /// The scenario gives it.
    Scenario,
    /// Repeated rows, by the profile of this name.
    Profile(String),
    /// No row was repeated: the family does not vary.
    NotRepeated,
}

impl Scenario {
    /// Variation of the times of `family` on the card named `card`.
    pub fn jitter_width(&self, card: &str, family: Family) -> FamilyJitter {
        let width = match family {
            Family::Collective | Family::P2p => self.jitter.communication,
            Family::Gemm
            | Family::AttentionPrefill
            | Family::AttentionDecode
            | Family::Moe
            | Family::Elementwise => self.jitter.kernels,
        };
        match width {
            Width::Share(share) => FamilyJitter { share, origin: JitterOrigin::Scenario },
            Width::Profile => {
                let measured = self.profiles.cards.get(card).and_then(|models| models.jitter(family));
                measured.map_or(FamilyJitter { share: 0.0, origin: JitterOrigin::NotRepeated }, |found| {
                    FamilyJitter { share: found.width, origin: JitterOrigin::Profile(found.profile.clone()) }
                })
            }
        }
    }

    /// The families that do not vary although they are asked to, because no profile of a card has repeated rows of them.
    pub(super) fn still_families(&self) -> Vec<String> {
        let cards: BTreeSet<&str> = self.cluster.gpus.iter().map(|gpu| gpu.card.name.as_str()).collect();
        let still = |card: &str| {
            let is_still =
                |family: &Family| self.jitter_width(card, *family).origin == JitterOrigin::NotRepeated;
            let names: Vec<_> = Family::ALL.into_iter().filter(is_still).map(Family::name).collect();
            let names = names.join(", ");
            (!names.is_empty())
                .then(|| format!("jitter: no repeated rows of {names} on `{card}`; they do not vary"))
        };
        cards.into_iter().filter_map(still).collect()
    }
}
