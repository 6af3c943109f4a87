//! Fitted models of families, as profiles hold them.

use std::collections::BTreeMap;

use crate::measurement::{Family, Machine, Operation, Scope, Work};
use crate::nccl::{NcclParams, NcclVersion, PairsParams, collective_time, pairs_time};
use crate::profile::FamilyFile;

/// Names of parameters, and whether work depends on them.
pub type SpecialParams = (&'static [&'static str], fn(&Work) -> bool);

/// The form of a family's model: what a fit varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    family: Family,
    version: NcclVersion,
}

impl Form {
    /// The form for `family`, measured with `stack`.
    pub fn new(family: Family, stack: &str) -> Self {
        Self { family, version: NcclVersion::of_stack(stack) }
    }

    /// Its name in profiles.
    pub const fn name(self) -> &'static str {
        match self.family {
            Family::Collective => "nccl_protocols",
            Family::P2p => "launch_and_wire",
        }
    }

    /// The names of its parameters.
    pub const fn names(self) -> &'static [&'static str] {
        match self.family {
            Family::Collective => NcclParams::NAMES,
            Family::P2p => PairsParams::NAMES,
        }
    }

    /// Where a fit begins.
    pub const fn start(self) -> &'static [f64] {
        match self.family {
            Family::Collective => NcclParams::START,
            Family::P2p => PairsParams::START,
        }
    }

    /// The time of `work` in microseconds under parameters in the order of [`Form::names`]; none for work of
    /// another family.
    pub fn predict_us(self, values: &[f64], work: &Work, machine: &Machine) -> Option<f64> {
        let time = match (self.family, work) {
            (Family::Collective, Work::Collective(work)) => {
                collective_time(&NcclParams::from_values(values), self.version, work, machine)
            }
            (Family::P2p, Work::Pairs(work)) => pairs_time(&PairsParams::from_values(values), work, machine),
            (Family::Collective, Work::Pairs(_)) | (Family::P2p, Work::Collective(_)) => return None,
        };
        Some(time.total_us())
    }

    /// Parameters that matter only for some work: their names, and whether `work` is of that kind.
    pub const fn special_params(self) -> &'static [SpecialParams] {
        match self.family {
            Family::Collective => &[
                (&["grouped_start_us", "grouped_peers_us", "grouped_rate"], is_grouped),
                (&["net_start_us", "nic_efficiency"], leaves_the_node),
            ],
            Family::P2p => &[(&["net_us", "nic_efficiency"], leaves_the_node)],
        }
    }
}

fn is_grouped(work: &Work) -> bool {
    matches!(work, Work::Collective(work) if work.operation == Operation::AllToAll)
}

fn leaves_the_node(work: &Work) -> bool {
    match work {
        Work::Collective(work) => work.n_nodes > 1,
        Work::Pairs(work) => work.scope == Scope::InterNode,
    }
}

/// A model with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedModel {
    form: Form,
    values: Vec<f64>,
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
        /// What this version knows.
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
    /// A form with values in the order of its names.
    pub fn new(form: Form, values: Vec<f64>) -> Self {
        Self { form, values }
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
        Ok(Self { form, values: form.names().iter().map(value).collect::<Result<_, _>>()? })
    }

    /// The parameters by name.
    pub fn params(&self) -> BTreeMap<String, f64> {
        let names = self.form.names().iter().map(|name| (*name).to_owned());
        names.zip(self.values.iter().copied()).collect()
    }

    /// The time of `work` in microseconds; none for work of another family.
    pub fn predict_us(&self, work: &Work, machine: &Machine) -> Option<f64> {
        self.form.predict_us(&self.values, work, machine)
    }
}
