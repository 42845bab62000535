"""tests/cluster/test_faults.py: workers, executors and the scheduler die, hang and come back.
SPDX-License-Identifier: Apache-2.0

Each test proves that its fault fired: the query's runs are counted in a file by the UDF itself.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
import pytest
from cluster import SLOWNESS, Cluster, ServiceCluster, UpCluster, accepts, files_below, open_folder
from conftest import Remote
from processes import Process, kill_all, wait_until

Start = Callable[..., ServiceCluster]
Connect = Callable[[Cluster], Remote]

pytestmark = pytest.mark.seconds(90)


def slow_query(folder: Path, first_run_s: float = 60.0) -> pl.LazyFrame:
    """Each run notes the pid of its executor. The first takes long, later ones do not. It is 42."""
    runs = str(folder / "runs")

    def work(x: int) -> int:
        import os
        import time

        with open(runs, "a+") as file:
            first = file.tell() == 0
            file.write(f"{os.getpid()}\n")
        if first:
            time.sleep(first_run_s)
        return x

    return pl.LazyFrame({"a": [42]}).select(pl.col("a").map_elements(work, return_dtype=pl.Int64))


def executors_of(folder: Path) -> list[int]:
    path = folder / "runs"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def wait_for_run(folder: Path, count: int = 1) -> int:
    wait_until(lambda: len(executors_of(folder)) >= count, f"run {count} has started", 40 * SLOWNESS)
    return executors_of(folder)[count - 1]


def worker_of(cluster: ServiceCluster, executor: int) -> int:
    for number in range(2):
        if f"worker-{number}" in cluster.running and any(
            p.pid == executor for p in cluster.worker(number).descendants()
        ):
            return number
    raise AssertionError(f"process {executor} belongs to no worker")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda s: s.name)
def test_worker_dies_in_mid_query(how: signal.Signals, services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services()
    query = remote_to(cluster).submit(slow_query(folder))
    executor = wait_for_run(folder)
    process = Process.of(executor)
    victim = worker_of(cluster, executor)
    cluster.stop_program(f"worker-{victim}", how)
    assert process and not process.alive(), "an executor outlived its worker"
    assert query.await_result().lazy().collect().item() == 42
    assert len(executors_of(folder)) == 2
    cluster.start_worker(victim)  # removes what its dead predecessor left
    assert cluster.answers()


def test_executor_dies_in_mid_query(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services()
    query = remote_to(cluster).submit(slow_query(folder))
    victim = Process.of(wait_for_run(folder))
    assert victim
    victim.kill()
    assert query.await_result().lazy().collect().item() == 42
    assert len(executors_of(folder)) == 2


def test_idle_executors_die(services: Start, remote_to: Connect) -> None:
    cluster = services()
    assert cluster.answers()
    victims = [p for number in range(2) for p in cluster.executors(number)]
    assert victims
    for victim in victims:
        victim.kill()
    assert all(cluster.answers() for _ in range(4))


def test_worker_hangs_in_mid_query(services: Start, remote_to: Connect, folder: Path) -> None:
    """SIGSTOP: connections stay open and nothing answers. After its lease the query goes elsewhere."""
    cluster = services()
    query = remote_to(cluster).submit(slow_query(folder))
    hanging = cluster.worker(worker_of(cluster, wait_for_run(folder)))
    hanging.kill(signal.SIGSTOP)
    try:
        assert query.await_result().lazy().collect().item() == 42
        assert len(executors_of(folder)) == 2
    finally:
        hanging.kill(signal.SIGCONT)
    assert cluster.answers()


def test_no_worker_then_one_comes(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(workers=0)
    query = remote_to(cluster).submit(slow_query(folder, 0))
    time.sleep(0.5)
    assert query.get_status() is pc.QueryStatus.SCHEDULED
    cluster.start_worker(0)
    assert query.await_result().lazy().collect().item() == 42


def test_both_workers_die_and_one_returns(services: Start, remote_to: Connect, folder: Path) -> None:
    """At once, the idle one first: the call to it, dead already, is no second loss."""
    cluster = services()
    wait_until(lambda: len(cluster.members()) == 2, "both workers have joined", 20 * SLOWNESS)
    query = remote_to(cluster).submit(slow_query(folder))
    busy = worker_of(cluster, wait_for_run(folder))
    kill_all([cluster.worker(1 - busy), cluster.worker(busy)])
    for number in (0, 1):
        cluster.stop_program(f"worker-{number}", signal.SIGKILL)
    time.sleep(1)
    assert query.get_status() in (pc.QueryStatus.SCHEDULED, pc.QueryStatus.INPROGRESS)
    cluster.start_worker(busy)
    assert query.await_result().lazy().collect().item() == 42
    assert len(executors_of(folder)) == 2


def test_losses_are_bounded(services: Start, remote_to: Connect, folder: Path) -> None:
    """A query that kills whatever runs it is given up, with a reason, and the workers live on."""
    cluster = services()
    runs = str(folder / "runs")

    def die(x: int) -> int:
        import os

        with open(runs, "a") as file:
            file.write(f"{os.getpid()}\n")
        os.abort()

    query = pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(die, return_dtype=pl.Int64))
    with pytest.raises(Exception, match="executor"):
        remote_to(cluster).execute(query)
    assert 2 <= len(executors_of(folder)) <= 5
    assert cluster.answers()


def test_scheduler_ends_during_a_long_poll(services: Start, remote_to: Connect, folder: Path) -> None:
    """The client sees UNAVAILABLE, asks again until its timeout, or is told that the query is lost."""
    cluster = services()
    query = remote_to(cluster).submit(slow_query(folder))
    wait_for_run(folder)
    outcome: list[BaseException | pc.QueryResult] = []

    def wait() -> None:
        try:
            outcome.append(query.await_result())
        except BaseException as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    cluster.stop_program("scheduler")
    cluster.start_scheduler()
    waiting.join(30 * SLOWNESS)
    assert not waiting.is_alive(), "the client waits for a query that nobody knows"
    assert isinstance(outcome[0], (RuntimeError, TimeoutError)), outcome[0]
    wait_until(cluster.answers, "the new scheduler answers", 20 * SLOWNESS)


def test_scheduler_killed_and_restarted(services: Start, folder: Path) -> None:
    """Workers join the new scheduler by themselves; the query that ran is stopped."""
    cluster = services()
    assert cluster.answers()
    cluster.stop_program("scheduler", signal.SIGKILL)
    cluster.start_scheduler()
    wait_until(cluster.answers, "the workers have joined again", 20 * SLOWNESS)


def test_worker_starts_before_the_scheduler(services: Start) -> None:
    cluster = services(workers=0)
    cluster.stop_program("scheduler")
    cluster.start_worker(0)
    time.sleep(1)
    cluster.start_scheduler()
    wait_until(cluster.answers, "the worker has found the scheduler", 20 * SLOWNESS)


def test_worker_restarts_between_queries(services: Start) -> None:
    cluster = services(workers=1)
    for _ in range(3):
        assert cluster.answers()
        cluster.stop_program("worker-0")
        cluster.start_worker(0)
    assert cluster.answers()


ROWS = 200_000


def slow_rows(folder: Path, first_run_s: float = 60.0) -> pl.LazyFrame:
    """As slow_query, but it waits where most rows are with the sink."""
    runs = str(folder / "runs")

    def work(x: int) -> int:
        import os
        import time

        if x == ROWS - 1:
            with open(runs, "a+") as file:
                first = file.tell() == 0
                file.write(f"{os.getpid()}\n")
            if first:
                time.sleep(first_run_s)
        return x % 3

    rows = pl.LazyFrame({"a": range(ROWS)}, schema={"a": pl.Int64})
    return rows.with_columns(k=pl.col("a").map_elements(work, return_dtype=pl.Int64))


def sink_rows(query: Any, target: Path) -> Any:
    parts = pl.PartitionBy(str(target), key="k", max_rows_per_file=10_000)
    return query.sink_parquet(parts if target.name == "many" else str(target))


def written(target: Path) -> dict[Path, tuple[int, bytes]]:
    files = [target] if target.is_file() else [file for file in files_below(target) if file.is_file()]
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def check_rows(target: Path) -> None:
    """All of them, once, and nothing beside them."""
    read = pl.read_parquet(target if target.is_file() else target / "**/*.parquet")
    assert sorted(read["a"].to_list()) == list(range(ROWS))
    assert not staged(target.parent)


def staged(folder: Path) -> list[Path]:
    return list(folder.rglob(".floe-*"))


BOTH_SINKS = pytest.mark.parametrize("name", ["one", "many"])


@BOTH_SINKS
def test_worker_dies_in_mid_sink(name: str, services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services()
    target = open_folder(folder / "out", 0o777) / name
    query = sink_rows(remote_to(cluster).prepare(slow_rows(folder), "single_node"), target)
    executor = wait_for_run(folder)
    wait_until(lambda: staged(target.parent), "it is in mid-sink")
    assert not target.exists()
    cluster.stop_program(f"worker-{worker_of(cluster, executor)}", signal.SIGKILL)
    query.await_result()
    assert len(executors_of(folder)) == 2
    check_rows(target)


@pytest.mark.seconds(150)
@BOTH_SINKS
def test_worker_is_cut_off_in_mid_sink(name: str, services: Start, remote_to: Connect, folder: Path) -> None:
    """It comes back when its task was done elsewhere and the destination was written anew: it goes on
    writing, and that changes nothing."""
    cluster = services()
    remote = remote_to(cluster)
    target = open_folder(folder / "out", 0o777) / name
    query = sink_rows(remote.prepare(slow_rows(folder, 5.0), "single_node"), target)
    executor = wait_for_run(folder)
    wait_until(lambda: staged(target.parent), "it is in mid-sink")
    worker = cluster.worker(worker_of(cluster, executor))
    frozen = [worker, *worker.descendants()]
    for process in frozen:
        process.kill(signal.SIGSTOP)
    try:
        query.await_result()
        assert len(executors_of(folder)) == 2
        check_rows(target)
        fewer = pl.LazyFrame({"a": range(9)}).with_columns(k=pl.col("a") % 3)
        sink_rows(remote.prepare(fewer, "single_node"), target).await_result()
        before = written(target)
        assert all(p.status("State").startswith("T") for p in frozen), "nothing was cut off"
        for process in frozen[1:]:  # its executor may go on for a while before anybody stops it
            process.kill(signal.SIGCONT)
        time.sleep(2)
    finally:
        for process in frozen:
            process.kill(signal.SIGCONT)
    wait_until(lambda: len(cluster.members()) == 2, "the worker is back", 40 * SLOWNESS)
    wait_until(lambda: not staged(target.parent), "what it wrote is gone", 40 * SLOWNESS)
    assert cluster.answers()
    assert written(target) == before


@BOTH_SINKS
def test_cancel_in_mid_sink(name: str, services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services()
    target = open_folder(folder / "out", 0o777) / name
    query = sink_rows(remote_to(cluster).prepare(slow_rows(folder), "single_node"), target)
    wait_for_run(folder)
    wait_until(lambda: staged(target.parent), "it is in mid-sink")
    query.cancel()
    wait_until(lambda: not list(target.parent.iterdir()), "nothing is left", 10 * SLOWNESS)
    assert cluster.answers()
    assert not list(target.parent.iterdir())


def test_up_starts_a_dead_worker_again(throwaway: Callable[..., UpCluster]) -> None:
    cluster = throwaway()
    victim = cluster.worker(0)
    victim.kill()
    victim.wait_gone()
    assert cluster.answers()
    wait_until(lambda: accepts(cluster.ports.task(0)), "worker 0 is back", 30 * SLOWNESS)
    assert all(cluster.answers() for _ in range(3))
