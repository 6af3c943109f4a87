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
use crate::timing::fitted::{CardModels, FamilyModel, regime, regime_of_product, regime_of_rows};
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
use crate::timing::regime::Regime;
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
        let compute = Op::compute_dtype(&self.roofline.dtypes);
        let chip = Chip::new(card, compute).expect("a scenario computes in formats that its cards have");
        let place = Place { compute, cache: self.roofline.dtypes.kv, chip: &chip };
        let Some(found) = models.time(op, &place) else { return self.roofline.cost(op, card) };
        let launch = match self.roofline.launch {
            Launch::Graph => SimDuration::ZERO,
            Launch::Eager => card.roofline.launch_eager.saturating_sub(card.roofline.launch_graph),
        };
        SimDuration::from_secs_ceil(found.us * 1e-6)
            .and_then(|time| time.checked_add(launch))
            .map(|time| Cost { time, basis: found.basis })
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

/// Microseconds that a fitted model says, and what they rest on: the error of its regime, always.
struct Found {
    us: f64,
    basis: Basis,
}

impl Found {
    /// The time of a kernel for which `work` stands among measured ones.
    fn of(us: f64, model: &FamilyModel, work: &Work) -> Self {
        let provenance = model.origin.provenance(model.model.covered().contains(work));
        Self { us, basis: Basis { provenance, regime: Some(regime(work, us)) } }
    }

    /// The time of a kernel that was not measured by itself, but errs with those of `regime`.
    fn beside(us: f64, model: &FamilyModel, regime: Regime) -> Self {
        Self { us, basis: Basis { provenance: model.origin.provenance(false), regime: Some(regime) } }
    }
}

/// Card and formats of a kernel.
struct Place<'a> {
    compute: Dtype,
    cache: Dtype,
    chip: &'a Chip,
}

/// Arrays of `[tokens, width]` that an elementwise kernel reads and writes.
#[derive(Clone, Copy)]
struct Arrays {
    tokens: u64,
    width: u64,
    n_read: u64,
    n_written: u64,
}

impl Arrays {
    /// Bytes of `n` arrays.
    fn bytes(self, n: u64, dtype: Dtype) -> f64 {
        (self.tokens * self.width * n * dtype.bytes()) as f64
    }

    fn n(self) -> u64 {
        self.n_read + self.n_written
    }
}

