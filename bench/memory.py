#!/usr/bin/env python3
"""bench/memory.py: memory of an idle cluster, process by process. SPDX-License-Identifier: Apache-2.0

usage: memory.py [--queries 200] → before the first query, and after some.
"""

from __future__ import annotations

import argparse

import polars as pl
from common import Process, UpCluster, running


def row(name: str, process: Process) -> None:
    rss, pss = process.memory_bytes("Rss") / 2**20, process.memory_bytes("Pss") / 2**20
    print(f"  {name:24} RSS {rss:7.1f} MiB   PSS {pss:7.1f} MiB   threads {process.status('Threads')}")


def table(cluster: UpCluster) -> None:
    row("scheduler", cluster.scheduler())
    for number in range(cluster.workers):
        row(f"worker {number}, main", cluster.worker(number))
        for executor in cluster.executors(number):
            row(f"worker {number}, executor", executor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    with running("memory") as cluster:
        print("idle, before the first query")
        table(cluster)
        context = cluster.context()
        for n in range(options.queries):
            pl.LazyFrame({"a": [n]}).select(pl.col("a") + 1).remote(context).execute().delete()
        print(f"idle, after {options.queries} queries")
        table(cluster)


if __name__ == "__main__":
    main()
