//! Times from the models of profiles.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use masim_units::SimDuration;

use super::roofline::RooflineCost;
use super::{Cost, CostModel, TooLong};
use crate::inputs::measurement::{
    DecodeWork, Distribution, ElementwiseKind, ElementwiseWork, Family, GemmWork, MoeWork, PrefillWork, Work,
};
use crate::inputs::topology::{Dtype, GpuCard};
use crate::scenario::{Launch, Profiles};
use crate::timing::fitted::{CardModels, FamilyModel, regime};
use crate::timing::kernel_model::Chip;
use crate::timing::kernel_model::decode::{DecodeBatch, DecodeParams, decode_batch_us};
use crate::timing::kernel_model::elementwise::{ElementwiseParams, elementwise_us, stream_us};
use crate::timing::kernel_model::gemm::{GemmParams, gemm_us};
use crate::timing::kernel_model::moe::params::MoeParams;
use crate::timing::kernel_model::moe::product::{Product, product_us};
use crate::timing::kernel_model::moe::rows::ExpertRows;
use crate::timing::kernel_model::moe::tuned::is_tuned;
use crate::timing::kernel_model::moe::{gate_us, memory};
use crate::timing::kernel_model::prefill::{PrefillBatch, PrefillParams, prefill_batch_us};
use crate::timing::provenance::Basis;
use crate::work::ops::{CacheHeads, GroupRows, Op, OpKind, OpShape};

/// Kernels of the operator that the family `moe` measures as one, activation aside: choice, rows gathered, two products, sum.
const N_EXPERT_KERNELS: f64 = 5.0;

/// Models of all cards; what they do not cover is a roofline.
///
/// Measured times are those of kernels that follow one another without the host, as in a replayed graph. Where the host
/// launches one by one, each kernel costs in addition what the card says that a graph saves.
#[derive(Debug)]
pub struct CalibratedCost {
    cards: BTreeMap<String, CardCost>,
    roofline: RooflineCost,
}

/// The models of one card, and the times that they have said.
#[derive(Debug)]
struct CardCost {
    models: Models,
    seen: RwLock<BTreeMap<Op, Cost>>,
}

/// The models of one card with their parameters at hand.
#[derive(Debug)]
struct Models {
    gemm: Option<(GemmParams, FamilyModel)>,
    elementwise: Option<(ElementwiseParams, FamilyModel)>,
    prefill: Option<(PrefillParams, FamilyModel)>,
    decode: Option<(DecodeParams, FamilyModel)>,
    moe: Option<(MoeParams, FamilyModel)>,
}

impl CalibratedCost {
    /// The models of `profiles`, and `roofline` for what they lack.
    pub fn new(profiles: &Profiles, roofline: RooflineCost) -> Self {
        let of_card =
            |models: &CardModels| CardCost { models: Models::of(models), seen: RwLock::new(BTreeMap::new()) };
        let cards = profiles.cards.iter().map(|(card, models)| (card.clone(), of_card(models)));
        Self { cards: cards.collect(), roofline }
    }

    fn new_cost(&self, models: &Models, op: &Op, card: &GpuCard) -> Result<Cost, TooLong> {
        let dtype = Op::compute_dtype(&self.roofline.dtypes);
        let chip = Chip::new(card, dtype).expect("a scenario computes in formats that its cards have");
        let found = models.time(op, dtype, self.roofline.dtypes.kv, &chip);
        let Some((us, model, work)) = found else { return self.roofline.cost(op, card) };
        let is_covered = work.is_some_and(|work| model.model.covered().contains(&work));
        let launch = match self.roofline.launch {
            Launch::Graph => SimDuration::ZERO,
            Launch::Eager => card.roofline.launch_eager.saturating_sub(card.roofline.launch_graph),
        };
        let provenance = model.origin.provenance(is_covered);
        let regime = work.map(|work| regime(&work, us));
        SimDuration::from_secs_ceil(us * 1e-6)
            .and_then(|time| time.checked_add(launch))
            .map(|time| Cost { time, basis: Basis { provenance, regime } })
            .ok_or(TooLong { op: op.kind.name() })
    }
}

