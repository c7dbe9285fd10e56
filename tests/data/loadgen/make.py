"""Runs MLPerf LoadGen on a system that sleeps for seeded times, and keeps what it measured and printed.

    python3 -m venv venv && venv/bin/pip install mlcommons-loadgen==6.0.17
    venv/bin/python make.py
"""

import json
import random
import re
import tempfile
import time
from pathlib import Path

import mlperf_loadgen as loadgen

HERE = Path(__file__).resolve().parent
SAMPLES = 64


def fast(dice):
    """One mode, with a tail."""
    return dice.lognormvariate(-9.5, 0.6)


def bimodal(dice):
    """One request in twenty takes ten times as long."""
    return dice.uniform(100e-6, 150e-6) * (10 if dice.random() < 0.05 else 1)


def measure(seed, queries, percentile, times, directory):
    dice = random.Random(seed)

    def issue(samples):
        for sample in samples:
            until = time.perf_counter() + times(dice)
            while time.perf_counter() < until:
                pass
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    settings = loadgen.TestSettings()
    settings.scenario = loadgen.TestScenario.SingleStream
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.single_stream_target_latency_percentile = percentile
    settings.single_stream_expected_latency_ns = 100_000
    settings.min_query_count = settings.max_query_count = queries
    settings.min_duration_ms = 0
    log = loadgen.LogSettings()
    log.log_output.outdir = str(directory)
    log.enable_trace = True
    system = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None)
    loadgen.StartTestWithLogSettings(system, library, settings, log)
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(system)


def samples(directory):
    """The latency of each query in nanoseconds: the trace has the time of its issue and of its end in microseconds, to three
    decimals."""
    text = (directory / "mlperf_log_trace.json").read_text()
    event = re.compile(r'"name":"Sample","cat":"default","ph":"([be])", ?"pid":\d+,"id":(\d+),"ts":(\d+)\.(\d{3})')
    times = {"b": {}, "e": {}}
    for kind, query, whole, rest in event.findall(text):
        times[kind][int(query)] = int(whole) * 1000 + int(rest)
    return [times["e"][query] - begun for query, begun in sorted(times["b"].items())]


def main():
    for name, seed, queries, percentile, times in [
        ("fast-p90", 1, 1024, 0.9, fast),
        ("fast-p50", 2, 300, 0.5, fast),
        ("bimodal-p90", 3, 2000, 0.9, bimodal),
        ("bimodal-p95", 4, 700, 0.95, bimodal),
        ("few-p90", 5, 40, 0.9, fast),
    ]:
        with tempfile.TemporaryDirectory() as directory:
            directory = Path(directory)
            measure(seed, queries, percentile, times, directory)
            summary = (directory / "mlperf_log_summary.txt").read_text()
            latencies = samples(directory)
        assert len(latencies) == queries, (name, len(latencies))
        printed = {}
        for told, figure in re.findall(r"Early stopping (\d+)\.0th percentile estimate: (\d+)", summary):
            printed[f"p{told}"] = int(figure)
        least = re.search(r"Need to process at least (\d+) queries|Processed at least (\d+) queries", summary)
        discarded = re.search(r"Would discard (\d+) highest", summary)
        told = {
            "target": f"p{round(percentile * 100)}",
            "needs": int(least[1] or least[2]),
            "discarded": int(discarded[1]) if discarded else None,
            "needs_p99": next(map(int, re.findall(r"least (\d+) total queries", summary)), None),
            "printed": printed,
        }
        text = json.dumps({"loadgen": told, "latencies_ns": latencies}, separators=(",", ":"))
        (HERE / f"{name}.json").write_text(text + "\n")
        print(name, told)


main()
