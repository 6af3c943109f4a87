#!/usr/bin/env bash
# The gate: everything that must hold before a change goes in. Needs rustup; installs the rest.
# With MASIM_REFERENCE set to a folder of reference data, tests compare with it too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

started=$SECONDS
step() {
    printf '\n==> %s (after %d s)\n' "$1" "$((SECONDS - started))"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

step "tools"
if ! command -v cargo >/dev/null; then
    echo "error: cargo is missing; hint: install rustup as https://rustup.rs says" >&2
    exit 1
fi
if ! command -v cc >/dev/null; then
    as_root apt-get update -qq
    as_root apt-get install -y -qq gcc libc6-dev
fi
# rust-toolchain.toml names the toolchain; rustup fetches it on the first call.
cargo --version
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    rustup component add rustfmt clippy
fi

step "format"
cargo fmt --all --check

step "lints, benches included"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

step "tests"
cargo test --workspace --locked

step "shipped files"
# The tests have built it, in their profile: no other build is needed.
masim=${CARGO_TARGET_DIR:-target}/debug/masim
"$masim" check topologies/*.yaml topologies/gpus/*.yaml scenarios/*.yaml scenarios/models/*.yaml >/dev/null

step "shipped scenarios"
"$masim" run scenarios/decode.yaml
"$masim" run scenarios/decode-mla.yaml
"$masim" run scenarios/decode-trace.yaml
"$masim" run scenarios/prefill.yaml
"$masim" run scenarios/inference-bloom.yaml
"$masim" run scenarios/inference-llama.yaml
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$masim" sweep scenarios/ratios.yaml --quiet --out "$scratch/ratios"

step "a small sweep, with one thread and with two"
for n_threads in 1 2; do
    "$masim" sweep scenarios/quick.yaml --threads "$n_threads" --out "$scratch/$n_threads" >/dev/null
    # How and when a report was made differs; nothing else may.
    rm "$scratch/$n_threads/meta.json"
done
diff -r "$scratch/1" "$scratch/2"

printf '\nAll of the gate holds: format, lints, documentation, tests, shipped files, a sweep. %d s\n' \
    "$((SECONDS - started))"
