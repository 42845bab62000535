"""tests/cluster/test_cancels.py: ten kinds of queries are cancelled at random moments: all work ends at once, no file
is left, no executor is lost. SPDX-License-Identifier: Apache-2.0

Ten moments here, fifty in `make faults`. FLOE_CANCEL_SEED repeats a run; the seed is printed, and in which phases the
cancels fell.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import pytest
from cluster import FORCED, SLOWNESS, ServiceCluster, below, open_folder
from conftest import until_stopped
from processes import wait_until
from test_handles import seen
from test_leftovers import check_all_work, deep, left, rows, wide, work
from test_streaming import Reader, connected, parts
from wire import CLIENT, query_ref

SEED = int(os.environ.get("FLOE_CANCEL_SEED", time.time_ns() % 1_000_000))
SPANS_S = ((0.0, 0.05), (0.05, 0.2), (0.2, 0.4), (0.4, 0.7), (0.7, 1.2))  # after it was submitted; planning is short
PAUSE_S = 0.02


def most_s() -> float:
    """A second, for all work to end; more where others have the cores."""
    return SLOWNESS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.fixture(scope="module")
def cluster() -> Iterator[ServiceCluster]:
    started = ServiceCluster("cancels", scheduler_extra=FORCED)
    wait_until(lambda: len(started.members()) == 2, "both workers have joined", 60 * SLOWNESS)
    yield from until_stopped(started)


# ---- ten queries ----


@dataclass
class World:
    cluster: ServiceCluster
    channel: grpc.Channel
    context: Any
    target: Path  # of sinks


def slow(column: str = "v") -> pl.Expr:
    return pl.col(column).map_elements(work(PAUSE_S), return_dtype=pl.Int64)


def some_rows() -> pl.LazyFrame:
    return rows().head(100).with_columns(slow())


def native() -> pl.LazyFrame:
    """Seconds in which no Python runs."""
    numbers = pl.LazyFrame({"n": range(400)})
    return numbers.join(numbers, how="cross").join(numbers, how="cross", suffix="_").select(pl.all().hash().sort().sum())


def sorted_rows() -> pl.LazyFrame:
    return rows().sort("v", descending=True).filter(pl.col("v") % 10 == 0).with_columns(slow("k"))


def many_rows() -> pl.LazyFrame:
    """The first part is there soon, the second is not."""
    late = pl.col("v") > 399_980
    last = pl.col("v").map_elements(work(4 * PAUSE_S), return_dtype=pl.Int64)
    return pl.LazyFrame({"v": range(400_000)}).with_columns(pl.when(late).then(last).otherwise(pl.col("v")))


def batch_function() -> Callable[[pl.DataFrame], None]:
    """Of no module that executors could not import."""

    def slow_batch(batch: pl.DataFrame) -> None:
        import time

        time.sleep(PAUSE_S)

    return slow_batch


def execute(remote: Callable[[Any], Any]) -> Callable[[World, pl.LazyFrame], str]:
    def start(w: World, query: pl.LazyFrame) -> str:
        return str(remote(query.remote(w.context)).execute(blocking=False)._query_id)

    return start


def single(remote: Any) -> Any:
    return remote.single_node()


def distributed(remote: Any) -> Any:
    return remote.distributed()


def stream(w: World, query: pl.LazyFrame) -> str:
    """Somebody reads it."""
    reader = Reader(w.channel, query)

    def read() -> None:
        try:
            for part in range(reader.poll_all()):
                for _ in reader.get(part):
                    time.sleep(0.01)
        except grpc.RpcError:
            return  # it was cancelled

    threading.Thread(target=read, daemon=True).start()
    return reader.id


def sink(remote: Callable[[Any], Any], where: Callable[[Path], Any]) -> Callable[[World, pl.LazyFrame], str]:
    def start(w: World, query: pl.LazyFrame) -> str:
        return str(remote(query.remote(w.context)).sink_parquet(where(w.target))._query_id)

    return start


def batches(w: World, query: pl.LazyFrame) -> str:
    return str(query.remote(w.context).sink_batches(batch_function(), chunk_size=2)._query_id)


def by_key(target: Path) -> Any:
    return pl.PartitionBy(str(target / "by-key/"), key="k")


QUERIES: dict[str, tuple[pl.LazyFrame, Callable[[World, pl.LazyFrame], str]]] = {
    "a function, on one node": (some_rows(), execute(single)),
    "no function, on one node": (native(), execute(single)),
    "three exchanges": (deep(work(4 * PAUSE_S)), execute(distributed)),
    "parts of a result": (wide(work(4 * PAUSE_S)), execute(distributed)),
    "a sort": (sorted_rows(), execute(distributed)),
    "streamed": (wide(work(4 * PAUSE_S)), stream),
    "streamed, many rows": (many_rows(), stream),
    "a sink, one file": (some_rows(), sink(single, lambda target: str(target / "out.parquet"))),
    "a sink, by key": (some_rows(), sink(distributed, by_key)),
    "a sink of batches": (rows().head(200), batches),
}

# ---- what is seen ----


def phase(w: World, query: str) -> str:
    it = seen(w.cluster, f"query/{query}")
    if it["status"] in ("Success", "Failed", "Canceled"):
        return "ended"
    if parts(w.cluster):
        return "streaming"
    if it["finished_stages"]:
        return "shuffling"
    if it["query_type"] == "Distributed" and not it["query_plan_timing"]:
        return "planning"
    return "running" if it["status"] == "InProgress" else "queued"


def busy(cluster: ServiceCluster) -> list[str]:
    """Workers with a slot that is taken."""
    return [worker["instance_id"] for worker in seen(cluster, "cluster")["workers"] if worker["busy"]]


def remains(w: World) -> list[str]:
    """What still works, and files."""
    return busy(w.cluster) + left(w.cluster) + below(w.target)


def unary(w: World, method: str, query: str) -> None:
    w.channel.unary_unary(CLIENT + method, bytes, bytes)(query_ref(query), timeout=20)


def forget(w: World, query: str) -> None:
    with suppress(grpc.RpcError):  # of a sink there is no result
        unary(w, "DeleteQueryResult", query)
    for path in sorted(below(w.target), reverse=True):
        os.rmdir(path) if os.path.isdir(path) else os.unlink(path)


def cancel(w: World, name: str, after_s: float) -> tuple[str, float]:
    """In which phase, and how long until all had ended."""
    query, start = QUERIES[name]
    it = start(w, query)
    time.sleep(after_s)
    was = phase(w, it)
    begun = time.monotonic()
    unary(w, "CancelQuery", it)
    status = seen(w.cluster, f"query/{it}")["status"]
    if status == "Canceled":
        try:
            wait_until(lambda: not remains(w), "nothing remains", most_s())
        except TimeoutError:
            pytest.fail(f"{name}, cancelled after {after_s:.3f} s ({was}): {remains(w)[:5]}; FLOE_CANCEL_SEED={SEED}")
    took = time.monotonic() - begun
    forget(w, it)
    return was if status == "Canceled" else "ended", took


def cancel_at(w: World, moments: int, note: Callable[[str, object], None]) -> Counter[str]:
    pick = random.Random(SEED)
    print(f"FLOE_CANCEL_SEED={SEED}")
    phases: Counter[str] = Counter()
    times = []
    for number in range(moments):
        name = [*QUERIES][number % len(QUERIES)]
        span = SPANS_S[(number + number // len(QUERIES)) % len(SPANS_S)]
        was, took = cancel(w, name, pick.uniform(*span))
        phases[was] += 1
        times += [took] if was != "ended" else []
    check_all_work(w.cluster)
    note("summary", f"cancelled: seed {SEED}, {dict(phases)}, all had ended after {sorted(times)[len(times) // 2]:.2f} s, at most {max(times):.2f} s")
    return phases


@pytest.fixture
def world(cluster: ServiceCluster, folder: Path) -> Iterator[World]:
    with connected(cluster) as channel:
        yield World(cluster, channel, cluster.context(), open_folder(folder / "target", 0o777))


def test_cancelled_at_ten_moments(world: World, record_property: Callable[[str, object], None]) -> None:
    phases = cancel_at(world, 10, record_property)
    assert len(phases.keys() - {"ended"}) >= 2 and phases["ended"] < 5, phases


@pytest.mark.faults
@pytest.mark.seconds(600)
def test_cancelled_at_fifty_moments(world: World, record_property: Callable[[str, object], None]) -> None:
    phases = cancel_at(world, 50, record_property)
    assert {"planning", "running", "shuffling", "streaming"} <= phases.keys(), phases
    assert phases["ended"] < 15, phases
