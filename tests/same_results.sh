#!/usr/bin/env bash
# Proves that a change of structure has moved no number: runs two binaries over the shipped scenarios and sweeps and over
# made-up cases with every feature, each plan written out, and compares their results byte by byte, column by column.
#
#   tests/same_results.sh OLD_BINARY NEW_BINARY [--full] [--all-columns] [--only TEXT] [--n-threads N]
#
#   OLD_BINARY, NEW_BINARY  `masim` before and after the change; they may be built in different profiles
#   --full                  all points of every sweep; without it, long axes are thinned
#   --all-columns           a difference in any column fails, not only in those that a change of structure must keep
#   --only TEXT             only cases whose name contains TEXT
#   --n-threads N           runs at a time (default: all cores)
#
# Both binaries run in the root of this checkout and so read the same topologies/, scenarios/ and profiles.
#
# Examples
#   git worktree add /tmp/before HEAD~1 && (cd /tmp/before && cargo build -p masim)
#   cargo build -p masim && tests/same_results.sh /tmp/before/target/debug/masim target/debug/masim
#   tests/same_results.sh /tmp/before/target/debug/masim target/debug/masim --only overlap
#
# What must be equal: `tpot_us`, `step_time_us`, `ttft_us`, `makespan_us`, whether the plan fits, the memory of each GPU and the
# five times of each GPU in steady state and in the cold step. Other columns that differ are listed and do not fail; columns
# that only the new binary has are allowed. Where `auto` chose another plan, the row is listed apart with both times, and the
# old plan is written out for both. Exit code: 0 equal, 1 different, 2 wrong arguments or a binary that does not run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec python3 "$here/same_results.py" --root "$here/.." "$@"
