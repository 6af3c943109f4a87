//! Latent attention of DeepSeek-V2-Lite: what its cache holds and what its kernels need.

use masim_core::program::memory::memory;
use masim_core::running::run::run_plan;
use masim_core::scenario::Scenario;
use masim_core::work::cost::RooflineCost;
use masim_core::work::ops::OpKind;
use masim_tests::{only_plan, routing, scenario};

/// Layers, and elements of a cached token in one of them: a latent of 512 and a rotated key of 64, for all heads.
const N_LAYERS: u64 = 27;
const N_KEPT: u64 = 576;

fn decode(strategy: &str) -> Scenario {
    scenario(&format!(
        "cluster: a100-4x4\nmodel: deepseek-v2-lite\nworkload: {{ phase: decode, batch: 1024, context_len: 4096 }}\n\
         strategy: {{ {strategy} }}\n"
    ))
}

/// FLOPs and bytes of the kernels of one kind on one GPU in one step, the same on all of `n_gpus`.
fn needs(scenario: &Scenario, kind: OpKind, n_gpus: u64) -> (u64, u64) {
    let cost = RooflineCost { dtypes: scenario.model.dtype, launch: scenario.launch };
    let run = run_plan(scenario, &only_plan(scenario), &routing(scenario), &cost).unwrap();
    let parts = || run.cold.parts.iter().filter(|part| part.kind == kind);
    let flops: u64 = parts().map(|part| part.flops).sum();
    let bytes: u64 = parts().map(|part| part.bytes.0).sum();
    assert_eq!((flops % n_gpus, bytes % n_gpus), (0, 0), "all GPUs do the same");
    (flops / n_gpus, bytes / n_gpus)
}

/// A cached token takes 27 x 576 x 2 B = 31 104 B, on each GPU of a tensor group that reads it.
#[test]
fn every_rank_of_a_group_keeps_the_whole_latent() {
    let copies = [
        ("kind: tp_pp, tp: 1, pp: 1, dp: 16, n_in_flight: 1", 64),
        ("kind: tp_pp, tp: 4, pp: 1, dp: 4, n_in_flight: 1", 256),
        ("kind: dp_ep, dp: 4, ep: 16, tp: 4, n_overlapped: 1", 256),
    ];
    for (strategy, n_sequences) in copies {
        let scenario = decode(strategy);
        let expected = n_sequences * 4097 * N_LAYERS * N_KEPT * 2;
        for (gpu, held) in memory(&scenario, &only_plan(&scenario)) {
            assert_eq!(held.kv.0, expected, "{strategy}, {gpu:?}");
        }
    }
}

/// 64 sequences on a GPU. A query meets 4096 latents: 2 x 16 heads x (576 + 512) FLOP each. Read are 4096 latents a
/// sequence, written is one, and 16 x (576 + 512) numbers of queries and outputs pass.
#[test]
fn decode_works_on_the_latents_themselves() {
    let scenario = decode("kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 1");
    let (flops, bytes) = needs(&scenario, OpKind::DecodeAttention, 16);
    assert_eq!(flops, N_LAYERS * 64 * 4096 * 2 * 16 * (576 + 512));
    assert_eq!(bytes, N_LAYERS * 64 * 2 * (4097 * N_KEPT + 16 * (576 + 512)));
}

/// Four GPUs share the heads of 256 sequences: each does a quarter of the arithmetic and reads all latents.
#[test]
fn a_tensor_group_shares_arithmetic_and_not_reading() {
    let scenario = decode("kind: tp_pp, tp: 4, pp: 1, dp: 4, n_in_flight: 1");
    let (flops, bytes) = needs(&scenario, OpKind::DecodeAttention, 16);
    assert_eq!(flops, N_LAYERS * 256 * 4096 * 2 * 4 * (576 + 512));
    assert_eq!(bytes, N_LAYERS * 256 * 2 * (4097 * N_KEPT + 4 * (576 + 512)));
}

/// Queries go into the space of the latents, 16 x 128 x 512, and outputs come back, 16 x 512 x 128: for 64 sequences
/// 2 x 2 x 64 x 16 x 65536 FLOP; 16 x 65536 weights twice, and rows of 128 and 512 numbers for each head.
#[test]
fn queries_are_absorbed_and_outputs_return() {
    let scenario = decode("kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 1");
    let (flops, bytes) = needs(&scenario, OpKind::Absorb, 16);
    assert_eq!(flops, N_LAYERS * 2 * 2 * 64 * 16 * 65_536);
    assert_eq!(bytes, N_LAYERS * 2 * 2 * 16 * (65_536 + 64 * (128 + 512)));
}

/// 15.706 billion parameters are published, of which the first layer has a dense network 10944 wide; with 66 experts
/// 1408 wide and a gate in its place there are 0.504 billion more.
#[test]
fn the_card_has_the_published_number_of_parameters() {
    let model = decode("kind: tp_pp, tp: 1, pp: 1, dp: 16, n_in_flight: 1").model;
    let (attention, moe) = (model.attention, model.ffn.as_moe());
    let half = attention.n_weights(model.hidden, attention.n_heads, attention.n_kv_heads) as f64;
    let n_experts = f64::from(moe.n_routed_experts + moe.n_shared_experts);
    let experts = (n_experts * 3.0 * 1408.0 + 64.0) * 2048.0;
    let total = 27.0 * (half + experts) + 2.0 * 102_400.0 * 2048.0;
    let published = 15.706e9 + experts - 3.0 * 10_944.0 * 2048.0;
    assert!((total / published - 1.0).abs() < 1e-3, "{total:e} against {published:e}");
}

