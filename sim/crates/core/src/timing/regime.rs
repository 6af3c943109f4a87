//! Regimes: work of a family whose times err alike.

use serde::{Deserialize, Serialize};

use crate::inputs::measurement::Family;

/// Work of a family whose times err alike.
///
/// The position in [`Regime::ALL`] is part of the seed of its draws: new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "RegimeFile", try_from = "RegimeFile")]
pub enum Regime {
    /// Products that a launch dominates.
    ShortGemm,
    /// Products between the two.
    MiddleGemm,
    /// Products that plain arithmetic dominates.
    LongGemm,
    /// Prompts of few queries.
    FewQueries,
    /// Prompts that leave multiprocessors idle.
    FewTiles,
    /// Prompts that fill all multiprocessors.
    ManyTiles,
    /// Decode attention over short caches.
    ShortCache,
    /// Decode attention whose caches are split over multiprocessors.
    SplitCache,
    /// Decode attention whose caches are not split.
    WholeCache,
    /// Few experts on a rank: its load is a matter of luck.
    FewExperts,
    /// Many experts on a rank.
    ManyExperts,
    /// Elementwise kernels over many rows.
    ManyTokens,
    /// Elementwise kernels over few rows.
    FewTokens,
    /// Collectives of short messages.
    ShortCollective,
    /// Collectives of middling messages.
    MiddleCollective,
    /// Collectives of long messages.
    LongCollective,
    /// Short sends between pairs.
    ShortP2p,
    /// Middling sends between pairs.
    MiddleP2p,
    /// Long sends between pairs.
    LongP2p,
}

/// Its spelling in files.
#[derive(Serialize, Deserialize)]
struct RegimeFile {
    family: String,
    regime: String,
}

impl Regime {
    /// All of them, those of a family together.
    pub const ALL: [Self; 19] = [
        Self::ShortGemm,
        Self::MiddleGemm,
        Self::LongGemm,
        Self::FewQueries,
        Self::FewTiles,
        Self::ManyTiles,
        Self::ShortCache,
        Self::SplitCache,
        Self::WholeCache,
        Self::FewExperts,
        Self::ManyExperts,
        Self::ManyTokens,
        Self::FewTokens,
        Self::ShortCollective,
        Self::MiddleCollective,
        Self::LongCollective,
        Self::ShortP2p,
        Self::MiddleP2p,
        Self::LongP2p,
    ];

    /// The regimes of `family`.
    pub fn of_family(family: Family) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |regime| regime.family() == family)
    }

    /// The family.
    pub const fn family(self) -> Family {
        match self {
            Self::ShortGemm | Self::MiddleGemm | Self::LongGemm => Family::Gemm,
            Self::FewQueries | Self::FewTiles | Self::ManyTiles => Family::AttentionPrefill,
            Self::ShortCache | Self::SplitCache | Self::WholeCache => Family::AttentionDecode,
            Self::FewExperts | Self::ManyExperts => Family::Moe,
            Self::ManyTokens | Self::FewTokens => Family::Elementwise,
            Self::ShortCollective | Self::MiddleCollective | Self::LongCollective => Family::Collective,
            Self::ShortP2p | Self::MiddleP2p | Self::LongP2p => Family::P2p,
        }
    }

    /// The name in files, among those of the family.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShortGemm => "short",
            Self::MiddleGemm => "middle",
            Self::LongGemm => "long",
            Self::FewQueries => "few_queries",
            Self::FewTiles => "few_tiles",
            Self::ManyTiles => "many_tiles",
            Self::ShortCache => "short_cache",
            Self::SplitCache => "split_cache",
            Self::WholeCache => "whole_cache",
            Self::FewExperts => "few_experts",
            Self::ManyExperts => "many_experts",
            Self::ManyTokens => "tokens_ge_128",
            Self::FewTokens => "tokens_lt_128",
            Self::ShortCollective | Self::ShortP2p => "lt_64KB",
            Self::MiddleCollective | Self::MiddleP2p => "64KB_to_8MB",
            Self::LongCollective | Self::LongP2p => "gt_8MB",
        }
    }

    /// The number that tells its draws from those of others.
    pub(super) const fn number(self) -> u64 {
        self as u64
    }
}

impl From<Regime> for RegimeFile {
    fn from(regime: Regime) -> Self {
        Self { family: regime.family().name().to_owned(), regime: regime.name().to_owned() }
    }
}

/// A pair of names that no regime has.
#[derive(Debug, thiserror::Error)]
#[error("no family `{family}` with a regime `{regime}`")]
struct UnknownRegime {
    family: String,
    regime: String,
}

impl TryFrom<RegimeFile> for Regime {
    type Error = UnknownRegime;

    fn try_from(RegimeFile { family, regime }: RegimeFile) -> Result<Self, UnknownRegime> {
        let has_names = |it: &Self| it.family().name() == family && it.name() == regime;
        Self::ALL.into_iter().find(has_names).ok_or(UnknownRegime { family, regime })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_regimes_of_a_family_apart() {
        for (place, regime) in Regime::ALL.into_iter().enumerate() {
            assert_eq!(regime.number(), place as u64);
            let text = serde_json::to_string(&regime).unwrap();
            assert_eq!(serde_json::from_str::<Regime>(&text).unwrap(), regime, "{text}");
        }
        let unknown = serde_json::from_str::<Regime>(r#"{"family":"gemm","regime":"few_tiles"}"#);
        assert_eq!(unknown.unwrap_err().to_string(), "no family `gemm` with a regime `few_tiles`");
    }
}
