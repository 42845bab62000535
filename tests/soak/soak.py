#!/usr/bin/env python3
"""tests/soak/soak.py: thousands of queries in a row; nothing may grow. SPDX-License-Identifier: Apache-2.0

usage: soak.py [--queries 10000] [--clients 4] → exit status 1 when something grew or failed.

Every tenth query fails, every hundredth is cancelled, every thousandth kills its executor; all
results are deleted. Measured after a warm-up and at the end: memory, descriptors, threads and
children of every main process, memory of its largest executor, files in the result folder.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))

import polars as pl
import polars_cloud as pc
from cluster import UpCluster, files_below
from processes import Process

WARM_UP = 1500  # more than the scheduler remembers
MEMORY_GROWTH = 4 << 20  # bytes that allocators and caches of a main process may still take
EXECUTOR_GROWTH = 32 << 20  # the same for Python and Polars


@dataclass(frozen=True)
class Measure:
    memory_bytes: int
    descriptors: int
    threads: int
    children: int
    executor_bytes: int  # of the largest child


def measure(process: Process) -> Measure:
    return Measure(
        process.memory_bytes("Pss"),
        len(process.open_files()),
        int(process.status("Threads")),
        len(process.children()),
        max((child.memory_bytes("Pss") for child in process.children()), default=0),
    )


def abort(x: int) -> int:
    import os

    os.abort()


def one_query(context: pc.ClusterContext, n: int) -> None:
    frame = pl.LazyFrame({"a": [n], "b": [1]})
    if n % 1000 == 999:
        try:
            frame.select(pl.col("a").map_elements(abort, return_dtype=pl.Int64)).remote(context).execute()
        except Exception:
            return
        raise AssertionError("a query that kills its executor did not fail")
    if n % 100 == 50:
        submitted = frame.remote(context).execute(blocking=False)
        submitted.cancel()
        submitted.await_result()
        submitted.delete_result()
        return
    if n % 10 == 5:
        try:
            frame.select("missing").remote(context).execute()
        except pl.exceptions.ColumnNotFoundError:
            return
        raise AssertionError("a query with a missing column did not fail")
    result = frame.select(pl.col("a") + pl.col("b")).remote(context).execute()
    if result.head is None or result.head.item() != n + 1:
        raise AssertionError(f"query {n} answered {result.head}")
    result.delete()


def run(cluster: UpCluster, first: int, count: int, clients: int) -> None:
    def client(k: int) -> None:
        context = cluster.context()
        for n in range(first + k, first + count, clients):
            one_query(context, n)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))


def mains(cluster: UpCluster) -> dict[str, Process]:
    return {"scheduler": cluster.scheduler()} | {f"worker-{i}": cluster.worker(i) for i in range(cluster.workers)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()

    if os.geteuid():
        sys.exit("run the soak as root: Floe's main processes let nobody else look into them")
    cluster = UpCluster("soak")
    wrong: list[str] = []
    try:
        run(cluster, 0, WARM_UP, options.clients)
        processes = mains(cluster)
        before = {name: measure(process) for name, process in processes.items()}
        start = time.monotonic()
        run(cluster, WARM_UP, options.queries, options.clients)
        seconds = time.monotonic() - start
        print(f"{options.queries} queries in {seconds:.0f} s, {options.queries / seconds:.0f} in a second")
        time.sleep(2)  # executors that were killed are back
        for name, process in mains(cluster).items():
            if process != processes[name]:
                wrong.append(f"{name} is another process than before")
                continue
            now, then = measure(process), before[name]
            print(f"{name:10} before {then}\n{'':10} after  {now}")
            if now.memory_bytes > then.memory_bytes + MEMORY_GROWTH:
                wrong.append(f"{name} grew by {(now.memory_bytes - then.memory_bytes) >> 20} MiB")
            if now.executor_bytes > then.executor_bytes + EXECUTOR_GROWTH:
                wrong.append(f"an executor of {name} grew by {(now.executor_bytes - then.executor_bytes) >> 20} MiB")
            if now.descriptors > then.descriptors + 4:
                wrong.append(f"{name} has {now.descriptors - then.descriptors} more descriptors")
            if now.threads > then.threads:
                wrong.append(f"{name} has {now.threads - then.threads} more threads")
            if now.children > then.children:
                wrong.append(f"{name} has {now.children - then.children} more children")
        if left := files_below(cluster.results):
            wrong.append(f"{len(left)} entries left in the result folder, as {left[0]}")
    finally:
        wrong += cluster.stop()
    print("\n".join(wrong) or "nothing grew")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
