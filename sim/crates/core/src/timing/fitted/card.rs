//! The models of one card: those of its profile, and where that has none, those of all stacks together.

use std::collections::BTreeMap;

use super::{FittedModel, Form, Prediction, UnknownModel};
use crate::inputs::measurement::{Family, Site, Work};
use crate::inputs::profile::{FamilyFile, ProfileFile};
use crate::timing::kernel_model::roofline_us;
use crate::timing::predictor::Predictor;
use crate::timing::provenance::Provenance;

/// A model and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyModel {
    /// The model that predicts.
    pub model: FittedModel,
    /// Origin of its parameters.
    pub origin: Origin,
}

/// Origin of the parameters of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// A profile of the card.
    Profile {
        /// Its name.
        name: String,
        /// Its entry of the family.
        file: Box<FamilyFile>,
        /// True if it replaces a profile that lacks the family, or one of the card itself.
        is_substitute: bool,
    },
    /// Another card: the parameters with which fits begin, beside this card's figures.
    Physics,
}

impl Origin {
    /// The provenance of a time inside or outside what was fitted.
    pub fn provenance(&self, is_covered: bool) -> Provenance {
        match self {
            Self::Profile { is_substitute: false, .. } if is_covered => Provenance::Fitted,
            Self::Profile { .. } => Provenance::Extrapolated,
            // Of another card no more is known than of a roofline.
            Self::Physics => Provenance::Roofline,
        }
    }
}

/// Variation of the times of a family from run to run.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredJitter {
    /// Standard deviation over the mean.
    pub width: f64,
    /// The profile that holds it.
    pub profile: String,
}

/// The models of a card by family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CardModels {
    families: BTreeMap<Family, FamilyModel>,
    jitter: BTreeMap<Family, MeasuredJitter>,
    predictor: Option<Predictor>,
}

impl CardModels {
    /// The models of `own`; families that it lacks come from `generic`.
    ///
    /// # Errors
    ///
    /// A model that this version does not know.
    pub fn new(own: &ProfileFile, generic: Option<&ProfileFile>) -> Result<Self, UnknownModel> {
        let (mut families, mut jitter) = (BTreeMap::new(), BTreeMap::new());
        for family in Family::ALL {
            let of_profile = |profile: &ProfileFile, is_substitute| {
                profile.families.get(family.name()).map(|file| {
                    let (name, model) = (profile.name.clone(), FittedModel::of_file(family, file)?);
                    let is_substitute = is_substitute || profile.derived_from.is_some();
                    let origin = Origin::Profile { name, file: Box::new(file.clone()), is_substitute };
                    Ok(FamilyModel { model, origin })
                })
            };
            let found = of_profile(own, false).or_else(|| of_profile(generic?, true));
            if let Some(found) = found.transpose()? {
                families.insert(family, found);
            }
            let measured = |profile: &ProfileFile| {
                let width = profile.families.get(family.name())?.jitter?;
                Some(MeasuredJitter { width, profile: profile.name.clone() })
            };
            if let Some(found) = measured(own).or_else(|| measured(generic?)) {
                jitter.insert(family, found);
            }
        }
        Ok(Self { families, jitter, predictor: None })
    }

    /// Models of a card that nobody has measured: the same physics with the card's own figures.
    pub fn physical() -> Self {
        let of_family = |family| {
            let form = Form::new(family, "");
            let model = FittedModel::new(form, form.start().to_vec());
            (family, FamilyModel { model, origin: Origin::Physics })
        };
        let families = Family::ALL.into_iter().map(of_family).collect();
        Self { families, ..Self::default() }
    }

    /// The same models, but `predictor` answers for the work that it was trained for.
    #[must_use]
    pub fn with_predictor(self, predictor: Predictor) -> Self {
        Self { predictor: Some(predictor), ..self }
    }

    /// The model of `family`.
    pub fn family(&self, family: Family) -> Option<&FamilyModel> {
        self.families.get(&family)
    }

    /// Variation of the times of `family`; none where no row was repeated.
    pub fn jitter(&self, family: Family) -> Option<&MeasuredJitter> {
        self.jitter.get(&family)
    }

    /// The seed of the split, where the model of `family` was fitted to rows of the set called `set`.
    pub fn split_of(&self, family: Family, set: &str) -> Option<u64> {
        if let Some(predictor) = self.predictor.as_ref().filter(|predictor| predictor.has(family)) {
            return predictor.split_of(family, set);
        }
        let Origin::Profile { file, .. } = &self.families.get(&family)?.origin else { return None };
        file.sets.iter().any(|fitted| fitted.name == set).then_some(file.split.seed)
    }

    /// The families whose models stand in, and the profile that they are from.
    pub fn substitutes(&self) -> impl Iterator<Item = (Family, &str)> {
        self.families.iter().filter_map(|(family, found)| match &found.origin {
            Origin::Profile { name, is_substitute: true, .. } => Some((*family, name.as_str())),
            Origin::Profile { .. } | Origin::Physics => None,
        })
    }

    /// The time of `work`: fitted, else the roofline of the card; none where neither can say.
    pub fn predict(&self, work: &Work, site: &Site) -> Option<Prediction> {
        if let Some(guess) = self.predictor.as_ref().and_then(|predictor| predictor.predict(work)) {
            let provenance = if guess.is_covered { Provenance::Fitted } else { Provenance::Extrapolated };
            return Some(Prediction {
                time_us: guess.time_us,
                interval_us: Some(guess.interval_us),
                provenance,
            });
        }
        let Some(found) = self.families.get(&work.family()) else {
            return roofline(work, site);
        };
        let prediction = found.model.predict(work, site)?;
        let provenance = found.origin.provenance(prediction.provenance == Provenance::Fitted);
        Some(Prediction { provenance, ..prediction })
    }
}

/// A roofline has no error bar: nothing says how far off it is.
fn roofline(work: &Work, site: &Site) -> Option<Prediction> {
    let time_us = roofline_us(work, site.card.as_deref()?)?;
    Some(Prediction { time_us, interval_us: None, provenance: Provenance::Roofline })
}
