"""tests/cluster/test_queries.py: the life of a query: status, cancel, delete, retry, plans.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import grpc
import polars as pl
import polars_cloud as pc
import pytest
from cluster import SLOWNESS, Cluster, UpCluster, timed
from conftest import Remote
from processes import wait_until
from wire import CLIENT, caller, query_ref


def ticking(path: str, seconds: float = 60.0) -> pl.LazyFrame:
    """A query that writes a line to a file all the time: while it runs, the file grows."""

    def tick(x: int) -> int:
        import time

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with open(path, "a") as file:
                file.write(".\n")
            time.sleep(0.02)
        return x

    return pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(tick, return_dtype=pl.Int64))


def size(path: str) -> int:
    return Path(path).stat().st_size if Path(path).exists() else 0


def wait_for_start(path: str) -> None:
    wait_until(lambda: size(path) > 0, "the query runs", 30)


def assert_stops(path: str, within_s: float) -> None:
    """Nothing is written any more after `within_s`."""
    time.sleep(within_s)
    before = size(path)
    time.sleep(0.3)
    assert size(path) == before, f"still at work {within_s} s later"


def test_status_follows_the_query(remote: Remote, folder: Path) -> None:
    path = str(folder / "ticks")
    query = remote.submit(ticking(path, 0.5))
    assert query.get_status() in (pc.QueryStatus.SCHEDULED, pc.QueryStatus.INPROGRESS)
    wait_for_start(path)
    assert query.get_status() is pc.QueryStatus.INPROGRESS
    assert query.await_result().status is pc.QueryStatus.SUCCESS
    assert query.get_status() is pc.QueryStatus.SUCCESS


def test_cancel_stops_a_running_query(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    path = str(folder / "ticks")
    query = remote.submit(ticking(path))
    wait_for_start(path)
    assert timed(query.cancel) < 1.0 * SLOWNESS
    assert_stops(path, 1.0 * SLOWNESS)
    assert query.get_status() is pc.QueryStatus.CANCELED
    assert query.await_result().status is pc.QueryStatus.CANCELED
    assert cluster.answers()


def test_cancel_stops_a_sleeping_udf(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    """Inside one long call into C nothing looks at signals: the executor itself must go."""
    path = str(folder / "started")

    def sleep(x: int) -> int:
        import ctypes
        import os

        with open(path, "w") as file:
            file.write(str(os.getpid()))
        ctypes.CDLL(None).sleep(100)
        ctypes.CDLL(None).sleep(100)
        return x

    query = remote.submit(pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(sleep, return_dtype=pl.Int64)))
    wait_for_start(path)

    def cancel_and_wait() -> None:
        query.cancel()
        assert query.await_result().status is pc.QueryStatus.CANCELED

    assert timed(cancel_and_wait) < 1.0 * SLOWNESS
    both = [remote.submit(ticking(str(folder / f"after-{i}"), 0.2)) for i in range(2)]  # on both workers
    assert all(q.await_result().status is pc.QueryStatus.SUCCESS for q in both)


def test_cancel_stops_polars(cluster: UpCluster, remote: Remote) -> None:
    """No Python in it: a join that would take minutes."""
    many = pl.LazyFrame({"a": [0]}).select(a=pl.int_range(200_000))
    query = remote.submit(many.join(many, how="cross", suffix="_r").select((pl.col("a") * pl.col("a_r")).sum()))
    wait_until(lambda: query.get_status() is pc.QueryStatus.INPROGRESS, "it runs")
    time.sleep(0.3)
    busy = [p for number in range(2) for p in cluster.executors(number)]
    query.cancel()
    time.sleep(1.0 * SLOWNESS)
    before = sum(cpu_ticks(p.pid) for p in busy if p.alive())
    time.sleep(0.5)
    assert sum(cpu_ticks(p.pid) for p in busy if p.alive()) - before < 10


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_cancel_of_a_queued_query(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    paths = [str(folder / name) for name in ("a", "b", "queued")]
    running = [remote.submit(ticking(path)) for path in paths[:2]]  # both workers are taken
    for path in paths[:2]:
        wait_for_start(path)
    queued = remote.submit(ticking(paths[2]))
    assert queued.get_status() is pc.QueryStatus.SCHEDULED
    queued.cancel()
    assert queued.await_result().status is pc.QueryStatus.CANCELED
    for query in running:
        query.cancel()
    assert cluster.answers()
    assert size(paths[2]) == 0


def test_cancel_is_idempotent_and_late(remote: Remote) -> None:
    query = remote.submit(pl.LazyFrame({"a": [1]}))
    result = query.await_result()
    for _ in range(3):
        query.cancel()
    assert query.get_status() is pc.QueryStatus.SUCCESS
    assert result.lazy().collect().item() == 1


def test_cancel_right_after_submit(cluster: UpCluster, remote: Remote) -> None:
    for _ in range(20):
        query = remote.submit(pl.LazyFrame({"a": [1]}))
        query.cancel()
        assert query.await_result().status in (pc.QueryStatus.CANCELED, pc.QueryStatus.SUCCESS)
    assert cluster.answers()


def test_timeout_of_the_client(remote: Remote, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = remote.submit(ticking(str(folder / "ticks")))
    monkeypatch.setenv("POLARS_TIMEOUT_MS", "700")
    with pytest.raises((TimeoutError, RuntimeError), match=r"(?i)timed out|timeout expired"):
        query.await_result()
    assert query.get_status() is not pc.QueryStatus.FAILED


def test_deadline_is_kept(remote: Remote, cluster: UpCluster, folder: Path) -> None:
    """grpc-timeout is the server's business too: DEADLINE_EXCEEDED, on time, by the server."""
    query = remote.submit(ticking(str(folder / "ticks")))
    with caller(cluster.ports.client) as call:
        start = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            call(CLIENT + "GetQueryResult", query_ref(str(query._query_id)), timeout_s=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
        assert time.monotonic() - start < 1.5


def test_many_wait_for_one_query(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    query = remote.submit(ticking(str(folder / "ticks"), 0.5))
    with caller(cluster.ports.client) as call:
        reference = query_ref(str(query._query_id))
        calls = [call._channel.unary_unary(CLIENT + "GetQueryResult").future(reference, timeout=20) for _ in range(50)]
        assert len({answer.result() for answer in calls}) == 1


def test_delete_twice_and_unknown(cluster: UpCluster, remote: Remote) -> None:
    query = remote.submit(pl.LazyFrame({"a": [1]}))
    query.await_result()
    query.delete_result()
    query.delete_result()
    with caller(cluster.ports.client) as call:
        try:
            call(CLIENT + "DeleteQueryResult", query_ref(str(uuid.uuid4())))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]


def test_delete_leaves_the_users_own_file(remote: Remote, folder: Path) -> None:
    target = folder / "mine.parquet"
    query = remote.prepare(pl.LazyFrame({"a": [1]}), "single_node").sink_parquet(str(target))
    query.await_result()
    query.delete_result()
    assert target.exists()


def test_delete_of_a_running_query(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    """Nobody will read it: whatever the server decides, it stays whole and leaves no file."""
    query = remote.submit(ticking(str(folder / "ticks"), 1.0))
    wait_for_start(str(folder / "ticks"))
    query.delete_result()
    assert cluster.answers()


def failing(path: str, times: int) -> pl.LazyFrame:
    """Fails so often, then succeeds; each run is a line in the file."""

    def fail(x: int) -> int:
        with open(path, "a+") as file:
            file.write("x")
            file.seek(0)
            if len(file.read()) <= times:
                raise ValueError("not yet")
        return x

    return pl.LazyFrame({"a": [7]}).select(pl.col("a").map_elements(fail, return_dtype=pl.Int64))


def test_retries_until_success(remote: Remote, folder: Path) -> None:
    path = str(folder / "runs")
    assert remote.collect(failing(path, 2), n_retries=3).item() == 7
    assert size(path) == 3


def test_retries_are_bounded(remote: Remote, folder: Path) -> None:
    path = str(folder / "runs")
    with pytest.raises(BaseException, match="not yet"):
        remote.execute(failing(path, 99), n_retries=2)
    assert size(path) == 3


def test_no_retry_by_default(remote: Remote, folder: Path) -> None:
    path = str(folder / "runs")
    with pytest.raises(BaseException, match="not yet"):
        remote.execute(failing(path, 99))
    assert size(path) == 1


def test_priority_decides_who_is_next(
    throwaway: Callable[..., UpCluster], remote_to: Callable[[Cluster], Remote], folder: Path
) -> None:
    remote = remote_to(throwaway(workers=1))
    order = str(folder / "order")

    def note(name: str) -> pl.LazyFrame:
        def write(x: int) -> int:
            with open(order, "a") as file:
                file.write(name)
            return x

        return pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(write, return_dtype=pl.Int64))

    first = remote.submit(ticking(str(folder / "ticks"), 1.5))
    wait_for_start(str(folder / "ticks"))
    queries = [remote.submit(note(name), priority=p) for name, p in (("c", -1), ("b", 0), ("a", 5), ("d", -1))]
    for query in [first, *queries]:
        query.await_result()
    assert Path(order).read_text() == "abcd"


def test_two_workers_run_at_once(remote: Remote, folder: Path) -> None:
    queries = [remote.submit(ticking(str(folder / f"ticks-{i}"), 1.0)) for i in range(2)]
    took = timed(lambda: [query.await_result() for query in queries])
    assert took < 1.8 * SLOWNESS


def test_await_asynchronously(remote: Remote) -> None:
    result = asyncio.run(remote.submit(pl.LazyFrame({"a": [1, 2]})).await_result_async())
    assert result.n_rows_total == 2


def test_versions(remote: Remote) -> None:
    versions = remote.context._direct_client.get_compute_versions()
    assert pl.__version__ in versions.polars_python_version
    assert versions.compute_plane_version


def test_observatory_knows_the_query(remote: Remote, cluster: UpCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_CLOUD_USER_NAME", "alice é")
    query = remote.submit(pl.LazyFrame({"a": [1]}))
    query.await_result()
    detail = pc.QueryDetail._from_inner(remote.context._direct_client.get_query_details(query._query_id))
    assert (detail.status, detail.user_name) == ("Success", "alice é")
    url = f"http://localhost:{cluster.ports.observatory}/api/v1/query/{query._query_id}"
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer)["id"] == str(query._query_id)


def test_observatory_does_not_know_the_query(remote: Remote, cluster: UpCluster) -> None:
    with pytest.raises(RuntimeError, match="404"):
        remote.context._direct_client.get_query_details(uuid.uuid4())
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://localhost:{cluster.ports.observatory}/api/v1/query/nonsense")


def test_health(cluster: UpCluster) -> None:
    for port in (cluster.ports.client, cluster.ports.task(0), cluster.ports.task(1)):
        with caller(port) as call:
            assert call.health() == 1