/// Whole prompts, and in chunks, in which the latents before are expanded again.
#[test]
fn prompts_expand_their_latents() {
    let expanded = |chunk_len: &str| {
        let prompts = format!(
            "cluster: a100-4x4\nmodel: deepseek-v2-lite\nworkload: {{ phase: prefill, batch: 16, prompt_len: 1024{chunk_len} }}\n\
             strategy: {{ kind: tp_pp, tp: 1, pp: 1, dp: 16, n_in_flight: 1 }}\n"
        );
        needs(&scenario(&prompts), OpKind::Expand, 16).0
    };
    // 512 x 16 heads x (128 + 128) for each token of the prompt; in two chunks for 512 and 1024 tokens.
    assert_eq!(expanded(""), N_LAYERS * 1024 * 2 * 512 * 16 * 256);
    assert_eq!(expanded(", chunk_len: 512"), N_LAYERS * (512 + 1024) * 2 * 512 * 16 * 256);
}

/// 1024 tokens pass 6 of 64 experts 1408 wide and two shared ones, 2816 wide together, whoever does it: up and gate are
/// 2 x 2048 wide, so 2 x 2 x 2048 FLOP for each token and column.
#[test]
fn every_token_passes_the_shared_experts() {
    for strategy in [
        "kind: tp_pp, tp: 4, pp: 1, dp: 4, n_in_flight: 1",
        "kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 1",
        "kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8, n_micro_batches: 2, \
         attention: { heads: 1, sequences: 1, replicas: 8 }, experts: { ep: 8, tp: 1 }",
    ] {
        let (flops, _) = needs(&decode(strategy), OpKind::ExpertUp, 1);
        assert_eq!(flops, N_LAYERS * 1024 * 2 * 2 * 2048 * (6 * 1408 + 2816), "{strategy}");
    }
}

/// Memory of the first GPU beside weights, cache and messages.
fn activations(workload: &str, strategy: &str, vocabulary: &str) -> u64 {
    let scenario = scenario(&format!(
        "cluster: a100-4x4\nmodel: deepseek-v2-lite\nworkload: {{ {workload} }}\nstrategy: {{ {strategy} }}\n{vocabulary}"
    ));
    memory(&scenario, &only_plan(&scenario))[0].1.activations.0
}

/// One prompt on each GPU. Of each token under way: the residual stream twice, 2 x 2048; 16 x (192 + 128) numbers of queries and outputs,
/// 576 that are kept and 2048 of the projection. Of each token of the prompt: keys and values, 16 x (128 + 128).
#[test]
fn prompts_hold_the_keys_and_values_that_are_expanded() {
    let of_a_token = 2 * 2048 + 16 * (192 + 128) + 576 + 2048;
    let strategy = "kind: tp_pp, tp: 1, pp: 1, dp: 16, n_in_flight: 1";
    let found = activations("phase: prefill, batch: 16, prompt_len: 64, chunk_len: 1", strategy, "");
    assert_eq!(found, 2 * (of_a_token + 64 * 16 * (128 + 128)));
    let separated = "kind: ma_separation, n_attention_gpus: 8, n_expert_gpus: 8, n_micro_batches: 1, \
        attention: { heads: 1, sequences: 1 }, experts: { ep: 8 }";
    let found = activations("phase: prefill, batch: 8, prompt_len: 4096", separated, "");
    assert_eq!(found, 2 * 4096 * (of_a_token + 16 * (128 + 128)));
}

/// 256 sequences on 4 GPUs: a residual stream twice, and scores of 102400 / 4 words and of all of them. Without those of all, the
/// 6 experts of each token need more: rows of 2048 twice and of 1408 / 4 thrice.
#[test]
fn scores_count_where_they_are_gathered() {
    let strategy = "kind: tp_pp, tp: 4, pp: 1, dp: 4, n_in_flight: 1";
    let found = |vocabulary| activations("phase: decode, batch: 1024, context_len: 64", strategy, vocabulary);
    let gathered = found("vocabulary: { logits: gathered }\n");
    assert_eq!(gathered, 2 * 256 * (2 * 2048 + 102_400 / 4 + 102_400));
    assert_eq!(found(""), 2 * 256 * (2 * 2048 + 6 * (2 * 2048 + 3 * 352)));
}

/// Weights of the shared experts: 3 x 2048 x 2816 x 2 B = 34.6 MB a layer on each GPU that has a residual stream.
#[test]
fn shared_experts_stand_where_the_residual_stream_is() {
    let held = |n_shared: u32| {
        let patched = decode("kind: dp_ep, dp: 16, ep: 16, tp: 1, n_overlapped: 1");
        let mut model = (*patched.model).clone();
        let masim_core::scenario::FfnSpec::Moe(moe) = &mut model.ffn else {
            unreachable!("its layers have experts")
        };
        moe.n_shared_experts = n_shared;
        let scenario = Scenario { model: std::sync::Arc::new(model), ..patched };
        memory(&scenario, &only_plan(&scenario))[0].1.weights.0
    };
    assert_eq!(held(2) - held(0), N_LAYERS * 3 * 2048 * 2816 * 2);
}
