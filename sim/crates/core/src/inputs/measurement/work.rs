//! From the fields of a line to the work that it describes.

use super::communication::{CollectiveWork, Operation, PairsWork, Scope};
use super::effort::check_effort;
use super::kernel::{
    DecodeWork, Distribution, ElementwiseKind, ElementwiseWork, GemmWork, MoeWork, PrefillWork,
};
use super::machine::Machine;
use super::table::{Family, Mistake, Work};
use crate::inputs::topology::Dtype;

/// No size of an operand goes beyond this: products of three stay far below what a float holds exactly enough.
const SIZE_MAX: u64 = 1 << 40;
/// No buffer is larger.
const BYTES_MAX: u64 = 1 << 50;

/// Something with named fields: a line of a table or of JSON.
pub trait Fields {
    /// The text of a field; empty where it is missing.
    fn text(&self, column: &str) -> &str;
}

impl Work {
    /// The work of `family` that `fields` describe on `machine`.
    ///
    /// # Errors
    ///
    /// The first column that is wrong, and why.
    pub fn read(family: Family, fields: &dyn Fields, machine: &Machine) -> Result<Self, Mistake> {
        let reader = Reader(fields);
        let work = match family {
            Family::Gemm => Self::Gemm(reader.gemm()?),
            Family::AttentionPrefill => Self::Prefill(reader.prefill()?),
            Family::AttentionDecode => Self::Decode(reader.decode()?),
            Family::Moe => Self::Moe(reader.moe()?),
            Family::Elementwise => Self::Elementwise(reader.elementwise()?),
            Family::Collective => Self::Collective(reader.collective(machine)?),
            Family::P2p => Self::Pairs(reader.pairs(machine)?),
        };
        check_effort(&work)?;
        Ok(work)
    }
}

/// A time that was measured, in the column `time_us`.
pub(super) fn time_us(fields: &dyn Fields) -> Result<f64, Mistake> {
    let found = fields.text("time_us");
    let time = found.parse::<f64>().ok().filter(|time| time.is_finite() && *time > 0.0);
    time.ok_or_else(|| ("time_us", format!("found `{found}`; expected microseconds above 0")))
}

struct Reader<'a>(&'a dyn Fields);

