//! Whether work lies within what was fitted.

use std::collections::BTreeMap;

use crate::measurement::{CollectiveWork, Machine, PairsWork, ScaleUp};
use crate::profile::CoveredFile;

type Covered = BTreeMap<String, CoveredFile>;

pub(super) fn collective(covered: &Covered, work: &CollectiveWork, machine: &Machine) -> bool {
    has_scale_up(covered, machine)
        && has(covered, "kind", work.operation.name())
        && contains(covered, "bytes", work.bytes)
        && contains(covered, "n_gpus", work.n_gpus.into())
        && contains(covered, "n_nodes", work.n_nodes.into())
}

pub(super) fn pairs(covered: &Covered, work: &PairsWork, machine: &Machine) -> bool {
    has_scale_up(covered, machine)
        && has(covered, "scope", work.scope.name())
        && contains(covered, "bytes_per_pair", work.bytes_per_pair)
        && contains(covered, "n_pairs", work.n_pairs.into())
}

/// How the GPUs of the fitted machines were joined; where a profile does not say, through switches.
fn has_scale_up(covered: &Covered, machine: &Machine) -> bool {
    match machine.scale_up {
        ScaleUp::Switch => !covered.contains_key("scale_up") || has(covered, "scale_up", "switch"),
        ScaleUp::Mesh => has(covered, "scale_up", "mesh"),
    }
}

fn has(covered: &Covered, key: &str, name: &str) -> bool {
    match covered.get(key) {
        Some(CoveredFile::Names(names)) => names.iter().any(|it| it == name),
        Some(CoveredFile::Range(_)) | None => false,
    }
}

fn contains(covered: &Covered, key: &str, n: u64) -> bool {
    match covered.get(key) {
        Some(CoveredFile::Range([least, greatest])) => (*least..=*greatest).contains(&n),
        Some(CoveredFile::Names(_)) | None => false,
    }
}