impl CostModel for CalibratedCost {
    fn cost(&self, op: &Op, card: &GpuCard) -> Result<Cost, TooLong> {
        let Some(known) = self.cards.get(&card.name) else { return self.roofline.cost(op, card) };
        let read = known.seen.read().unwrap_or_else(PoisonError::into_inner).get(op).copied();
        if let Some(cost) = read {
            return Ok(cost);
        }
        let cost = self.new_cost(&known.models, op, card)?;
        known.seen.write().unwrap_or_else(PoisonError::into_inner).insert(*op, cost);
        Ok(cost)
    }

    fn launch(&self, card: &GpuCard) -> SimDuration {
        self.roofline.launch(card)
    }
}

/// Microseconds, the model that says so, and the work that stands for it among measured ones.
type Found<'a> = Option<(f64, &'a FamilyModel, Option<Work>)>;

impl Models {
    fn of(models: &CardModels) -> Self {
        fn with<P>(models: &CardModels, family: Family, params: fn(&[f64]) -> P) -> Option<(P, FamilyModel)> {
            models.family(family).map(|found| (params(found.model.values()), found.clone()))
        }
        Self {
            gemm: with(models, Family::Gemm, GemmParams::from_values),
            elementwise: with(models, Family::Elementwise, ElementwiseParams::from_values),
            prefill: with(models, Family::AttentionPrefill, PrefillParams::from_values),
            decode: with(models, Family::AttentionDecode, DecodeParams::from_values),
            moe: with(models, Family::Moe, MoeParams::from_values),
        }
    }

    fn time(&self, op: &Op, dtype: Dtype, kv: Dtype, chip: &Chip) -> Found<'_> {
        match op.shape {
            OpShape::Gemm { m, n, k } => {
                let (params, model) = self.gemm.as_ref()?;
                let work = GemmWork { dtype, m, n, k };
                Some((gemm_us(params, &work, chip), model, Some(Work::Gemm(work))))
            }
            OpShape::GroupedGemm { rows, n, k } => {
                let (params, model) = self.moe.as_ref()?;
                let us = expert_product_us(params, op.kind, rows, (n, k), dtype, chip);
                Some((us, model, Some(experts_work(op.kind, rows, (n, k), dtype))))
            }
            OpShape::BatchedGemm { n_batches, m, n, k } => {
                // As one product with all heads' weights side by side, whose rows each head reads for itself.
                let (params, model) = self.gemm.as_ref()?;
                let us = gemm_us(params, &GemmWork { dtype, m, n: n_batches * n, k }, chip);
                let again = ((n_batches - 1) * m * k * dtype.bytes()) as f64;
                Some((us + again / chip.memory, model, None))
            }
            OpShape::DecodeAttention { batch, kv_tokens, kv_len_max, heads } => {
                let (params, model) = self.decode.as_ref()?;
                let sequences = DecodeBatch {
                    n_sequences: batch as f64,
                    kv_tokens: kv_tokens as f64,
                    kv_len_max: kv_len_max as f64,
                    query_bytes: dtype.bytes() as f64,
                    cache_bytes: kv.bytes() as f64,
                };
                let us = decode_batch_us(params, &sequences, heads.of_kernel(), chip);
                let kv_len = kv_tokens.div_ceil(batch);
                let (n_heads, n_kv_heads, head_dim) = measured_heads(heads);
                let work = DecodeWork { dtype, batch, kv_len, n_heads, n_kv_heads, head_dim };
                Some((us, model, Some(Work::Decode(work))))
            }
            OpShape::PrefillAttention { batch, q_len, kv_len, heads } => {
                let (params, model) = self.prefill.as_ref()?;
                let (n_heads, n_kv_heads, head_dim) = measured_heads(heads);
                let work = PrefillWork { dtype, batch, q_len, kv_len, n_heads, n_kv_heads, head_dim };
                let us = prefill_batch_us(params, &PrefillBatch::new(&work), heads.of_kernel(), chip);
                Some((us, model, Some(Work::Prefill(work))))
            }
            OpShape::Elementwise { tokens, width, n_read, n_written } => {
                self.elementwise(op.kind, (tokens, width), (n_read, n_written), dtype, chip)
            }
        }
    }

    fn elementwise(
        &self,
        op: OpKind,
        (tokens, width): (u64, u64),
        (n_read, n_written): (u64, u64),
        dtype: Dtype,
        chip: &Chip,
    ) -> Found<'_> {
        if let (OpKind::Gate, Some((params, model))) = (op, &self.moe) {
            let us = params.launch_us / N_EXPERT_KERNELS + gate_us(params, tokens, width, chip);
            return Some((us, model, None));
        }
        let around = matches!(op, OpKind::Permute | OpKind::CombineSum);
        if let (true, Some((params, model))) = (around, &self.moe) {
            let bytes = (tokens * width * (n_read + n_written) * dtype.bytes()) as f64;
            let us = params.launch_us / N_EXPERT_KERNELS + bytes / memory(params, chip);
            return Some((us, model, None));
        }
        let (params, model) = self.elementwise.as_ref()?;
        let kind = match op {
            OpKind::Norm => Some(ElementwiseKind::InputLayernorm),
            OpKind::Rope => Some(ElementwiseKind::AttnRope),
            OpKind::Residual => Some(ElementwiseKind::Add),
            // Gated activations read two arrays, as those that were measured.
            OpKind::Activation if n_read == 2 => Some(ElementwiseKind::MlpAct),
            _ => None,
        };
        if let Some(kind) = kind {
            let work = ElementwiseWork { dtype, kind, tokens, width };
            // Norms were measured without the residual stream, whose arrays come on top.
            let n_more = if op == OpKind::Norm { n_read + n_written - 2 } else { 0 };
            let more = (tokens * width * n_more * dtype.bytes()) as f64 / (chip.memory * params.memory_share);
            let us = elementwise_us(params, &work, chip) + more;
            return Some((us, model, Some(Work::Elementwise(work))));
        }
        let bytes = tokens * width * (n_read + n_written) * dtype.bytes();
        Some((stream_us(params, bytes as f64, chip), model, None))
    }
}

