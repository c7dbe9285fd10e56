"""Statistics of request_latency with DuckDB, told which columns it needs: with_duckdb.py aiperf|flat FILE."""

import json
import sys

import duckdb

form, file = sys.argv[1:]
if form == "aiperf":
    columns = "{metrics: 'STRUCT(request_latency STRUCT(value DOUBLE))', error: 'JSON'}"
    latency, successful = "metrics.request_latency.value", "error IS NULL"
else:
    columns = "{latency_ms: 'DOUBLE', status: 'VARCHAR'}"
    latency, successful = "latency_ms", "status = 'success'"
query = f"""
    SELECT count(*), avg(latency), min(latency), max(latency), stddev_pop(latency),
        quantile_cont(latency, [0.5, 0.9, 0.99])
    FROM (
        SELECT {latency} AS latency
        FROM read_json(?, format = 'newline_delimited', columns = {columns})
        WHERE {successful}
    )
"""
count, avg, least, largest, std, (p50, p90, p99) = duckdb.execute(query, [file]).fetchone()
print(json.dumps(dict(count=count, avg=avg, min=least, max=largest, std=std, p50=p50, p90=p90, p99=p99)))