impl Reader<'_> {
    fn gemm(&self) -> Result<GemmWork, Mistake> {
        Ok(GemmWork { dtype: self.dtype()?, m: self.size("m")?, n: self.size("n")?, k: self.size("k")? })
    }

    fn prefill(&self) -> Result<PrefillWork, Mistake> {
        let work = PrefillWork {
            dtype: self.dtype()?,
            batch: self.size("batch")?,
            q_len: self.size("q_len")?,
            kv_len: self.size("kv_len")?,
            n_heads: self.size("n_heads")?,
            n_kv_heads: self.size("n_kv_heads")?,
            head_dim: self.size("head_dim")?,
        };
        if work.kv_len < work.q_len {
            let (q_len, kv_len) = (work.q_len, work.kv_len);
            return Err(("kv_len", format!("found {kv_len}; it includes the {q_len} tokens of `q_len`")));
        }
        heads(work.n_heads, work.n_kv_heads)?;
        Ok(work)
    }

    fn decode(&self) -> Result<DecodeWork, Mistake> {
        let work = DecodeWork {
            dtype: self.dtype()?,
            batch: self.size("batch")?,
            kv_len: self.size("kv_len")?,
            n_heads: self.size("n_heads")?,
            n_kv_heads: self.size("n_kv_heads")?,
            head_dim: self.size("head_dim")?,
        };
        heads(work.n_heads, work.n_kv_heads)?;
        Ok(work)
    }

    fn moe(&self) -> Result<MoeWork, Mistake> {
        let name = self.0.text("distribution");
        let distribution = Distribution::of_name(name).ok_or_else(|| {
            ("distribution", format!("found `{name}`; expected balanced, uniform or power_law_1.2"))
        })?;
        let work = MoeWork {
            dtype: self.dtype()?,
            tokens: self.size("tokens")?,
            hidden: self.size("hidden")?,
            expert_hidden: self.size("expert_hidden")?,
            top_k: self.size("top_k")?,
            n_experts: self.count("n_experts", 1 << 16)?,
            tp: self.count("tp", 1 << 16)?,
            ep: self.count("ep", 1 << 16)?,
            distribution,
        };
        if work.n_experts < work.top_k {
            let n_experts = work.n_experts;
            return Err(("top_k", format!("found {}, but there are {n_experts} experts", work.top_k)));
        }
        if work.n_experts < work.ep {
            let n_experts = work.n_experts;
            return Err(("ep", format!("found {}, but there are {n_experts} experts", work.ep)));
        }
        Ok(work)
    }

    fn elementwise(&self) -> Result<ElementwiseWork, Mistake> {
        Ok(ElementwiseWork {
            dtype: self.dtype()?,
            kind: self.one_of("kind", &ElementwiseKind::ALL, ElementwiseKind::name)?,
            tokens: self.size("tokens")?,
            width: self.size("width")?,
        })
    }

    fn collective(&self, machine: &Machine) -> Result<CollectiveWork, Mistake> {
        let operation = self.one_of("kind", &Operation::ALL, Operation::name)?;
        let bytes = self.count("bytes", BYTES_MAX)?;
        let n_gpus = self.small("n_gpus")?;
        let nodes_by_size = n_gpus.div_ceil(machine.n_gpus_per_node);
        let n_nodes = if self.0.text("n_nodes").is_empty() { nodes_by_size } else { self.small("n_nodes")? };
        if n_gpus < 2 {
            return Err(("n_gpus", "found 1; a collective needs two GPUs or more".to_owned()));
        }
        if n_nodes < nodes_by_size || n_gpus < n_nodes {
            let per_node = machine.n_gpus_per_node;
            let message = format!("{n_gpus} GPUs do not fill {n_nodes} nodes of {per_node}");
            return Err(("n_nodes", message));
        }
        Ok(CollectiveWork { operation, bytes, n_gpus, n_nodes })
    }

    fn pairs(&self, machine: &Machine) -> Result<PairsWork, Mistake> {
        let scope = self.one_of("scope", &Scope::ALL, Scope::name)?;
        let n_pairs = self.small("n_pairs")?;
        if n_pairs > machine.n_gpus_per_node {
            let per_node = machine.n_gpus_per_node;
            return Err(("n_pairs", format!("{n_pairs} pairs, but a node has {per_node} GPUs")));
        }
        Ok(PairsWork { scope, bytes_per_pair: self.count("bytes_per_pair", BYTES_MAX)?, n_pairs })
    }

    fn dtype(&self) -> Result<Dtype, Mistake> {
        self.one_of("dtype", &Dtype::ALL, Dtype::name)
    }

    fn one_of<T: Copy>(
        &self,
        column: &'static str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, Mistake> {
        let found = self.0.text(column);
        all.iter().copied().find(|&it| name(it) == found).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|&it| name(it)).collect();
            (column, format!("found `{found}`; expected one of {}", names.join(", ")))
        })
    }

    fn size(&self, column: &'static str) -> Result<u64, Mistake> {
        self.count(column, SIZE_MAX)
    }

    fn small(&self, column: &'static str) -> Result<u32, Mistake> {
        let count = self.count(column, 1 << 20)?;
        Ok(u32::try_from(count).expect("at most 2^20"))
    }

    fn count(&self, column: &'static str, max: u64) -> Result<u64, Mistake> {
        let found = self.0.text(column);
        let count = found.parse::<u64>().ok().filter(|count| (1..=max).contains(count));
        count.ok_or_else(|| (column, format!("found `{found}`; expected a whole number from 1 to {max}")))
    }
}

/// Every key/value head serves as many query heads.
fn heads(n_heads: u64, n_kv_heads: u64) -> Result<(), Mistake> {
    if n_heads.is_multiple_of(n_kv_heads) {
        return Ok(());
    }
    Err(("n_kv_heads", format!("found {n_kv_heads}, which does not divide {n_heads} query heads")))
}
