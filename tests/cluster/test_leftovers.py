"""tests/cluster/test_leftovers.py: whatever becomes of distributed queries, no file is left of them and no executor
is lost. SPDX-License-Identifier: Apache-2.0

Queries are cancelled, fail, and lose executors and workers at many moments. Each test says how many of its faults
hit a query that was under way.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
import pytest
from cluster import FORCED, SLOWNESS, ServiceCluster, below
from conftest import _stop_all
from processes import kill_all, wait_until

pytestmark = pytest.mark.seconds(240)

MOMENTS = 24


@pytest.fixture(scope="module")
def cluster() -> Iterator[ServiceCluster]:
    started = ServiceCluster("leftovers", scheduler_extra=FORCED)
    wait_until(lambda: len(started.members()) == 2, "both workers have joined", 60 * SLOWNESS)
    yield started
    _stop_all([started])


# --- queries ---------------------------------------------------------------------------------------


def work(pause_s: float, wrong: int = -1) -> Callable[[int], int]:
    def one(x: int) -> int:
        import time

        time.sleep(pause_s)
        if x == wrong:
            raise ValueError("no more")
        return x

    return one


def rows() -> pl.LazyFrame:
    return pl.LazyFrame({"k": [i % 7 for i in range(1000)], "v": range(1000)})


def deep(function: Callable[[int], int]) -> pl.LazyFrame:
    """Three exchanges; the function is called in the last stage."""
    joined = rows().join(pl.LazyFrame({"v": range(900), "w": range(900)}), on="v").group_by("k").agg(pl.col("w").sum())
    return joined.with_columns(pl.col("k").map_elements(function, return_dtype=pl.Int64))


def wide(function: Callable[[int], int]) -> pl.LazyFrame:
    """One stage, two parts of the result: the first is there long before the second."""
    slow = pl.when(pl.col("v") > 990).then(pl.col("v").map_elements(function, return_dtype=pl.Int64)).otherwise(pl.col("v"))
    return rows().filter((pl.col("v") < 500) | (pl.col("v") > 990)).with_columns(slow)


QUERIES = {"deep": (deep, 0.02), "wide": (wide, 0.03)}


def submit(cluster: ServiceCluster, query: pl.LazyFrame) -> Any:
    return query.remote(cluster.context()).distributed().execute(blocking=False)


def end_of(query: Any) -> pc.QueryStatus:
    """Waits; a result that there is after all is deleted as its reader would."""
    wait_until(lambda: query.get_status().is_done(), "the query is over", 60 * SLOWNESS)
    status: pc.QueryStatus = query.get_status()
    if status is pc.QueryStatus.SUCCESS:
        query.await_result().delete()
    return status


# --- what is left ----------------------------------------------------------------------------------


def left(cluster: ServiceCluster) -> list[str]:
    found = below(cluster.results)
    for number in (0, 1):
        found += [p for w in (cluster.folder / f"shuffle-{number}").glob("worker-*") for p in below(w) if "/.floe-" not in p]
    for scratch in cluster.temporary.glob("worker-*"):
        alive = {f"{scratch}/executor/{p.pid}" for number in (0, 1) for p in cluster.executors(number)}
        found += [p for p in below(scratch) if p not in alive | {f"{scratch}/executor", f"{scratch}/fetched"}]
    return found


def check_nothing_left(cluster: ServiceCluster) -> None:
    try:
        wait_until(lambda: not left(cluster), "nothing is left", 5 * SLOWNESS)
    except TimeoutError:
        pytest.fail(f"{len(left(cluster))} left: {left(cluster)[:5]}")


def check_all_work(cluster: ServiceCluster) -> None:
    """Each worker has its executor, and both can run the two halves of a query at once."""
    wait_until(lambda: all(cluster.executors(n) for n in (0, 1)), "all executors are there", 30 * SLOWNESS)
    answer = submit(cluster, wide(work(0))).await_result()
    assert sorted(answer.lazy().collect()["v"].to_list()) == [*range(500), *range(991, 1000)]
    answer.delete()


def duration(cluster: ServiceCluster, query: pl.LazyFrame) -> float:
    """The shortest of three, for others may use the machine as well."""
    times = []
    for _ in range(3):
        begun = time.monotonic()
        assert end_of(submit(cluster, query)) is pc.QueryStatus.SUCCESS
        times.append(time.monotonic() - begun)
    return min(times)


# --- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", QUERIES)
def test_cancelled_at_many_moments(shape: str, cluster: ServiceCluster) -> None:
    build, pause = QUERIES[shape]
    query = build(work(pause))
    lasts = duration(cluster, query)
    ends = []
    for moment in range(MOMENTS):
        running = submit(cluster, query)
        time.sleep(lasts * moment / MOMENTS)
        running.cancel()
        ends.append(end_of(running))
    assert ends.count(pc.QueryStatus.CANCELED) > MOMENTS // 4, ends
    check_nothing_left(cluster)
    check_all_work(cluster)


@pytest.mark.parametrize("shape", QUERIES)
def test_failed(shape: str, cluster: ServiceCluster) -> None:
    """The first part of `wide` is finished when the query fails."""
    build, pause = QUERIES[shape]
    for wrong in (0, 3, 6) if shape == "deep" else (991, 995, 999):
        running = submit(cluster, build(work(pause, wrong)))
        assert end_of(running) is pc.QueryStatus.FAILED
    check_nothing_left(cluster)
    check_all_work(cluster)


def test_a_finished_part_of_a_failed_query_was_there(cluster: ServiceCluster) -> None:
    """The test itself: there is something that must be deleted."""
    running = submit(cluster, wide(work(0.2, 999)))
    wait_until(lambda: list(cluster.results.rglob("part-00000.parquet")), "the first part is finished", 20 * SLOWNESS)
    assert end_of(running) is pc.QueryStatus.FAILED
    check_nothing_left(cluster)


def test_executors_die_at_many_moments(cluster: ServiceCluster) -> None:
    """Some queries are run again, some are given up: two losses are too many."""
    query = deep(work(0.02))
    lasts = duration(cluster, query)
    pick, ends, killed = random.Random(1), [], 0
    for moment in range(MOMENTS // 2):
        running = submit(cluster, query)
        time.sleep(lasts * moment / (MOMENTS // 2))
        for victim in cluster.executors(pick.randrange(2)):
            killed += not running.get_status().is_done()
            victim.kill()
        ends.append(end_of(running))
    assert killed > MOMENTS // 4
    assert pc.QueryStatus.SUCCESS in ends and pc.QueryStatus.CANCELED not in ends
    check_nothing_left(cluster)
    check_all_work(cluster)


def test_temporary_files_of_an_executor_go_with_it(cluster: ServiceCluster) -> None:
    def fill(x: int) -> int:
        import os
        import tempfile
        import time

        with open(os.path.join(tempfile.mkdtemp(), "spilled"), "wb") as file:
            file.write(b"x" * 1000)
        time.sleep(60)
        return x

    def files() -> list[Path]:
        return list(cluster.temporary.rglob("spilled"))

    running = submit(cluster, pl.LazyFrame({"k": [1]}).select(pl.col("k").map_elements(fill, return_dtype=pl.Int64)))
    wait_until(files, "the file is there", 30 * SLOWNESS)
    (first,) = files()
    kill_all(cluster.executors(0) + cluster.executors(1))
    wait_until(lambda: not first.exists(), "the file is gone", 5 * SLOWNESS)
    running.cancel()
    assert end_of(running) is pc.QueryStatus.CANCELED
    kill_all(cluster.executors(0) + cluster.executors(1))  # the second attempt's may live on, with its files
    check_nothing_left(cluster)
    check_all_work(cluster)


def test_workers_die_at_many_moments(cluster: ServiceCluster) -> None:
    query = deep(work(0.02))
    lasts = duration(cluster, query)
    ends, hit = [], 0
    for moment in range(6):
        running = submit(cluster, query)
        time.sleep(lasts * moment / 6)
        victim = moment % 2
        hit += not running.get_status().is_done()
        cluster.stop_program(f"worker-{victim}", signal.SIGKILL)
        if moment % 3 == 2:
            running.cancel()
        ends.append(end_of(running))
        cluster.start_worker(victim)
        wait_until(lambda: len(cluster.members()) == 2, "it is back", 60 * SLOWNESS)
    assert hit >= 3
    check_nothing_left(cluster)
    check_all_work(cluster)


def test_a_worker_that_hangs_while_its_query_ends(cluster: ServiceCluster) -> None:
    """It is told of nothing: neither that its task shall stop, nor that its files may go."""

    def written(number: int) -> list[str]:
        return [p for p in below(cluster.folder / f"shuffle-{number}") if p.endswith(".ipc")]

    running = submit(cluster, deep(work(0.5)))
    wait_until(lambda: written(0) or written(1), "a worker has written", 30 * SLOWNESS)
    number = 0 if written(0) else 1
    worker = cluster.worker(number)
    worker.kill(signal.SIGSTOP)
    try:
        running.cancel()
        assert end_of(running) is pc.QueryStatus.CANCELED
        time.sleep(11)  # DropShuffle has given up
        assert written(number), "the test itself: nothing was left"
    finally:
        worker.kill(signal.SIGCONT)
    check_nothing_left(cluster)
    check_all_work(cluster)
