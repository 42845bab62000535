#!/usr/bin/env python3
"""bench/latency.py: what a trivial query costs remotely, beside the same query locally.
SPDX-License-Identifier: Apache-2.0

usage: latency.py [--runs 500] [--no-storage]

`execute` is until the client has its QueryResult (rows counted, head there); `read` is reading
the result file as well. Deleting is not counted. Medians; 95th percentiles in brackets.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import polars as pl
from common import running

QUERY = pl.LazyFrame({"a": [1, 2, 3]}).select(pl.col("a").sum())


def milliseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def show(name: str, times: list[float], local: float) -> None:
    median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(f"{name:30} {median:8.2f} ms ({p95:.2f})   +{median - local:.2f} ms   ×{median / local:.1f}")


def remote(name: str, runs: int, local: float, storage: bool) -> None:
    with running("latency", storage) as cluster:
        context = cluster.context()
        executes, reads = [], []
        for n in range(runs + 20):
            start = time.perf_counter()
            result = QUERY.remote(context).execute()
            executed = time.perf_counter()
            assert result.lazy().collect().item() == 6
            read = time.perf_counter()
            result.delete()
            if n >= 20:  # connections and executors are warm
                executes.append((executed - start) * 1000)
                reads.append((read - start) * 1000)
        show(f"{name}, execute", executes, local)
        show(f"{name}, execute and read", reads, local)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--no-storage", action="store_true", help="only with results in a local folder")
    options = parser.parse_args()

    locally = [milliseconds(QUERY.collect) for _ in range(options.runs + 20)][20:]
    local = statistics.median(locally)
    print(f"{options.runs} runs each: median (95th percentile), difference and ratio to local")
    show("local collect", locally, local)
    remote("results in a folder", options.runs, local, storage=False)
    if not options.no_storage:
        remote("results in SeaweedFS", options.runs, local, storage=True)


if __name__ == "__main__":
    main()
