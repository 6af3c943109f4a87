//! The forms of models: what a fit varies.

use crate::inputs::measurement::{ElementwiseKind, Family, Operation, Scope, Site, Work};
use crate::timing::kernel_model::Chip;
use crate::timing::kernel_model::decode::{DecodeParams, decode_us};
use crate::timing::kernel_model::elementwise::{ElementwiseParams, elementwise_us};
use crate::timing::kernel_model::gemm::{GemmParams, gemm_us};
use crate::timing::kernel_model::moe::moe_us;
use crate::timing::kernel_model::moe::params::MoeParams;
use crate::timing::kernel_model::prefill::{PrefillParams, prefill_us};
use crate::timing::nccl_model::{NcclParams, NcclVersion, PairsParams, collective_time, pairs_time};

/// Names of parameters, and whether work depends on them.
pub type SpecialParams = (&'static [&'static str], fn(&Work) -> bool);

/// The form of a family's model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Products in tiles over the multiprocessors.
    Gemm,
    /// Kernels that move bytes.
    Elementwise,
    /// Attention of prompts: tiles of queries over the multiprocessors.
    Prefill,
    /// Attention of new tokens: caches split over the multiprocessors.
    Decode,
    /// Grouped products of the hottest rank.
    Moe,
    /// Collectives by NCCL.
    Collective(NcclVersion),
    /// Sends between pairs.
    Pairs,
}

impl Form {
    /// The form for `family`, measured with `stack`.
    pub fn new(family: Family, stack: &str) -> Self {
        match family {
            Family::Collective => Self::Collective(NcclVersion::of_stack(stack)),
            Family::P2p => Self::Pairs,
            Family::AttentionPrefill => Self::Prefill,
            Family::AttentionDecode => Self::Decode,
            Family::Moe => Self::Moe,
            Family::Gemm => Self::Gemm,
            Family::Elementwise => Self::Elementwise,
        }
    }

    /// Its name in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gemm => "product_tiles",
            Self::Elementwise => "rows_and_bytes",
            Self::Prefill => "query_tiles",
            Self::Decode => "split_cache",
            Self::Moe => "grouped_products",
            Self::Collective(_) => "nccl_protocols",
            Self::Pairs => "launch_and_wire",
        }
    }

    /// The names of its parameters.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Gemm => GemmParams::NAMES,
            Self::Elementwise => ElementwiseParams::NAMES,
            Self::Prefill => PrefillParams::NAMES,
            Self::Decode => DecodeParams::NAMES,
            Self::Moe => MoeParams::NAMES,
            Self::Collective(_) => NcclParams::NAMES,
            Self::Pairs => PairsParams::NAMES,
        }
    }

    /// Start values of a fit.
    pub const fn start(self) -> &'static [f64] {
        match self {
            Self::Gemm => GemmParams::START,
            Self::Elementwise => ElementwiseParams::START,
            Self::Prefill => PrefillParams::START,
            Self::Decode => DecodeParams::START,
            Self::Moe => MoeParams::START,
            Self::Collective(_) => NcclParams::START,
            Self::Pairs => PairsParams::START,
        }
    }

    /// The time of `work` in microseconds under parameters in the order of [`Form::names`]; none for work of
    /// another family, or on a card that is not known or cannot do it.
    pub fn predict_us(self, values: &[f64], work: &Work, site: &Site) -> Option<f64> {
        let machine = &site.machine;
        let chip = |dtype| Chip::new(site.card.as_deref()?, dtype);
        match (self, work) {
            (Self::Gemm, Work::Gemm(work)) => {
                Some(gemm_us(&GemmParams::from_values(values), work, &chip(work.dtype)?))
            }
            (Self::Elementwise, Work::Elementwise(work)) => {
                Some(elementwise_us(&ElementwiseParams::from_values(values), work, &chip(work.dtype)?))
            }
            (Self::Prefill, Work::Prefill(work)) => {
                Some(prefill_us(&PrefillParams::from_values(values), work, &chip(work.dtype)?))
            }
            (Self::Decode, Work::Decode(work)) => {
                Some(decode_us(&DecodeParams::from_values(values), work, &chip(work.dtype)?))
            }
            (Self::Moe, Work::Moe(work)) => {
                Some(moe_us(&MoeParams::from_values(values), work, &chip(work.dtype)?))
            }
            (Self::Collective(version), Work::Collective(work)) => {
                Some(collective_time(&NcclParams::from_values(values), version, work, machine).total_us())
            }
            (Self::Pairs, Work::Pairs(work)) => {
                Some(pairs_time(&PairsParams::from_values(values), work, machine).total_us())
            }
            (
                Self::Gemm
                | Self::Elementwise
                | Self::Prefill
                | Self::Decode
                | Self::Moe
                | Self::Collective(_)
                | Self::Pairs,
                _,
            ) => None,
        }
    }

    /// Parameters that matter only for some work: their names, and whether `work` is of that kind.
    pub const fn special_params(self) -> &'static [SpecialParams] {
        match self {
            Self::Gemm | Self::Prefill | Self::Decode | Self::Moe => &[],
            Self::Elementwise => &[
                (&["norm_traffic", "norm_column_ns", "norm_share"], is_norm),
                (&["rope_column_ns", "rope_share"], is_rope),
                (&["act_column_ns", "act_share"], is_activation),
            ],
            Self::Collective(_) => &[
                (&["grouped_start_us", "grouped_peers_us", "grouped_rate"], is_grouped),
                (&["net_start_us", "nic_efficiency"], leaves_the_node),
            ],
            Self::Pairs => &[(&["net_us", "nic_efficiency"], leaves_the_node)],
        }
    }
}

fn is_grouped(work: &Work) -> bool {
    matches!(work, Work::Collective(work) if work.operation == Operation::AllToAll)
}

fn is_kind(work: &Work, kinds: &[ElementwiseKind]) -> bool {
    matches!(work, Work::Elementwise(work) if kinds.contains(&work.kind))
}

fn is_norm(work: &Work) -> bool {
    is_kind(work, &[ElementwiseKind::InputLayernorm, ElementwiseKind::PostAttentionLayernorm])
}

fn is_rope(work: &Work) -> bool {
    is_kind(work, &[ElementwiseKind::AttnRope])
}

fn is_activation(work: &Work) -> bool {
    is_kind(work, &[ElementwiseKind::MlpAct])
}

fn leaves_the_node(work: &Work) -> bool {
    match work {
        Work::Collective(work) => work.n_nodes > 1,
        Work::Pairs(work) => work.scope == Scope::InterNode,
        Work::Gemm(_) | Work::Prefill(_) | Work::Decode(_) | Work::Moe(_) | Work::Elementwise(_) => false,
    }
}
