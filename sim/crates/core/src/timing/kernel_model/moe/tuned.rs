//! Shapes of experts for which libraries ship a tuned tile.

/// Experts of a rank and their hidden width there.
///
/// # Source
///
/// vLLM, `fused_moe/configs`, files for `NVIDIA_A100-SXM4-80GB` in 16 bits (Apache-2.0).
const TUNED: [(u64, u64); 20] = [
    (1, 1792),
    (1, 3584),
    (1, 7168),
    (1, 14336),
    (8, 1792),
    (8, 2048),
    (8, 3584),
    (8, 4096),
    (8, 7168),
    (16, 1344),
    (16, 1792),
    (16, 2688),
    (16, 3584),
    (16, 7168),
    (16, 14336),
    (64, 640),
    (64, 1280),
    (128, 192),
    (512, 64),
    (512, 128),
];

/// True if a rank with `n_experts` experts of that hidden width finds its tile in the library's table.
pub fn is_tuned(n_experts: u64, width: u64) -> bool {
    TUNED.contains(&(n_experts, width))
}
