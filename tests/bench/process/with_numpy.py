"""Statistics of request_latency with orjson and numpy: with_numpy.py aiperf|flat FILE."""

import sys

import numpy
import orjson

form, file = sys.argv[1:]
values = []
with open(file, "rb") as lines:
    for line in lines:
        record = orjson.loads(line)
        if form == "aiperf":
            if "error" not in record:
                values.append(record["metrics"]["request_latency"]["value"])
        elif record["status"] == "success":
            values.append(record["latency_ms"])

latency = numpy.array(values)
p50, p90, p99 = numpy.percentile(latency, [50, 90, 99])
answer = {
    "count": len(latency),
    "avg": float(latency.mean()),
    "min": float(latency.min()),
    "max": float(latency.max()),
    "std": float(latency.std()),
    "p50": float(p50),
    "p90": float(p90),
    "p99": float(p99),
}
sys.stdout.buffer.write(orjson.dumps(answer))