/// The heads of a measured row that come closest: query heads, key/value heads, and the width of a query.
fn measured_heads(heads: CacheHeads) -> (u64, u64, u64) {
    match heads {
        CacheHeads::Grouped { n_heads, n_kv_heads, head_dim } => (n_heads, n_kv_heads, head_dim),
        CacheHeads::Absorbed(_) => (heads.n_heads(), 1, heads.score_dim()),
        CacheHeads::Expanded(_) => (heads.n_heads(), heads.n_heads(), heads.score_dim()),
    }
}

/// One product of the experts, with its share of what the operator's kernels cost before they do anything.
fn expert_product_us(
    params: &MoeParams,
    kind: OpKind,
    rows: GroupRows,
    (n, k): (u64, u64),
    dtype: Dtype,
    chip: &Chip,
) -> f64 {
    // The table of tuned tiles is about gated experts: the product that leads in has twice their width.
    let width = if kind == OpKind::ExpertDown { k } else { n / 2 };
    let tuned = is_tuned(rows.n_experts, width);
    let product = Product { n, k, bytes: dtype.bytes(), tuned };
    params.launch_us / N_EXPERT_KERNELS + product_us(params, &expert_rows(rows), product, chip)
}

fn expert_rows(rows: GroupRows) -> ExpertRows {
    ExpertRows {
        n_experts: rows.n_experts as f64,
        tokens: rows.tokens as f64,
        rows: rows.rows as f64,
        n_activated: rows.n_activated as f64,
        blocks: rows.blocks.map(|n| n as f64),
    }
}

/// The operator among measured ones that a product belongs to, as far as a product tells.
fn experts_work(kind: OpKind, rows: GroupRows, (n, k): (u64, u64), dtype: Dtype) -> Work {
    let (hidden, expert_hidden) = if kind == OpKind::ExpertDown { (n, k) } else { (k, n / 2) };
    let top_k = rows.rows.div_ceil(rows.tokens.max(1)).max(1);
    Work::Moe(MoeWork {
        dtype,
        tokens: rows.tokens.max(1),
        hidden,
        expert_hidden,
        top_k,
        n_experts: rows.n_experts.max(1),
        tp: 1,
        ep: 1,
        distribution: Distribution::Balanced,
    })
}
