#!/usr/bin/env bash
# Checks that take too long for the gate: up to an hour on 2 cores. `bash tests/nightly.sh`; MASIM_N_DRAWN changes how much is drawn.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

started=$SECONDS
step() {
    printf '\n==> %s (after %d s)\n' "$1" "$((SECONDS - started))"
}

# A run of 10,000 steps must not keep them.
KIB_MAX=$((300 * 1024))

step "every invariant on drawn scenarios with every feature together"
MASIM_N_DRAWN=${MASIM_N_DRAWN:-2000} cargo test --release -p masim-tests --test invariants --locked together

step "10,000 steps with skew and jitter in less than $((KIB_MAX / 1024)) MiB"
cargo build --release -p masim --locked
masim=${CARGO_TARGET_DIR:-target}/release/masim
kib=$(python3 - "$masim" <<'PYTHON'
import os, subprocess, sys
command = [sys.argv[1], "run", "scenarios/decode.yaml", "--set", "n_steps={exactly: 10000}",
           "--set", "load={kind: zipf, exponent: 0.8}",
           "--set", "jitter={kernels: 0.05, communication: 0.05, source: nightly check}"]
process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
if status != 0:
    sys.exit("the run failed")
print(usage.ru_maxrss)
PYTHON
)
echo "$((kib / 1024)) MiB"
if [ "$kib" -gt "$KIB_MAX" ]; then
    echo "error: $((kib / 1024)) MiB; expected at most $((KIB_MAX / 1024))" >&2
    exit 1
fi

step "the main sweep with the models of a serving stack"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$masim" sweep scenarios/ratios.yaml --set profile=a100-sxm4-80gb-vllm --quiet --out "$scratch/ratios"

printf '\nAll nightly checks hold. %d s\n' "$((SECONDS - started))"
