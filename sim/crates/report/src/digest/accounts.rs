//! Time and memory of each role.

use masim_core::judging::sweep::{GpuAccountJson, GpuJson, GpuMemoryJson, Row};

/// Mean account of the GPUs of one role.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    /// `attention`, `expert`, `both` or `stage 0`.
    pub(crate) role: String,
    /// Number of GPUs with the role.
    pub(crate) n_gpus: usize,
    /// One steady step.
    pub(crate) steady: GpuAccountJson,
    /// The cold step.
    pub(crate) cold: GpuAccountJson,
}

/// The fullest GPU of one role.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Memory {
    /// `attention`, `expert`, `both` or `stage 0`.
    pub(crate) role: String,
    /// Its name.
    pub(crate) gpu: String,
    /// Memory of the GPU by content.
    pub(crate) holds: GpuMemoryJson,
}

fn roles(row: &Row) -> Vec<(&str, Vec<&GpuJson>)> {
    let mut roles: Vec<(&str, Vec<&GpuJson>)> = Vec::new();
    for gpu in row.gpus() {
        match roles.iter_mut().find(|(role, _)| *role == gpu.role) {
            Some((_, gpus)) => gpus.push(gpu),
            None => roles.push((&gpu.role, vec![gpu])),
        }
    }
    roles
}

/// One account for each role of `row`, in order of its GPUs.
pub(crate) fn accounts(row: &Row) -> Vec<Account> {
    let mean = |gpus: &[&GpuJson], of: fn(&GpuJson) -> GpuAccountJson| {
        let mut sum = [0.0; 5];
        for gpu in gpus {
            for (sum, part) in sum.iter_mut().zip(of(gpu).parts()) {
                *sum += part;
            }
        }
        GpuAccountJson::from_parts(sum.map(|part| part / gpus.len() as f64))
    };
    roles(row)
        .into_iter()
        .map(|(role, gpus)| Account {
            role: role.to_owned(),
            n_gpus: gpus.len(),
            steady: mean(&gpus, |gpu| gpu.steady),
            cold: mean(&gpus, |gpu| gpu.cold),
        })
        .collect()
}

/// The fullest GPU of each role of `row`.
pub(crate) fn memories(row: &Row) -> Vec<Memory> {
    let fullest = |gpus: &[&GpuJson]| {
        let all = gpus.iter().map(|gpu| (gpu.memory_gib.total(), *gpu));
        all.reduce(|best, next| if next.0 > best.0 { next } else { best })
            .expect("a role has a GPU")
            .1
            .clone()
    };
    roles(row)
        .into_iter()
        .map(|(role, gpus)| {
            let gpu = fullest(&gpus);
            Memory { role: role.to_owned(), gpu: gpu.gpu, holds: gpu.memory_gib }
        })
        .collect()
}
