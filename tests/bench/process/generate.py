"""Writes large files of request records, made of genuine ones: generate.py TEMPLATE COUNT AIPERF_FILE FLAT_FILE.

Each record is a record of TEMPLATE with ids and times of its own. Its durations are multiplied by a factor drawn from a
lognormal distribution (sigma 0.2, fixed seed), and its rates divided by it, so that the values differ as real ones do.
"""

import random
import sys

import orjson

# Eight requests in flight, as in the run that the template is of.
CONCURRENCY = 8


def varied(metric, factor):
    value, unit = metric["value"], metric["unit"]
    if unit == "ms":
        if isinstance(value, list):
            return [round(gap * factor, 6) for gap in value]
        return round(value * factor, 6)
    if unit == "tokens/sec/user":
        return value / factor
    return value


def record(template, number, factor, start_ns):
    metadata = dict(template["metadata"])
    shift = start_ns - metadata["request_start_ns"]
    duration = round((metadata["request_end_ns"] - metadata["request_start_ns"]) * factor)
    for name in ("credit_issued_ns", "request_start_ns", "request_ack_ns"):
        if name in metadata:
            metadata[name] += shift
    metadata["request_end_ns"] = start_ns + duration
    metadata["session_num"] = number
    metadata["conversation_id"] = f"session_{number:06}"
    metadata["x_request_id"] = f"{number:08x}" + metadata["x_request_id"][8:]
    made = {"metadata": metadata}
    made["metrics"] = {
        name: {"value": varied(metric, factor), "unit": metric["unit"]}
        for name, metric in template["metrics"].items()
    }
    if "error" in template:
        made["error"] = template["error"]
    return made, duration


def flat(made):
    latency = made["metrics"].get("request_latency")
    return {
        "timestamp": made["metadata"]["request_start_ns"] / 1e9,
        "latency_ms": latency and latency["value"],
        "status": "error" if "error" in made else "success",
        "error": made["error"]["message"] if "error" in made else None,
    }


def main(template_file, count, aiperf_file, flat_file):
    with open(template_file, "rb") as lines:
        templates = [orjson.loads(line) for line in lines]
    templates = [made for made in templates if made["metadata"]["benchmark_phase"] == "profiling"]
    draw = random.Random(404)
    free_ns = [templates[0]["metadata"]["request_start_ns"]] * CONCURRENCY
    with open(aiperf_file, "wb") as aiperf, open(flat_file, "wb") as plain:
        for number in range(int(count)):
            worker = number % CONCURRENCY
            made, duration = record(
                templates[number % len(templates)], number, draw.lognormvariate(0, 0.2), free_ns[worker]
            )
            free_ns[worker] += duration + 1_500_000
            aiperf.write(orjson.dumps(made) + b"\n")
            plain.write(orjson.dumps(flat(made)) + b"\n")


main(*sys.argv[1:])
