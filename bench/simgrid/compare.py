#!/usr/bin/env python3
"""Runs masim and SimGrid on the same flow sets, in turn, and prints CPU seconds and their ratio.

    python3 bench/simgrid/compare.py [--masim target/release/masim] [--runs 3] SET.json[.gz] ...

Needs a release build of masim and `apt-get install libsimgrid-dev g++`; without SimGrid it says so and ends with 0. The seconds of
SimGrid are those of its simulation alone; those of masim are those of the whole process, reading of the JSON included.
"""

import argparse
import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Plain max-min sharing: no windows, no factors, no weights by round-trip time.
FLAGS = [
    "network/model:CM02",
    "network/optim:Lazy",
    "network/TCP-gamma:0",
    "network/crosstraffic:0",
    "network/weight-S:0",
    "network/bandwidth-factor:1",
    "network/latency-factor:1",
    "surf/precision:1e-13",
    "maxmin/precision:1e-9",
]


def read_set(path):
    """The first case of a flow set."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        text = file.read()
    case, _ = json.JSONDecoder().raw_decode(text)
    return case, text


def simgrid_text(case):
    """The case as flows.cpp reads it."""
    links = case["topology"]["links"]
    routes = {}
    flows = []
    for flow in case["flows"]:
        route = routes.setdefault(tuple(flow["route"]), len(routes))
        start_s = flow["start_ns"] * 1e-9 + sum(links[link]["lat"] for link in flow["route"])
        flows.append(f"{start_s!r} {flow['bytes']} {route}")
    lines = [f"links {len(links)}", *(repr(float(link["bw"])) for link in links)]
    lines += [f"routes {len(routes)}", *(" ".join(map(str, (len(route), *route))) for route in routes)]
    lines += [f"flows {len(flows)}", *flows]
    return "\n".join(lines) + "\n"


def build(folder):
    """The path of the compiled flows.cpp, or None where SimGrid or a compiler is missing."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return None, "there is no C++ compiler (`apt-get install g++`)"
    program = folder / "flows"
    command = [compiler, "-std=c++17", "-O2", "-o", program, HERE / "flows.cpp", "-lsimgrid"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[:1]
        return None, f"SimGrid is not installed (`apt-get install libsimgrid-dev`): {' '.join(reason)}"
    return program, None


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_simgrid(program, path):
    """CPU seconds of SimGrid's simulation, and the ends of the flows."""
    command = [program, path, *(f"--cfg={flag}" for flag in FLAGS), "--log=root.thresh:error"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(out[1]), [float(end) for end in out[2:]]


def run_masim(masim, path):
    """CPU seconds of the whole process, and the ends of the flows."""
    before = cpu_of_children()
    out = subprocess.run([masim, "network", path, "--json"], capture_output=True, text=True, check=True).stdout
    spent = cpu_of_children() - before
    return spent, json.loads(out.splitlines()[0])["finish_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masim", default="target/release/masim")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the fastest counts")
    parser.add_argument("sets", nargs="+", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        program, missing = build(folder)
        if program is None:
            print(f"skipped: {missing}")
            return 0
        print(f"{'set':<16} {'flows':>8} {'masim (s)':>10} {'SimGrid (s)':>12} {'ratio':>7} {'worst relative':>15}")
        for path in args.sets:
            case, text = read_set(path)
            ours, theirs = folder / "set.jsonl", folder / "set.txt"
            ours.write_text(text, encoding="utf-8")
            theirs.write_text(simgrid_text(case), encoding="utf-8")
            # In turn, so that what else the machine does meets both.
            runs = [(run_masim(args.masim, ours), run_simgrid(program, theirs)) for _ in range(args.runs)]
            (masim_s, ends), (simgrid_s, expected) = (min(runs, key=lambda run: run[side][0])[side] for side in (0, 1))
            worst = max(abs(a - b) / b for a, b in zip(ends, expected, strict=True))
            name = path.name.split(".")[0]
            print(f"{name:<16} {len(ends):>8} {masim_s:>10.3f} {simgrid_s:>12.3f} {simgrid_s / masim_s:>7.1f} {worst:>15.1e}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
