"""Runs `phasemeter process` beside Python and DuckDB over the same files, and prints a table.

compare.py PHASEMETER TEMPLATE RECORDS DIRECTORY

Every contender runs once to warm up and three times for the table, which shows the fastest run and the largest peak of
memory. All have to agree: to a billionth, but for the streaming mode, whose percentiles have to be within its own bounds.
All interpolate as numpy does.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNS = 3
FIELDS = ("count", "avg", "min", "max", "std", "p50", "p90", "p99")
TOLERANCE = 1e-9


def files(template, records, directory):
    """The file of each form, made unless it is there."""
    made = {form: directory / f"{form}-{records}.jsonl" for form in ("flat", "aiperf")}
    if not all(file.exists() for file in made.values()):
        partial = {form: file.with_suffix(".partial") for form, file in made.items()}
        print(f"making {records} records in {directory}", flush=True)
        subprocess.run(
            [sys.executable, HERE / "generate.py", template, str(records), partial["aiperf"], partial["flat"]],
            check=True,
        )
        for form, file in partial.items():
            file.rename(made[form])
    return made


def contenders(phasemeter, form, file):
    process = [phasemeter, "process", file, "--json", "--percentiles", "50,90,99", "--percentile-rule", "linear"]
    return {
        "phasemeter process": process,
        "phasemeter process --exact": [*process, "--exact"],
        "DuckDB": [sys.executable, HERE / "with_duckdb.py", form, file],
        "Python, orjson and numpy": [sys.executable, HERE / "with_numpy.py", form, file],
    }


def run(command, output):
    """Wall time in seconds, peak of memory in bytes if the system tells, and what was printed."""
    with open(output, "wb") as out:
        began = time.perf_counter()
        child = subprocess.Popen([str(word) for word in command], stdout=out)
        peak = None
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        child.wait()
        wall = time.perf_counter() - began
    if child.returncode != 0:
        sys.exit(f"error: {' '.join(map(str, command))} ended with {child.returncode}")
    return wall, peak, json.loads(output.read_bytes())


def measure(command, output):
    run(command, output)
    runs = [run(command, output) for _ in range(RUNS)]
    peaks = [peak for _, peak, _ in runs if peak is not None]
    return min(wall for wall, _, _ in runs), max(peaks, default=None), runs[0][2]


def compare(form, file, commands, directory):
    results = {name: measure(command, directory / "answer.json") for name, command in commands.items()}
    reference = results["Python, orjson and numpy"][2]
    wall_of_phasemeter = results["phasemeter process"][0]
    print(f"\n{form} records, {file.stat().st_size / 1e6:,.0f} MB\n")
    print("| tool | wall, s | of `phasemeter process` | peak memory, MB |\n|---|---:|---:|---:|")
    for name, (wall, peak, answer) in results.items():
        memory = "?" if peak is None else f"{peak / 1e6:,.0f}"
        print(f"| {name} | {wall:.2f} | {wall / wall_of_phasemeter:.2f} | {memory} |")
        check(name, answer, reference)


def check(name, answer, reference):
    if name.startswith("phasemeter"):
        answer = answer_of_phasemeter(answer, exact=name.endswith("--exact"))
    for field in FIELDS:
        found, expected = answer[field], reference[field]
        if isinstance(found, dict):
            agrees = found["lower"] <= expected <= found["upper"]
        else:
            agrees = abs(found - expected) <= TOLERANCE * abs(expected)
        if not agrees:
            sys.exit(f"error: {name} found {field} = {found}, and Python {expected}")


def answer_of_phasemeter(document, exact):
    """Its one phase in the others' form; percentiles as bounds unless they are exact."""
    (phase,) = document["phases"].values()
    latency = phase["metrics"]["request_latency"]
    percentiles = latency["percentiles"]
    return {
        **{name: latency[name] for name in ("count", "min", "max", "std")},
        "avg": latency["mean"],
        **{name: bounded["value"] if exact else bounded for name, bounded in percentiles.items()},
    }


def main(phasemeter, template, records, directory):
    directory = Path(directory)
    for form, file in files(template, int(records), directory).items():
        compare(form, file, contenders(phasemeter, form, file), directory)


main(*sys.argv[1:])
