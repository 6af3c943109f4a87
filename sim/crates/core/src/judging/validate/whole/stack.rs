//! What serving stacks do beside the kernels, as keys of a scenario.

/// What vLLM's host spends on a step from version 0.3 on, when graphs were captured and one process handed tensors to the others.
///
/// # Source
///
/// vLLM 0.5: GPUs idle 5 to 13 ms between steps (vllm-project/vllm issue 6854), of which processing the outputs of
/// 32 sequences takes 3.4 ms (issue 6913). A launch as below.
const SINCE_0_3: &str = "{ per_launch: 20 us, per_step: 5 ms, per_sequence: 100 us, graph_batch: 8, source: vLLM issues 6854 and 6913 }";

/// The same before: kernels launched one by one, and steps handed to a Ray process for each GPU.
///
/// # Source
///
/// Steps: Vidur's profile of vLLM's host (microsoft/vidur, `data/profiling/a100/cpu_overheads.csv`, commit 0633efae): medians of
/// scheduling, inputs, sampler, outputs, barrier and Ray for Llama 2 7B and 70B and `CodeLlama` 34B on 1, 2 and 4 A100, 8 to 64
/// sequences; least squares of relative errors, 9 % off. vLLM pull request 2221, which took Ray out, saved 0.36 ms for
/// each sequence and step on 8 GPUs (512 requests of 1,031 + 317 tokens in 147 s instead of 206); here it is 0.31 ms.
///
/// Launches: "Accelerating Generative AI with `PyTorch` II: GPT, Fast" (pytorch.org, November 2023), an eager Llama 7B at 25.5
/// tokens/s, bound by its host on an A100; 1,840 kernels a token by the code that it names, so 21 us each.
const BEFORE_0_3: &str = "{ per_launch: 20 us, per_step: 1.4 ms, per_sequence: 120 us, \
    hand_over: { per_step: 2.8 ms, per_sequence: 44 us }, source: Vidur's CPU overheads of vLLM; GPT Fast }";

/// What `stack` adds to a scenario of prompts or of decode steps, as lines of YAML.
///
/// A vLLM that does not state its version counts as one before 0.3.
pub(super) fn keys_of(stack: &str, is_decode: bool) -> String {
    let stack = stack.to_ascii_lowercase();
    let Some(rest) = stack.split("vllm").nth(1) else { return String::new() };
    // Between the name and its version stand `-`, `==` and the like; a letter or a comma begins something else.
    let version = rest.trim_start_matches([' ', '-', '=', '_', '@', ':', '/', '(']).trim_start_matches('v');
    let mut numbers = version.split(|it: char| !it.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    let is_since_0_3 = match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), minor) => (major, minor.unwrap_or(0)) >= (0, 3),
        (None, _) => false,
    };
    let host = if is_since_0_3 { SINCE_0_3 } else { BEFORE_0_3 };
    // Prompts are never replayed from graphs.
    let launch = if is_since_0_3 && is_decode { "graph" } else { "eager" };
    // `VocabParallelEmbedding` sums over the group, and the sampler sees all scores.
    format!(
        "launch: {launch}\nhost_overhead: {host}\nvocabulary: {{ embedding: sharded, logits: gathered }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_decides_on_graphs() {
        for (stack, launch) in [
            ("vLLM, DGX A100-80GB", "eager"),
            ("vLLM 0.2.7", "eager"),
            ("vLLM 0.14.0", "graph"),
            ("vllm v1.0", "graph"),
            ("vllm-0.14.0", "graph"),
            ("vLLM==0.5.4", "graph"),
            ("vllm:v0.5rc1", "graph"),
            ("vllm==0.2.7", "eager"),
            ("vLLM, CUDA 12.1", "eager"),
        ] {
            assert!(keys_of(stack, true).contains(launch), "{stack}");
        }
        assert!(keys_of("vLLM 0.14.0", false).contains("eager"));
        assert_eq!(keys_of("TensorRT-LLM 1.0.0", true), "");
    }
}
