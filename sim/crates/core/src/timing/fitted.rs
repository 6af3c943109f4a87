//! Fitted models of families, as profiles hold them.

mod card;
mod covered;
mod form;
mod regime;

pub use card::{CardModels, FamilyModel, MeasuredJitter, Origin};
pub use covered::Covered;
pub use form::{Form, SpecialParams};
pub use regime::{regime, regime_of_bytes, regime_of_product, regime_of_rows};

use std::collections::BTreeMap;

use crate::inputs::measurement::{Family, Site, Work};
use crate::inputs::profile::{FamilyFile, ResidualFile};
use crate::timing::provenance::Provenance;
use crate::timing::regime::Regime;
use crate::timing::uncertainty::Spread;

/// A model with its parameters, and what is known about its errors.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedModel {
    form: Form,
    values: Vec<f64>,
    covered: Covered,
    residuals: Vec<ResidualFile>,
}

/// A time with its error bar.
///
/// # Units
///
/// Microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Expected time.
    pub time_us: f64,
    /// 90 % of true times lie between these two; none where nothing is known of the error.
    pub interval_us: Option<(f64, f64)>,
    /// Provenance of the time.
    pub provenance: Provenance,
}

/// Why a profile's family is no model of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownModel {
    /// Another version may have written it.
    #[error("`{family}` is modelled by `{found}`; expected `{expected}`")]
    Form {
        /// The family.
        family: &'static str,
        /// In the profile.
        found: String,
        /// Names that this version knows.
        expected: &'static str,
    },
    /// A parameter is missing.
    #[error("`{family}` has no parameter `{name}`")]
    Parameter {
        /// The family.
        family: &'static str,
        /// The parameter.
        name: &'static str,
    },
}

impl FittedModel {
    /// A form with values in the order of its names, of which nothing else is known yet.
    pub fn new(form: Form, values: Vec<f64>) -> Self {
        Self { form, values, covered: Covered::default(), residuals: Vec::new() }
    }

    /// The model that a profile holds for `family`.
    ///
    /// # Errors
    ///
    /// A form or parameters that this version does not know.
    pub fn of_file(family: Family, file: &FamilyFile) -> Result<Self, UnknownModel> {
        let form = Form::new(family, &file.stack);
        if file.model != form.name() {
            let (found, expected) = (file.model.clone(), form.name());
            return Err(UnknownModel::Form { family: family.name(), found, expected });
        }
        let value = |&name: &&'static str| {
            let missing = UnknownModel::Parameter { family: family.name(), name };
            file.params.get(name).copied().ok_or(missing)
        };
        let values = form.names().iter().map(value).collect::<Result<_, _>>()?;
        let covered = Covered::new(file.covered.clone());
        Ok(Self { form, values, covered, residuals: file.residuals.clone() })
    }

    /// Form of the model.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The parameters by name.
    pub fn params(&self) -> BTreeMap<String, f64> {
        let names = self.form.names().iter().map(|name| (*name).to_owned());
        names.zip(self.values.iter().copied()).collect()
    }

    /// The parameters in the order of their names.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Ranges of the fitted rows.
    pub fn covered(&self) -> &Covered {
        &self.covered
    }

    /// The time of `work` in microseconds; none for work of another family, or on a card that cannot do it.
    pub fn predict_us(&self, work: &Work, site: &Site) -> Option<f64> {
        self.form.predict_us(&self.values, work, site)
    }

    /// The time of `work` with its error bar and provenance; none as for [`FittedModel::predict_us`].
    pub fn predict(&self, work: &Work, site: &Site) -> Option<Prediction> {
        let time_us = self.predict_us(work, site)?;
        let provenance =
            if self.covered.contains(work) { Provenance::Fitted } else { Provenance::Extrapolated };
        let interval_us =
            self.spread(regime(work, time_us)).map(|it| (time_us * (1.0 + it.q05), time_us * (1.0 + it.q95)));
        Some(Prediction { time_us, interval_us, provenance })
    }

    /// Quantiles of the residuals in `regime`; the widest of all where none was seen there, none where nothing is
    /// known.
    pub fn spread(&self, regime: Regime) -> Option<Spread> {
        let spread = |it: &ResidualFile| {
            let ResidualFile { q05, q25, q50, q75, q95, .. } = *it;
            Spread { q05, q25, q50, q75, q95 }
        };
        let own = self.residuals.iter().find(|it| it.regime == regime.name()).map(spread);
        own.or_else(|| self.residuals.iter().map(spread).reduce(Spread::or))
    }
}
