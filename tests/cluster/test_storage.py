"""tests/cluster/test_storage.py: results in an object store, as in the published quickstart.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from cluster import Cluster, UpCluster, accepts
from conftest import Remote
from frames import FRAMES, Data, Frame
from polars.testing import assert_frame_equal
from processes import listening_on, wait_until

SOME = ["quickstart", "filter_and_compute", "no_rows", "unicode_names", "own_placeholder_literal", "deeply_nested"]


@pytest.fixture
def stored(storage_cluster: UpCluster) -> Iterator[Remote]:
    remote = Remote(storage_cluster)
    yield remote
    remote.clean()


def status_of(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("frame", [f for f in FRAMES if f.name in SOME], ids=lambda f: f.name)
def test_equality(frame: Frame, stored: Remote, data: Data) -> None:
    query = frame.build(data)
    result = stored.execute(query)
    expected = query.collect()
    assert_frame_equal(result.lazy().collect(), expected)
    assert_frame_equal(result.head, expected.head(result.head.height))
    assert result.n_rows_total == expected.height


def test_urls_are_presigned(stored: Remote, storage_cluster: UpCluster) -> None:
    """The client reads without credentials; without the signature nobody does."""
    result = stored.execute(pl.LazyFrame({"a": [1, 2]}))
    assert result.location
    for url in result.location:
        assert url.startswith(f"http://localhost:{storage_cluster.ports.storage}/")
        assert status_of(url) == 200
        assert status_of(url.split("?")[0]) == 403
        assert status_of(url[:-1] + ("0" if url[-1] != "0" else "1")) == 403


def test_observatory_shows_no_signature(stored: Remote, storage_cluster: UpCluster) -> None:
    """Who sees the dashboard sees where rows are, and does not get them."""
    result = stored.execute(pl.LazyFrame({"a": [1, 2]}))
    assert result.location
    query_id = result._query._query_id  # type: ignore[union-attr]
    with urllib.request.urlopen(f"http://localhost:{storage_cluster.ports.observatory}/api/v1/query/{query_id}") as answer:
        assert json.load(answer)["output_location"] == result.location[0].split("?")[0]


def test_delete_really_deletes(stored: Remote) -> None:
    result = stored.execute(pl.LazyFrame({"a": [1, 2]}))
    assert result.location
    urls = list(result.location)
    result.delete()
    assert [status_of(url) for url in urls] == [404] * len(urls)


def test_failed_and_cancelled_queries_store_nothing(stored: Remote, storage_cluster: UpCluster) -> None:
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        stored.execute(pl.LazyFrame({"a": [1]}).select("nope"))
    assert storage_cluster.answers()


@pytest.mark.seconds(180)
def test_large_result(stored: Remote) -> None:
    """Larger than any buffer on its way: 80 MB that do not compress."""
    i = pl.int_range(10_000_000, dtype=pl.Int64)
    query = pl.LazyFrame({"x": [0]}).select(h=(i * 6364136223846793005).hash(3))
    result = stored.execute(query)
    total = pl.col("h").bitwise_xor()
    assert result.n_rows_total == 10_000_000
    assert_frame_equal(result.lazy().select(total).collect(), query.select(total).collect())


def test_next_query_reads_the_last_result(stored: Remote) -> None:
    """A worker can read a presigned URL too."""
    first = stored.execute(pl.LazyFrame({"a": list(range(1000))}))
    assert stored.collect(first.lazy().select(pl.col("a").sum())).item() == 499500


def test_several_at_once(stored: Remote) -> None:
    queries = [stored.submit(pl.LazyFrame({"a": [n]}).select(pl.col("a") * 2)) for n in range(20)]
    assert [q.await_result().lazy().collect().item() for q in queries] == [2 * n for n in range(20)]


def test_storage_comes_back(
    throwaway: Callable[..., UpCluster], remote_to: Callable[[Cluster], Remote], folder: Path
) -> None:
    """The storage server dies and `floe up` starts it again: the next queries are right."""
    cluster = throwaway(storage=True)
    assert cluster.answers()
    server = listening_on(cluster.ports.storage)
    assert server
    server.kill()
    server.wait_gone()
    wait_until(lambda: accepts(cluster.ports.storage), "the storage is back", 60)
    wait_until(lambda: answers(cluster), "a query is answered", 60)


def answers(cluster: UpCluster) -> bool:
    try:
        return cluster.answers()
    except Exception:
        return False
