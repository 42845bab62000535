"""tests/cluster/test_concurrency.py: many clients at once, each gets its own answer.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from cluster import UpCluster
from conftest import Remote
from processes import wait_until

CLIENTS, QUERIES = 50, 20


def one_client(cluster: UpCluster, client: int) -> int:
    """Its own connection; returns how many answers were right."""
    context = cluster.context()
    right = 0
    for number in range(QUERIES):
        wanted = client * 1_000_000 + number
        query = pl.LazyFrame({"a": [client * 1_000_000], "b": [number]}).select(pl.col("a") + pl.col("b"))
        result = query.remote(context).execute()
        right += result.head is not None and result.head.item() == wanted
        if number % 5 == 0:
            right -= result.lazy().collect().item() != wanted
        result.delete()
    return right


@pytest.mark.seconds(240)
def test_fifty_clients(cluster: UpCluster) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        right = list(pool.map(lambda client: one_client(cluster, client), range(CLIENTS)))
    assert right == [QUERIES] * CLIENTS


@pytest.mark.seconds(180)
def test_clients_in_processes(cluster: UpCluster) -> None:
    program = f"""
import polars as pl, polars_cloud as pc, sys
client = int(sys.argv[1])
ctx = pc.ClusterContext(uri="http://localhost:{cluster.ports.client}")
for number in range(10):
    result = pl.LazyFrame({{"a": [client], "b": [number]}}).select(pl.col("a") * 100 + pl.col("b")).remote(ctx).execute()
    assert result.lazy().collect().item() == client * 100 + number
    result.delete()
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, str(n)]) for n in range(4)]
    assert [p.wait() for p in processes] == [0] * 4


@pytest.mark.seconds(180)
def test_many_queries_in_flight(remote: Remote) -> None:
    """One connection, 300 queries queued before the first answer is read."""
    queries = [remote.submit(pl.LazyFrame({"a": [n]}).select(pl.col("a") + 1)) for n in range(300)]
    assert [q.await_result().lazy().collect().item() for q in queries] == list(range(1, 301))


def test_failures_do_not_leak_into_neighbours(cluster: UpCluster) -> None:
    def client(n: int) -> str:
        context = cluster.context()
        query = pl.LazyFrame({"a": [n]}).select("a" if n % 2 else f"missing_{n}")
        try:
            result = query.remote(context).execute()
        except pl.exceptions.ColumnNotFoundError as error:
            return "right" if f"missing_{n}" in str(error) else str(error)
        value = result.lazy().collect().item()
        result.delete()
        return "right" if value == n else f"{value} instead of {n}"

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(client, range(60))) == {"right"}


def test_cancelling_many(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    def sleep(x: int) -> int:
        import time

        time.sleep(30)
        return x

    query = pl.LazyFrame({"a": [1]}).select(pl.col("a").map_elements(sleep, return_dtype=pl.Int64))
    queries = [remote.submit(query) for _ in range(40)]
    time.sleep(0.5)
    for submitted in queries:
        submitted.cancel()
    wait_until(lambda: all(q.get_status().is_done() for q in queries), "all are cancelled", 10)
    assert cluster.answers()
