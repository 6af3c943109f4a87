//! Work as the columns that describe it.

use std::fmt;

use super::kernel::Distribution;
use super::table::{Family, Work};

/// Value in a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A count, or a size in bytes.
    Count(u64),
    /// One of several words.
    Name(String),
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(out, "{count}"),
            Self::Name(name) => out.write_str(name),
        }
    }
}

impl Work {
    /// Its columns in the order of [`Family::work_columns`], then the optional ones.
    pub fn columns(&self) -> Vec<(&'static str, Value)> {
        let name = |name: &str| Value::Name(name.to_owned());
        let values = match *self {
            Self::Gemm(work) => {
                let [m, n, k] = [work.m, work.n, work.k].map(Value::Count);
                vec![name(work.dtype.name()), m, n, k]
            }
            Self::Prefill(work) => {
                let sizes =
                    [work.batch, work.q_len, work.kv_len, work.n_heads, work.n_kv_heads, work.head_dim];
                let sizes = sizes.map(Value::Count);
                std::iter::once(name(work.dtype.name())).chain(sizes).collect()
            }
            Self::Decode(work) => {
                let sizes = [work.batch, work.kv_len, work.n_heads, work.n_kv_heads, work.head_dim];
                std::iter::once(name(work.dtype.name())).chain(sizes.map(Value::Count)).collect()
            }
            Self::Moe(work) => {
                let sizes = [
                    work.tokens,
                    work.hidden,
                    work.expert_hidden,
                    work.top_k,
                    work.n_experts,
                    work.tp,
                    work.ep,
                ];
                let (first, last) = (name(work.dtype.name()), Value::Name(work.distribution.name()));
                std::iter::once(first).chain(sizes.map(Value::Count)).chain([last]).collect()
            }
            Self::Elementwise(work) => {
                let [tokens, width] = [work.tokens, work.width].map(Value::Count);
                vec![name(work.dtype.name()), name(work.kind.name()), tokens, width]
            }
            Self::Collective(work) => {
                let [n_gpus, n_nodes] = [work.n_gpus, work.n_nodes].map(|n| Value::Count(n.into()));
                vec![name(work.operation.name()), Value::Count(work.bytes), n_gpus, n_nodes]
            }
            Self::Pairs(work) => {
                let (bytes, n_pairs) = (Value::Count(work.bytes_per_pair), Value::Count(work.n_pairs.into()));
                vec![name(work.scope.name()), bytes, n_pairs]
            }
        };
        let family: Family = self.family();
        let names = family.work_columns().iter().chain(family.optional_columns()).copied();
        names.zip(values).collect()
    }
}

impl Distribution {
    /// The name in files.
    pub fn name(self) -> String {
        match self {
            Self::Balanced => "balanced".to_owned(),
            Self::Uniform => "uniform".to_owned(),
            Self::PowerLaw { exponent } => format!("power_law_{exponent}"),
        }
    }
}
