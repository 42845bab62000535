"""tests/cluster/large_streams.py: results of any size that a query makes from nothing, and what they cost the cluster.
For test_large_streams.py and bench/stream.py. SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from cluster import Cluster, below
from processes import Process

COLUMNS = 8
ROW_BYTES = 8 * COLUMNS
SEED_ROWS = 100_000  # that each row of a seed becomes: a few MB
MB = 1_000_000


@dataclass(frozen=True)
class Made:
    query: pl.LazyFrame
    rows: int
    sum: int  # of the first column


def made(folder: Path, megabytes: int, parts: int) -> Made:
    """Each part is a task that reads a few numbers and writes its share of the bytes."""
    seeds = -(-megabytes * MB // (parts * SEED_ROWS * ROW_BYTES))  # rounded up
    paths = [folder / f"{part}.parquet" for part in range(parts)]
    for part, path in enumerate(paths):
        pl.select(seed=pl.int_range(part * seeds, (part + 1) * seeds)).write_parquet(path)
        path.chmod(0o644)
    many = pl.scan_parquet(paths).select(pl.col("seed").repeat_by(SEED_ROWS)).explode("seed")
    query = many.with_columns([(pl.col("seed") * k).alias(f"times_{k}") for k in range(2, COLUMNS + 1)])
    n = parts * seeds
    return Made(query, n * SEED_ROWS, n * (n - 1) // 2 * SEED_ROWS)


# In a process of its own: its memory is the client's alone.
READER = """
import sys
import polars as pl, polars_cloud as pc
context = pc.ClusterContext(uri=sys.argv[1])
query = pl.LazyFrame.deserialize(sys.argv[2])
rows = total = 0
for batch in query.remote(context).collect_batches(maintain_order=sys.argv[3] == "ordered"):
    rows += batch.height
    total += batch["seed"].sum()
status = open("/proc/self/status").read()
print(rows, total, status.split("VmHWM:")[1].split()[0])
"""


@dataclass
class Cost:
    seconds: float = 0.0
    rows: int = 0
    sum: int = 0
    client_bytes: int = 0
    disk_bytes: int = 0  # the most that lay on the workers' disks at once
    processes: dict[str, int] = field(default_factory=dict)  # the most memory of each, since it began


def read(cluster: Cluster, made: Made, folder: Path, *, ordered: bool = True) -> Cost:
    plan = folder / "plan"
    made.query.serialize(plan)
    uri, order = f"http://localhost:{cluster.ports.client}", "ordered" if ordered else "as they come"
    cost = Cost()
    begun = time.monotonic()
    with disk(cluster, cost):
        done = subprocess.run([sys.executable, "-c", READER, uri, str(plan), order], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cost.seconds = time.monotonic() - begun
    cost.rows, cost.sum, peak_kib = map(int, done.stdout.split())
    cost.client_bytes = peak_kib << 10
    cost.processes = {name: peak_bytes(process) for name, process in floe_processes(cluster).items()}
    return cost


def peak_bytes(process: Process) -> int:
    return int(process.status("VmHWM").split()[0]) << 10


def floe_processes(cluster: Cluster) -> dict[str, Process]:
    found = {"scheduler": cluster.scheduler()}
    for number in range(len(cluster.members())):
        found[f"worker {number}"] = cluster.worker(number)
        found |= {f"worker {number}, executor {i}": p for i, p in enumerate(cluster.executors(number))}
    return found


def disk_bytes(cluster: Cluster) -> int:
    total = 0
    for path in [*below(cluster.folder), *below(cluster.data)]:
        with suppress(FileNotFoundError):
            total += os.stat(path).st_blocks * 512 if path.endswith(".arrows") else 0
    return total


@contextmanager
def disk(cluster: Cluster, cost: Cost) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            cost.disk_bytes = max(cost.disk_bytes, disk_bytes(cluster))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
