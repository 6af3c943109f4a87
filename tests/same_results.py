"""The proof of `same_results.sh`, which says how it is used. Needs the standard library alone."""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Columns that a change of structure must keep; under `gpus` also all of MUST_OF_GPU.
MUST = ["fits", "tpot_us", "step_time_us", "ttft_us", "makespan_us", "memory_max_gib"]
FIVE = ["busy_us", "wait_imbalance_us", "wait_dependency_us", "wait_wire_us", "fill_drain_us"]
MEMORY = ["weights", "kv", "activations", "buffers"]
MUST_OF_GPU = FIVE + [f"cold.{name}" for name in FIVE] + [f"memory_gib.{name}" for name in MEMORY]
# Columns that say which plan `auto` chose.
CHOICE = ["heads", "sequences", "replicas", "ep", "expert_tp", "copies", "tp", "pp", "dp", "n_micro_batches",
          "n_in_flight", "n_overlapped", "placement", "dispatch", "forward", "schedule"]
# Texts for people, in which a word may change while every number stays.
PROSE = ["steady", "warnings", "error"]

DECODE = "scenarios/decode.yaml"
HOST = "host_overhead={per_launch: 20 us, per_step: 1 ms, per_sequence: 10 us, graph_batch: 8, source: made up}"
PROFILE = "profile=a100-sxm4-80gb-vllm"
JITTER = "jitter={kernels: 0.05, communication: 0.1, source: made up}"
ZIPF = "load={kind: zipf, exponent: 0.8}"
SPREAD = "workload.context_len={kind: lognormal, mean: 1000, sigma: 0.7}"
INT8 = "collectives.compressed=int8"
PROMPTS = "workload={phase: prefill, batch: 64, prompt_len: 1024, chunk_len: 256}"
LIST = "{attention: [0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7], expert: [12, 1, 6, 11]}"


def split(n_attention, rest=""):
    """A `ma_separation` on 16 GPUs."""
    return (f"strategy={{kind: ma_separation, n_attention_gpus: {n_attention}, "
            f"n_expert_gpus: {16 - n_attention}{rest and ', ' + rest}}}")


def pipeline(tp, pp, dp, n_in_flight="auto"):
    """A `tp_pp` on 16 GPUs."""
    return f"strategy={{kind: tp_pp, tp: {tp}, pp: {pp}, dp: {dp}, n_in_flight: {n_in_flight}}}"


def colocated(dp, tp, ep=16, n_overlapped=1):
    """A `dp_ep` on 16 GPUs."""
    return f"strategy={{kind: dp_ep, dp: {dp}, tp: {tp}, ep: {ep}, n_overlapped: {n_overlapped}}}"


def features():
    """Cases with every feature that results may depend on, alone and together: (name, file, settings)."""
    ways = {
        "split": split(12),
        "split sequences": split(8, "attention: {heads: 2, sequences: 2, replicas: 2}, n_micro_batches: 3"),
        "split expert tp": split(10, "experts: {ep: 2, tp: 3, copies: 0}, n_micro_batches: 2"),
        "split copies": split(8, "experts: {ep: 8, tp: 1, copies: 4}"),
        "split broadcast": split(12, "dispatch: broadcast"),
        "split forward node": split(8, "forward: node, placement: interleaved"),
        "split lockstep": split(12, "schedule: lockstep, n_micro_batches: 3"),
        "split list": split(12, f"placement: {LIST}"),
        "tp_pp": pipeline(8, 2, 1),
        "tp_pp literal": pipeline(8, 2, 1, 1),
        "tp_pp dp copies": pipeline(4, 2, 2),
        "tp_pp deep": pipeline(2, 4, 2, 5),
        "dp_ep": colocated(16, 1),
        "dp_ep tp overlapped": colocated(4, 4, 16, 2),
    }
    together = {
        "plain": [],
        "zipf": [ZIPF, SPREAD, "n_steps=4"],
        "profile": [PROFILE],
        "profile jitter zipf": [PROFILE, JITTER, ZIPF, "n_steps=4"],
        "prompts": [PROMPTS],
        "prompts profile": [PROMPTS, PROFILE],
        "chunks": ["overlap={kind: chunks, n_chunks: 3}", PROFILE],
        "literal": ["overlap={kind: literal, exposed: 0.25}"],
        "eager prime batch": ["launch=eager", "workload.batch=53"],
    }
    for (way, strategy), (name, settings) in itertools.product(ways.items(), together.items()):
        yield f"{way}: {name}", DECODE, [strategy, *settings]
    for way in [name for name in ways if name.startswith("tp_pp")]:
        yield f"{way}: host", DECODE, [ways[way], HOST]
        yield f"{way}: host eager profile jitter zipf", DECODE, [
            ways[way], HOST, "launch=eager", PROFILE, JITTER, ZIPF, "n_steps=4"]
        yield f"{way}: compressed", DECODE, [ways[way], INT8]
        yield f"{way}: compressed profile gathered", DECODE, [
            ways[way], INT8, PROFILE, "vocabulary={embedding: sharded, logits: gathered}"]
    mla = "scenarios/decode-mla.yaml"
    for way in ["split", "split sequences", "tp_pp", "tp_pp dp copies", "dp_ep"]:
        yield f"{way}: latent", mla, [ways[way], "n_steps=3"]
        yield f"{way}: latent jitter", mla, [ways[way], JITTER, "n_steps=3"]
        yield f"{way}: latent prompts", mla, [ways[way], PROMPTS]
    yield "tp_pp dp copies: latent host jitter", mla, [ways["tp_pp dp copies"], HOST, JITTER, "n_steps=3"]
    for cluster in ["a100-2x8", "a100-4x4-nic1", "h100-2x8"]:
        for way in ["split forward node", "tp_pp dp copies", "dp_ep tp overlapped"]:
            yield f"{way}: {cluster}", DECODE, [ways[way], f"cluster={cluster}", ZIPF, "n_steps=3"]
    for algorithm in ["ring", "direct", "rail", "tree"]:
        yield f"tp_pp: {algorithm}", DECODE, [pipeline(8, 2, 1, 2), f"collectives.algorithm={algorithm}"]
    yield "tp_pp: mixtral inference", DECODE, [
        pipeline(8, 2, 1), "model=mixtral-8x7b", "workload={phase: inference, batch: 32, prompt_len: 512, output_len: 64}"]


