//! Constants by which NCCL foresees the time of each way of doing a collective.
//!
//! # Source
//!
//! `src/graph/tuning.cc` of NCCL 2.8.4 and 2.27.3 (NVIDIA, BSD licence), the rows for compute capability 8.0,
//! NVLink and AMD hosts. They are facts about NCCL's choice, not measurements of ours.

use super::{Path, Protocol};

/// The version whose way of choosing is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NcclVersion {
    /// 2.8, and what came before 2.12.
    V2_8,
    /// 2.27, and what came since 2.12.
    V2_27,
}

impl NcclVersion {
    /// The version that a stack names, `NCCL 2.8.4` say; 2.27 where it names none.
    pub fn of_stack(stack: &str) -> Self {
        let named = stack.split("NCCL ").nth(1).and_then(|rest| rest.split([' ', ',', ';']).next());
        let mut parts = named.unwrap_or_default().split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(2)), Some(Ok(minor))) if minor < 12 => Self::V2_8,
            _ => Self::V2_27,
        }
    }

    pub(super) const fn tables(self) -> &'static Tables {
        match self {
            Self::V2_8 => &V2_8,
            Self::V2_27 => &V2_27,
        }
    }
}

/// Microseconds, `[tree, ring][LL, LL128, Simple]`.
type Latencies = [[f64; 3]; 2];

/// Tables of one NCCL version.
pub(super) struct Tables {
    base: Latencies,
    nvlink: Latencies,
    net: Latencies,
    /// Share of its rate that a tree reaches, for 64 B and each doubling.
    tree: [[f64; 23]; 3],
}

impl Tables {
    pub(super) fn base(&self, path: Path, protocol: Protocol) -> f64 {
        self.base[row(path)][protocol as usize]
    }

    pub(super) fn nvlink(&self, path: Path, protocol: Protocol) -> f64 {
        self.nvlink[row(path)][protocol as usize]
    }

    pub(super) fn net(&self, path: Path, protocol: Protocol) -> f64 {
        self.net[row(path)][protocol as usize]
    }

    /// Share of its rate that a tree reaches, looked up as NCCL does: by the power of two below `bytes`.
    pub(super) fn tree_share(&self, protocol: Protocol, bytes: f64) -> f64 {
        self.tree_at(protocol, libm::floor(doublings(bytes)))
    }

    /// The same without jumps between powers of two.
    pub(super) fn tree_share_smooth(&self, protocol: Protocol, bytes: f64) -> f64 {
        let at = doublings(bytes);
        let below = libm::floor(at);
        let (lower, upper) = (self.tree_at(protocol, below), self.tree_at(protocol, below + 1.0));
        lower + (upper - lower) * (at - below)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and from 0 to 44: a buffer has fewer than 2^50 bytes"
    )]
    fn tree_at(&self, protocol: Protocol, at: f64) -> f64 {
        self.tree[protocol as usize].get(at as usize).copied().unwrap_or(1.0)
    }
}

/// Doublings from 64 B to `bytes`.
fn doublings(bytes: f64) -> f64 {
    libm::log2((bytes / 64.0).max(1.0))
}

const fn row(path: Path) -> usize {
    match path {
        Path::Tree => 0,
        Path::Ring => 1,
    }
}

static V2_8: Tables = Tables {
    base: [[4.4, 4.4, 0.0], [3.6, 10.0, 8.4]],
    nvlink: [[0.52, 1.2, 28.0], [0.47, 1.9, 3.4]],
    net: [[5.0, 8.5, 50.0], [2.7, 4.0, 9.6]],
    tree: [
        [
            1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
            1.0, 1.0, 1.0, 1.0,
        ],
        [
            1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.8, 0.8, 0.7, 0.6, 0.6, 0.6, 0.5, 0.6, 0.6, 0.7, 0.7, 0.8,
            0.9, 0.9, 1.0, 1.0,
        ],
        [
            0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.6,
            0.7, 0.8, 0.9, 1.0,
        ],
    ],
};

static V2_27: Tables = Tables {
    base: [[6.8, 14.0, 8.4], [6.6, 14.0, 8.4]],
    nvlink: [[0.6, 1.25, 4.0], [0.6, 1.9, 3.4]],
    net: [[5.0, 8.5, 14.0], [2.7, 4.0, 14.0]],
    tree: [
        [
            1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
            1.0, 1.0, 1.0, 1.0,
        ],
        [
            1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.8, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.8, 0.9, 0.9,
            0.9, 0.9, 1.0, 1.0,
        ],
        [
            0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.7,
            0.7, 0.8, 0.9, 0.9,
        ],
    ],
};