/// One of the products of experts: `n` columns and `k` rows of weights for each.
#[derive(Clone, Copy)]
struct ExpertProduct {
    kind: OpKind,
    rows: GroupRows,
    n: u64,
    k: u64,
}

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

    fn time(&self, op: &Op, place: &Place<'_>) -> Option<Found> {
        let (dtype, chip) = (place.compute, place.chip);
        match op.shape {
            OpShape::Gemm { m, n, k } => {
                let (params, model) = self.gemm.as_ref()?;
                let work = GemmWork { dtype, m, n, k };
                Some(Found::of(gemm_us(params, &work, chip), model, &Work::Gemm(work)))
            }
            OpShape::GroupedGemm { rows, n, k } => {
                let (params, model) = self.moe.as_ref()?;
                let product = ExpertProduct { kind: op.kind, rows, n, k };
                Some(Found::of(product.us(params, place), model, &Work::Moe(product.operator(dtype))))
            }
            OpShape::BatchedGemm { n_batches, m, n, k } => {
                // As one product with all heads' weights side by side, whose rows each head reads for itself.
                let (params, model) = self.gemm.as_ref()?;
                let us = gemm_us(params, &GemmWork { dtype, m, n: n_batches * n, k }, chip);
                let us = us + ((n_batches - 1) * m * k * dtype.bytes()) as f64 / chip.memory;
                Some(Found::beside(us, model, regime_of_product(us)))
            }
            OpShape::DecodeAttention { batch, kv_tokens, kv_len_max, heads } => {
                let (params, model) = self.decode.as_ref()?;
                let sequences = DecodeBatch {
                    n_sequences: batch as f64,
                    kv_tokens: kv_tokens as f64,
                    kv_len_max: kv_len_max as f64,
                    query_bytes: dtype.bytes() as f64,
                    cache_bytes: place.cache.bytes() as f64,
                };
                let us = decode_batch_us(params, &sequences, heads.of_kernel(), chip);
                let kv_len = kv_tokens.div_ceil(batch);
                let (n_heads, n_kv_heads, head_dim) = measured_heads(heads);
                let work = DecodeWork { dtype, batch, kv_len, n_heads, n_kv_heads, head_dim };
                Some(Found::of(us, model, &Work::Decode(work)))
            }
            OpShape::PrefillAttention { batch, q_len, kv_len, heads } => {
                let (params, model) = self.prefill.as_ref()?;
                let (n_heads, n_kv_heads, head_dim) = measured_heads(heads);
                let work = PrefillWork { dtype, batch, q_len, kv_len, n_heads, n_kv_heads, head_dim };
                let us = prefill_batch_us(params, &PrefillBatch::new(&work), heads.of_kernel(), chip);
                Some(Found::of(us, model, &Work::Prefill(work)))
            }
            OpShape::Elementwise { tokens, width, n_read, n_written } => {
                let arrays = Arrays { tokens, width, n_read, n_written };
                self.around_experts(op.kind, arrays, place)
                    .or_else(|| self.elementwise(op.kind, arrays, place))
            }
        }
    }

    /// The kernels around the products of experts, which were measured with them as one operator.
    ///
    /// They err as that does with many experts on a rank: the rows that they move are counted, so that the luck of a few has no part in it.
    fn around_experts(&self, op: OpKind, arrays: Arrays, place: &Place<'_>) -> Option<Found> {
        let (params, model) = self.moe.as_ref()?;
        let us = match op {
            OpKind::Gate => gate_us(params, arrays.tokens, arrays.width, place.chip),
            OpKind::Permute | OpKind::CombineSum => {
                arrays.bytes(arrays.n(), place.compute) / memory(params, place.chip)
            }
            _ => return None,
        };
        Some(Found::beside(params.launch_us / N_EXPERT_KERNELS + us, model, Regime::ManyExperts))
    }

    fn elementwise(&self, op: OpKind, arrays: Arrays, place: &Place<'_>) -> Option<Found> {
        let (params, model) = self.elementwise.as_ref()?;
        let (dtype, chip) = (place.compute, place.chip);
        let kind = match op {
            OpKind::Norm => Some(ElementwiseKind::InputLayernorm),
            OpKind::Rope => Some(ElementwiseKind::AttnRope),
            OpKind::Residual => Some(ElementwiseKind::Add),
            // Gated activations read two arrays, as those that were measured.
            OpKind::Activation if arrays.n_read == 2 => Some(ElementwiseKind::MlpAct),
            _ => None,
        };
        let Some(kind) = kind else {
            let us = stream_us(params, arrays.bytes(arrays.n(), dtype), chip);
            return Some(Found::beside(us, model, regime_of_rows(arrays.tokens)));
        };
        let work = ElementwiseWork { dtype, kind, tokens: arrays.tokens, width: arrays.width };
        // Norms were measured without the residual stream, whose arrays come on top.
        let n_more = if op == OpKind::Norm { arrays.n() - 2 } else { 0 };
        let more = arrays.bytes(n_more, dtype) / (chip.memory * params.memory_share);
        Some(Found::of(elementwise_us(params, &work, chip) + more, model, &Work::Elementwise(work)))
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

impl ExpertProduct {
    /// Its time, with its share of what the operator's kernels cost before they do anything.
    fn us(self, params: &MoeParams, place: &Place<'_>) -> f64 {
        let Self { rows, n, k, .. } = self;
        // The table of tuned tiles is about gated experts: the product that leads in has twice their width.
        let tuned = is_tuned(rows.n_experts, self.widths().1);
        let product = Product { n, k, bytes: place.compute.bytes(), tuned };
        params.launch_us / N_EXPERT_KERNELS + product_us(params, &expert_rows(rows), product, place.chip)
    }

    /// Width of the residual stream, and of an expert.
    fn widths(self) -> (u64, u64) {
        if self.kind == OpKind::ExpertDown { (self.n, self.k) } else { (self.k, self.n / 2) }
    }

    /// The operator among measured ones that it belongs to, as far as a product tells.
    fn operator(self, dtype: Dtype) -> MoeWork {
        let (rows, (hidden, expert_hidden)) = (self.rows, self.widths());
        MoeWork {
            dtype,
            tokens: rows.tokens.max(1),
            hidden,
            expert_hidden,
            top_k: rows.rows.div_ceil(rows.tokens.max(1)).max(1),
            n_experts: rows.n_experts.max(1),
            tp: 1,
            ep: 1,
            distribution: Distribution::Balanced,
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inputs::topology::testing::shipped;
    use crate::scenario::Dtypes;

    const BF16: Dtypes = Dtypes {
        weights: Dtype::Bf16,
        activations: Dtype::Bf16,
        kv: Dtype::Bf16,
        dispatch: Dtype::Bf16,
        combine: Dtype::Bf16,
    };

    /// Every kind of elementwise kernel, and the product of each head that no table has: all err with some regime.
    #[test]
    fn every_time_of_a_model_carries_its_regime() {
        let card = Arc::clone(&shipped("a100-4x4").gpus[0].card);
        let cards = BTreeMap::from([(card.name.clone(), Arc::new(CardModels::physical()))]);
        let profiles = Profiles { cards, ..Profiles::none() };
        let cost = CalibratedCost::new(&profiles, RooflineCost { dtypes: BF16, launch: Launch::Graph });
        let regime = |op: Op| cost.cost(&op, &card).unwrap().basis.regime;
        for kind in [OpKind::Gate, OpKind::Permute, OpKind::CombineSum] {
            assert_eq!(regime(Op::elementwise(kind, 64, 4096, 1, 1)), Some(Regime::ManyExperts));
        }
        let others = [
            OpKind::Embedding,
            OpKind::Norm,
            OpKind::Rope,
            OpKind::MergePartials,
            OpKind::Residual,
            OpKind::Activation,
            OpKind::Sampling,
            OpKind::Quantise,
        ];
        for kind in others {
            assert_eq!(regime(Op::elementwise(kind, 64, 4096, 1, 1)), Some(Regime::FewTokens), "{kind:?}");
            assert_eq!(regime(Op::elementwise(kind, 128, 4096, 1, 1)), Some(Regime::ManyTokens), "{kind:?}");
        }
        let shape = OpShape::BatchedGemm { n_batches: 16, m: 1, n: 512, k: 128 };
        assert_eq!(regime(Op { kind: OpKind::Absorb, shape }), Some(Regime::ShortGemm));
    }
}