def thinned(text):
    """A sweep with the long lists of numbers of its axes thinned to two or three, keys of one item alike."""
    def thin(match):
        numbers = [number.strip() for number in match[1].split(",")]
        middle = [numbers[len(numbers) // 2]] if len(numbers) > 4 else []
        kept = numbers if len(numbers) < 4 else [numbers[0], *middle, numbers[-1]]
        return f"[{', '.join(kept)}]"
    return re.sub(r"\[([0-9., ]+)\]", thin, text)


def block(lines, indent):
    """The value that starts at `lines[0]`, of the plain block YAML that a report's sweep.yaml is written in."""
    def scalar(text):
        return json.loads(text) if text.startswith('"') else text
    width = len(lines[0]) - len(lines[0].lstrip())
    if width < indent:
        return None
    if lines[0].lstrip().startswith("- "):
        items = []
        while lines and lines[0].startswith(" " * width + "- "):
            rest = lines[0][width + 2:]
            if re.match(r"[\w.]+:(\s|$)", rest):
                lines[0] = " " * (width + 2) + rest
                items.append(block(lines, width + 2))
            else:
                items.append(scalar(rest))
                lines.pop(0)
        return items
    fields = {}
    while lines and re.match(rf" {{{width}}}[\w.]+:", lines[0]):
        key, rest = re.match(r" *([\w.]+):\s*(.*)", lines.pop(0)).groups()
        if rest:
            fields[key] = scalar(rest)
        else:
            # A list stands below its key without further indentation.
            dashed = bool(lines) and lines[0].startswith(" " * width + "- ")
            fields[key] = block(lines, width if dashed else width + 1) if lines else None
    return fields


def flow(value):
    """The value as `--set` reads it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return str(value)


def settings_of_points(sweep_yaml, rows):
    """For each row the settings of its point, those of `strategy` apart."""
    lines = sweep_yaml.read_text().splitlines()
    start = lines.index("axes:") + 1
    end = next(at for at in range(start, len(lines)) if re.match(r"\w", lines[at]))
    axes = block(lines[start:end], 0)
    items = []
    for item in axes:
        kept = {path: values for path, values in item.items() if not path.startswith("strategy")}
        if kept:
            n_values = len(next(iter(kept.values())))
            items.append([[f"{path}={flow(values[at])}" for path, values in kept.items()] for at in range(n_values)])
    points = [list(itertools.chain(*settings)) for settings in itertools.product(*items)]
    n_points = 1 + max(int(row["point_idx"]) for row in rows)
    assert n_points == len(points), f"{sweep_yaml}: {n_points} points, but the axes make {len(points)}"
    return [points[int(row["point_idx"])] for row in rows]


def written_out(row):
    """The strategy of a row with every choice made, as a setting."""
    kind = row["strategy"]
    if kind == "ma_separation":
        text = ("{{kind: ma_separation, n_attention_gpus: {n_attention_gpus}, n_expert_gpus: {n_expert_gpus}, attention: "
                "{{heads: {heads}, sequences: {sequences}, replicas: {replicas}, replica_mode: {replica_mode}}}, experts: "
                "{{ep: {ep}, tp: {expert_tp}, copies: {copies}}}, dispatch: {dispatch}, forward: {forward}, "
                "placement: {placement}, schedule: {schedule}, n_micro_batches: {n_micro_batches}}}")
    elif kind == "tp_pp":
        text = "{{kind: tp_pp, tp: {tp}, pp: {pp}, dp: {dp}, n_in_flight: {n_in_flight}}}"
    else:
        assert kind == "dp_ep", f"unknown strategy {kind}"
        text = "{{kind: dp_ep, dp: {dp}, tp: {tp}, ep: {ep}, n_overlapped: {n_overlapped}}}"
    return "strategy=" + text.format(**row)


class Binary:
    """One `masim`, run in the root of the checkout."""

    def __init__(self, path, root):
        self.path, self.root = path, root

    def call(self, *args):
        return subprocess.run([self.path, *args], cwd=self.root, capture_output=True, text=True)

    def run(self, file, settings):
        """The row of one scenario, with numbers as the text that they are written in; what is wrong, if it does not run."""
        args = ["run", file, "--json", *itertools.chain(*(("--set", setting) for setting in settings))]
        done = self.call(*args)
        if done.returncode != 0:
            return None, done.stderr.strip()
        return json.loads(done.stdout, parse_float=str, parse_int=str)["rows"][0], None

    def sweep(self, file, out):
        """The rows of a sweep and the folder of its report."""
        done = self.call("sweep", str(file), "--quiet", "--out", str(out))
        if done.returncode not in (0, 1) or not (out / "results.json").exists():
            sys.exit(f"error: {self.path} does not run {file}:\n{done.stderr}")
        return json.loads((out / "results.json").read_text(), parse_float=str, parse_int=str)["rows"]


def flat(value, path=""):
    """Every number and text below `value`, by its path; each GPU by its name."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            name = item.get("gpu", at) if isinstance(item, dict) else at
            yield from flat(item, f"{path}[{name}]")
    else:
        yield path, value


def column_of(path):
    """The path without positions: one name for all GPUs."""
    return re.sub(r"\[[^\]]*\]", "", path)


IS_MUST = set(MUST) | {f"gpus.{name}" for name in MUST_OF_GPU}


class Findings:
    """What differs, gathered case by case."""

    def __init__(self, all_columns):
        self.all_columns = all_columns
        self.n_rows = self.n_values = 0
        self.broken, self.refused, self.others, self.choices = [], [], {}, []

    def compare(self, name, old, new, command):
        """Holds every value of the old row against the new one."""
        self.n_rows += 1
        old, new = dict(flat(old)), dict(flat(new))
        lines = []
        for path, value in old.items():
            column = column_of(path)
            must = column in IS_MUST
            self.n_values += must
            other = new.get(path, "missing")
            if value == other or column in PROSE:
                continue
            if must or self.all_columns:
                lines.append(f"    {path}: {value} -> {other}")
            else:
                self.others.setdefault(column, []).append(f"{name}: {value} -> {other}")
        for path in new.keys() - old.keys():
            if column_of(path) in IS_MUST:
                lines.append(f"    {path}: missing -> {new[path]}")
        if lines:
            self.broken.append("\n".join([f"{name}\n    masim {command}", *lines[:12],
                                          *([f"    and {len(lines) - 12} more"] if len(lines) > 12 else [])]))

    def pair(self, name, old, new, command):
        """The same for results that may be refusals."""
        (old, why_old), (new, why_new) = old, new
        if old is None and new is None:
            self.refused.append(f"{name}: {why_old}")
        elif old is None or new is None:
            which = f"refused by the old binary alone: {why_old}" if old is None else f"refused by the new binary: {why_new}"
            self.broken.append(f"{name}\n    masim {command}\n    {which}")
        else:
            self.compare(name, old, new, command)

    def choice(self, name, old, new):
        """Whether `auto` chose another plan, which is noted with both times."""
        changed = [column for column in CHOICE if old.get(column) != new.get(column)]
        if changed:
            what = ", ".join(f"{column} {old.get(column)} -> {new.get(column)}" for column in changed)
            key = "tpot_us" if old.get("tpot_us") is not None else "ttft_us"
            self.choices.append(f"{name}: {what}; {key} {old.get(key)} -> {new.get(key)}")
        return bool(changed)

    def report(self):
        """Prints everything; true if nothing that must stay has moved."""
        print(f"{self.n_rows} rows with {self.n_values} values that must be equal")
        if self.refused:
            print(f"\n{len(self.refused)} cases that both binaries refuse:")
            print("\n".join(f"  {line}" for line in self.refused))
        if self.choices:
            print(f"\n`auto` chose another plan in {len(self.choices)} rows:")
            print("\n".join(f"  {line}" for line in self.choices))
        if self.others:
            print("\nother columns that differ:")
            for column, lines in sorted(self.others.items()):
                print(f"  {column}, {len(lines)} times; {lines[0]}")
        if self.broken:
            print(f"\nDIFFERENT, {len(self.broken)} rows:")
            print("\n".join(self.broken))
        else:
            print("\nequal: every value that must stay has stayed")
        return not self.broken


def shell(file, settings):
    """The command that runs a case."""
    return " ".join(["run", file, "--json", *(f"--set '{setting}'" for setting in settings)])


def one_case(case, old, new):
    """Both binaries on one case: as it stands, and with the plan that the old one chose written out."""
    name, file, settings = case
    as_it_stands = old.run(file, settings)
    if as_it_stands[0] is None or as_it_stands[0].get("error"):
        return case, as_it_stands, new.run(file, settings), None
    fixed = [setting for setting in settings if not setting.startswith("strategy")]
    fixed.append(written_out(as_it_stands[0]))
    return (name, file, fixed), old.run(file, fixed), new.run(file, fixed), (as_it_stands, new.run(file, settings))


def run_cases(cases, old, new, n_threads, findings):
    """All cases, `n_threads` at a time, reported in their order."""
    with ThreadPoolExecutor(n_threads) as pool:
        for (name, file, settings), before, after, chosen in pool.map(lambda case: one_case(case, old, new), cases):
            findings.pair(name, before, after, shell(file, settings))
            print(f"\r\033[K{findings.n_rows} rows, {len(findings.broken)} differ; {name}", end="", file=sys.stderr)
            if chosen and chosen[1][0]:
                findings.choice(name, chosen[0][0], chosen[1][0])
    print("\r\033[K", end="", file=sys.stderr)


def run_sweep(path, scratch, full, old, new, findings):
    """One sweep by both; rows whose choice changed are returned as cases with the old plan written out."""
    text = path.read_text()
    base = re.search(r"^base: (\S+)$", text, re.M)
    assert base, f"{path}: `base` is expected to be the path of a scenario"
    base = path.parent / base[1]
    text = text.replace(f"base: {base.name}", f"base: {base}", 1)
    copy = scratch / path.name
    copy.write_text(text if full else thinned(text))
    rows = [binary.sweep(copy, scratch / f"{name}-{path.stem}") for name, binary in [("old", old), ("new", new)]]
    if len(rows[0]) != len(rows[1]):
        findings.broken.append(f"{path.name}: {len(rows[0])} -> {len(rows[1])} rows")
        return []
    points = settings_of_points(scratch / f"old-{path.stem}" / "sweep.yaml", rows[0])
    again = []
    for before, after, settings in zip(*rows, points):
        name = f"{path.stem} row {before['row_idx']} ({before['name']}{''.join(', ' + text for text in settings)})"
        settings = [*settings, written_out(before)] if before.get("fits") else settings
        file = str(base.relative_to(old.root))
        if findings.choice(name, before, after):
            again.append((f"{name}, old plan", file, settings))
        else:
            findings.compare(name, before, after, shell(file, settings))
    return again


def main():
    parser = argparse.ArgumentParser(prog="same_results.sh")
    parser.add_argument("old"), parser.add_argument("new")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--all-columns", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--n-threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    root = args.root.resolve()
    old, new = (Binary(str(Path(path).resolve()), root) for path in (args.old, args.new))
    for binary in (old, new):
        if not os.access(binary.path, os.X_OK):
            print(f"error: {binary.path} is no program", file=sys.stderr)
            return 2
    findings = Findings(args.all_columns)
    scenarios = root / "scenarios"
    is_sweep = {path: bool(re.search(r"^base:", path.read_text(), re.M)) for path in sorted(scenarios.glob("*.yaml"))}
    cases = [(path.name, f"scenarios/{path.name}", []) for path, sweep in is_sweep.items() if not sweep]
    cases += features()
    with tempfile.TemporaryDirectory() as scratch:
        for path in [path for path, sweep in is_sweep.items() if sweep and args.only in path.stem]:
            cases += run_sweep(path, Path(scratch), args.full, old, new, findings)
    run_cases([case for case in cases if args.only in case[0]], old, new, args.n_threads, findings)
    if findings.n_rows == 0:
        print(f"error: no case is named like `{args.only}`", file=sys.stderr)
        return 2
    return 0 if findings.report() else 1


if __name__ == "__main__":
    sys.exit(main())
