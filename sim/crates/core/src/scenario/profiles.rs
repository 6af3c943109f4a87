//! Which calibrated models hold for which card.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::file::ProfileFile as ProfileReference;
use crate::inputs::profile::{ProfileFile, generic_of};
use crate::inputs::text::{InputError, Library, Problem, RefKind, SourceText};
use crate::inputs::topology::Cluster;
use crate::timing::fitted::CardModels;
use crate::timing::regime::Regime;
use crate::timing::uncertainty::Spread;

/// Calibrated models by card; without them datasheets and assumed efficiencies say how long things take.
#[derive(Clone, Debug, PartialEq)]
pub struct Profiles {
    /// Name in results.
    pub name: String,
    /// By name of the card.
    pub cards: BTreeMap<String, Arc<CardModels>>,
    /// Warnings to check before trusting results.
    pub warnings: Vec<String>,
}

impl Profiles {
    /// No profile at all.
    pub fn none() -> Self {
        Self { name: "none".to_owned(), cards: BTreeMap::new(), warnings: Vec::new() }
    }

    /// Quantiles of the errors of a regime, where they are known; of the first card that knows them.
    pub fn spread(&self, regime: Regime) -> Option<Spread> {
        self.cards.values().find_map(|models| models.family(regime.family())?.model.spread(regime))
    }
}

/// The models that `reference`, which stands under the key `profile` of `source`, names for the cards of `cluster`.
///
/// # Errors
///
/// A profile that does not exist, is broken, or belongs to a card that the cluster does not have.
pub(super) fn load_profiles(
    reference: &ProfileReference,
    cluster: &Cluster,
    source: &SourceText,
    library: &dyn Library,
) -> Result<Profiles, InputError> {
    let stems: Vec<(Option<&str>, &str)> = match reference {
        ProfileReference::Name(name) if name == "none" => return Ok(Profiles::none()),
        ProfileReference::Name(name) => vec![(None, name)],
        ProfileReference::PerCard(by_card) => {
            by_card.iter().map(|(card, stem)| (Some(card.as_str()), stem.as_str())).collect()
        }
    };
    let cards: BTreeSet<&str> = cluster.gpus.iter().map(|gpu| gpu.card.name.as_str()).collect();
    let mut found = Profiles { name: name_of(reference), ..Profiles::none() };
    for (card, stem) in stems {
        let key = card.map_or_else(|| "profile".to_owned(), |card| format!("profile.{card}"));
        let wrong = |message: String| InputError::new(source, vec![Problem::new(&key, message)]);
        let text = library.load(RefKind::Profile, stem, &source.path).map_err(&wrong)?;
        let profile = ProfileFile::read(&text)?;
        let card = card.unwrap_or(&profile.gpu).to_owned();
        if !cards.contains(card.as_str()) {
            let of_cluster: Vec<_> = cards.iter().copied().collect();
            let finding = format!("`{stem}` is for card `{card}`; the cluster has {}", of_cluster.join(", "));
            return Err(wrong(finding));
        }
        let generic = generic_of(&profile.gpu, library, &source.path)?.filter(|it| it.name != profile.name);
        let models = if card == profile.gpu {
            CardModels::new(&profile, generic.as_ref())
        } else {
            found.warnings.push(format!(
                "profile `{stem}` is of card `{}`: its parameters beside the figures of `{card}`, at best Extrapolated",
                profile.gpu
            ));
            CardModels::new(&profile.derived(generic.as_ref(), stem, &card), None)
        };
        let models = models.map_err(|error| wrong(error.to_string()))?;
        if card == profile.gpu {
            found.warnings.extend(substitutes(&profile.name, &models));
        }
        found.cards.insert(card, Arc::new(models));
    }
    let missing = cards.iter().filter(|card| !found.cards.contains_key(**card));
    let warnings: Vec<_> =
        missing.map(|card| format!("no profile for card `{card}`: its times are rooflines")).collect();
    found.warnings.extend(warnings);
    Ok(found)
}

/// Name in results: the stem, or the stems by card as JSON.
fn name_of(reference: &ProfileReference) -> String {
    match reference {
        ProfileReference::Name(name) => name.clone(),
        ProfileReference::PerCard(by_card) => {
            serde_json::to_string(by_card).expect("a map of strings is JSON")
        }
    }
}

/// One warning for everything that comes from another profile.
fn substitutes(profile: &str, models: &CardModels) -> Option<String> {
    let taken: Vec<_> = models.substitutes().collect();
    let (_, from) = taken.first()?;
    let families: Vec<_> = taken.iter().map(|(family, _)| family.name()).collect();
    Some(format!(
        "profile `{profile}` lacks {}: taken from `{from}`, at best Extrapolated",
        families.join(", ")
    ))
}
