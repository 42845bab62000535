"""tests/cluster/test_streaming.py: a streamed result's life: order, errors, readers that stop or leave,
time to live, quota, lost workers. SPDX-License-Identifier: Apache-2.0

That the rows are right is the matter of test_collect.py.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import polars as pl
import polars_cloud as pc
import pytest
from cluster import SLOWNESS, Cluster, ServiceCluster, files_below
from conftest import Remote
from polars.testing import assert_frame_equal
from processes import Process, wait_until
from wire import Caller, block, caller, plan_of, query_ref, read_fields, CLIENT

Start = Callable[..., ServiceCluster]
Connect = Callable[[Cluster], Remote]

FLIGHT = "/arrow.flight.protocol.FlightService/"
LEFT_S = 10  # after which a client that has left is given up

pytestmark = pytest.mark.seconds(30)


def settings(n_parts: int, **streaming: str) -> str:
    """Every query runs in so many tasks."""
    planner = f"small_rows = 0\nreplicate_rows = 0\nbroadcast_rows = 0\ntask_bytes = 1\npartitions = {n_parts}\n"
    values = "\n".join(f'{name} = "{value}"' for name, value in streaming.items())
    return f"[scheduler.planner]\n{planner}[scheduler.streaming]\n{values}\n"


def parts(cluster: Cluster) -> list[Path]:
    """The files of results that workers have for clients."""
    return [p for folder in cluster.folder.glob("shuffle-*/worker-*") for p in files_below(folder) if p.name == "rows.arrows"]


def write_parts(folder: Path, n: int, rows: int = 100) -> list[Path]:
    """Files of which each becomes a task, and a part of the result."""
    paths = [folder / f"{i}.parquet" for i in range(n)]
    for i, path in enumerate(paths):
        pl.DataFrame({"part": [i] * rows, "row": range(rows)}).write_parquet(path)
        path.chmod(0o644)
    return paths


def gated(paths: list[Path], folder: Path) -> pl.LazyFrame:
    """Each part notes that it has begun and waits for its gate, a file of its number."""
    where = str(folder)

    def wait(part: int) -> int:
        import os
        import time

        with open(f"{where}/begun-{part}", "a"):
            pass
        while not os.path.exists(f"{where}/gate-{part}"):
            time.sleep(0.01)
        return part

    return pl.scan_parquet(paths).with_columns(pl.col("part").map_elements(wait, return_dtype=pl.Int64))


def open_gates(folder: Path, *numbers: int) -> None:
    for number in numbers:
        (folder / f"gate-{number}").touch()


def begun(folder: Path) -> set[int]:
    return {int(p.name.partition("-")[2]) for p in folder.glob("begun-*")}


def status(cluster: Cluster) -> str:
    """Of the newest query."""
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.ports.observatory}/api/v1/queries") as answer:
        return str(json.load(answer)["queries"][0]["status"])


def heights(batches: Iterator[pl.DataFrame]) -> int:
    return sum(batch.height for batch in batches)


# ---- parts ----


def test_parts_are_read_while_others_are_computed(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2))
    query = gated(write_parts(folder, 2), folder)
    open_gates(folder, 1)
    batches = remote_to(cluster).prepare(query).collect_batches(maintain_order=False)
    first = next(batches)
    assert first["part"].unique().to_list() == [1]
    assert begun(folder) == {0, 1}
    open_gates(folder, 0)
    assert first.height + heights(batches) == 200
    wait_until(lambda: not parts(cluster), "what was read is deleted", 10)


def test_parts_come_in_order(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(6), workers=3)
    query = gated(write_parts(folder, 6), folder)
    opener = threading.Thread(target=open_one_by_one, args=(folder, [2, 1, 0, 5, 4, 3]))
    opener.start()
    rows = remote_to(cluster).prepare(query).collect()
    opener.join()
    assert_frame_equal(rows, query.collect())


def open_one_by_one(folder: Path, order: list[int]) -> None:
    for number in order:
        wait_until(lambda number=number: number in begun(folder), f"part {number} has begun")  # type: ignore[misc]
        open_gates(folder, number)


# ---- errors ----


def failing(paths: list[Path], folder: Path, part: int) -> pl.LazyFrame:
    def fail(value: int) -> int:
        if value == part:
            raise ZeroDivisionError(f"part {value} is wrong")
        return value

    return gated(paths, folder).with_columns(pl.col("part").map_elements(fail, return_dtype=pl.Int64))


@pytest.mark.parametrize("mode", ["distributed", "single_node"])
def test_a_late_failure_raises_its_own_exception(mode: str, services: Start, remote_to: Connect, folder: Path) -> None:
    """Other parts are there already."""
    cluster = services(scheduler_extra=settings(3))
    query = failing(write_parts(folder, 3), folder, 2)
    opener = threading.Thread(target=open_one_by_one, args=(folder, [0, 1, 2]))
    opener.start()
    with pytest.raises(ZeroDivisionError, match="part 2 is wrong"):
        remote_to(cluster).prepare(query, mode).collect()
    opener.join()
    wait_until(lambda: not parts(cluster), "nothing is left", 10)


def test_a_failure_while_it_is_read(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2))
    query = failing(write_parts(folder, 2), folder, 1)
    open_gates(folder, 0)
    batches = remote_to(cluster).prepare(query).collect_batches(maintain_order=False)
    assert next(batches).height
    open_gates(folder, 1)
    with pytest.raises(pl.exceptions.ComputeError, match="ZeroDivisionError: part 1 is wrong"):
        heights(batches)
    wait_until(lambda: not parts(cluster), "nothing is left", 10)


def test_a_row_that_is_too_large(services: Start, remote_to: Connect) -> None:
    remote = remote_to(services())
    query = pl.LazyFrame({"s": ["x" * 5_000_000]})
    with pytest.raises(ValueError, match=r"a row .* 5000\d\d\d bytes.*execute\(\)"):
        remote.prepare(query).collect()
    assert remote.collect(query).equals(query.collect())


def test_explain_is_refused(services: Start, remote_to: Connect) -> None:
    with pytest.raises(NotImplementedError, match="cannot explain"):
        remote_to(services()).prepare(pl.LazyFrame({"a": [1]})).explain()


# ---- readers ----


def test_a_reader_that_leaves(services: Start, remote_to: Connect, folder: Path) -> None:
    """Its query is cancelled, its rows are deleted."""
    cluster = services(scheduler_extra=settings(2))
    query = gated(write_parts(folder, 2, rows=200_000), folder)
    open_gates(folder, 0)
    batches = remote_to(cluster).prepare(query).collect_batches(maintain_order=False)
    next(batches)
    del batches
    gc.collect()
    wait_until(lambda: not parts(cluster), "its rows are deleted", LEFT_S + 10)
    wait_until(lambda: status(cluster) == "Canceled", "its query is cancelled", 5)
    assert cluster.answers()


def test_interrupting_collect_cancels_the_query(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=settings(2))
    query = gated(write_parts(folder, 2), folder)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        remote_to(cluster).prepare(query).collect()
    wait_until(lambda: status(cluster) == "Canceled", "its query is cancelled", LEFT_S + 10)
    assert cluster.answers()
