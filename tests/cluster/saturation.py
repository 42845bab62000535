"""tests/cluster/saturation.py: a cluster that has as much to do as its ports and cores take, and what calls take
meanwhile. For test_saturation.py and bench/load.py. SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from cluster import SLOWNESS, ServiceCluster
from flood import flood
from processes import wait_until
from prober import Prober, Times, set_priority
from wire import CLIENT, HEALTH, block, plan_of, query_ref

EVERY_S = 0.005  # between two calls of one kind
URGENT = -10


@dataclass(frozen=True)
class Load:
    rows: int = 4_000_000  # that go through the exchange: 16 bytes each
    fetches: int = 50
    statuses: int = 8
    submits: int = 4
    plan_bytes: int = 16 << 20


def busy_query(folder: Path, rows: int) -> pl.LazyFrame:
    """Writes its rows between stages; then computes on both workers until folder/stop exists."""
    top, stop, source = str(folder), str(folder / "stop"), folder / "rows.parquet"
    pl.select(k=pl.int_range(rows), v=pl.int_range(rows)).write_parquet(source)

    def spin(x: int) -> int:
        import os

        open(f"{top}/spins-{os.getpid()}", "w").close()
        while not os.path.exists(stop):
            sum(range(50_000))
        return x

    other = pl.LazyFrame({"k": range(100), "w": range(100)})
    joined = pl.scan_parquet(source).join(other, on="k", how="left").filter(pl.col("v") + pl.col("w").fill_null(0) < 100)
    return joined.with_columns(pl.col("w").map_elements(spin, return_dtype=pl.Int64))


def largest_file(cluster: ServiceCluster) -> tuple[int, str]:
    """Of what tasks wrote for others: the number of its worker, and how that one's 5053 names it."""
    found = max(cluster.folder.glob("shuffle-*/worker-*/*/**/*.ipc"), key=lambda path: path.stat().st_size)
    top = next(p for p in found.parents if p.name.startswith("worker-"))
    return int(top.parent.name.removeprefix("shuffle-")), f"/shuffle/{found.relative_to(top)}"


@contextmanager
def busy(cluster: ServiceCluster, folder: Path, load: Load) -> Iterator[str]:
    """The query runs; yields its id."""
    query: Any = busy_query(folder, load.rows).remote(cluster.context()).distributed().execute(blocking=False)
    try:
        wait_until(lambda: len(list(folder.glob("spins-*"))) == 2, "both workers compute", 60 * SLOWNESS)
        yield str(query._query_id)
    finally:
        (folder / "stop").touch()
        query.await_result().delete()


@contextmanager
def floods(cluster: ServiceCluster, folder: Path, load: Load, query: str) -> Iterator[dict[str, tuple[int, int]]]:
    """All ports at once. What it yields is filled when they end, as flood.py prints it."""
    done: dict[str, tuple[int, int]] = {}
    plan = folder / "plan"
    literal = pl.DataFrame({"x": pl.int_range(load.plan_bytes // 8, eager=True)})
    plan.write_bytes(plan_of(literal.lazy()))
    worker, path = largest_file(cluster)
    with ExitStack() as stack:
        ends = {
            "fetch": flood("fetch", cluster.ports.shuffle(worker), load.fetches, path, cluster.TOKEN),
            "status": flood("status", cluster.ports.client, load.statuses, query),
            "submit": flood("submit", cluster.ports.client, load.submits, str(plan)),
        }
        running = {kind: stack.enter_context(one) for kind, one in ends.items()}
        yield done
        done |= {kind: end() for kind, end in running.items()}


def measure(cluster: ServiceCluster, query: str, seconds: float) -> dict[str, Times]:
    """Each kind of call on a connection and a thread of its own, one call after the other."""
    kinds = {
        "heartbeat, 5050": (cluster.ports.membership, "/cluster.Membership/Heartbeat", block(1, "nobody")),
        "status, 5051": (cluster.ports.client, CLIENT + "GetQueryStatus", query_ref(query)),
        "health, 5051": (cluster.ports.client, HEALTH, b""),
        "health, 5052": (cluster.ports.task(largest_file(cluster)[0]), HEALTH, b""),
    }
    times = {kind: Times() for kind in kinds}
    end = time.monotonic() + seconds

    def call(kind: str) -> None:
        port, path, message = kinds[kind]
        set_priority(URGENT)  # a client elsewhere would not wait for our cores
        prober = Prober(port, cluster.TOKEN)
        while time.monotonic() < end:
            times[kind].take(prober, path, message)
            time.sleep(EVERY_S)
        prober.close()

    threads = [threading.Thread(target=call, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times
