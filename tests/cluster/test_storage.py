"""tests/cluster/test_storage.py: results in an object store, as in the published quickstart.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import time
import tomllib
import urllib.error
import urllib.request
import uuid
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


# --- the user's own destinations: the credentials come with the plan ----------------------------


@pytest.fixture
def bucket(storage_cluster: UpCluster) -> tuple[str, dict[str, str]]:
    """A place of our own in the store, and how to get there."""
    toml = tomllib.loads(storage_cluster.config("scheduler").read_text())
    options = dict(toml["scheduler"]["anonymous_result_location"]["s3"])
    url = options.pop("url").rstrip("/")
    known = {name: value for name, value in options.items() if name.startswith("aws_")}
    return f"{url}/own/{uuid.uuid4()}", known | {"aws_allow_http": "true"}


def read_all(url: str, options: dict[str, str]) -> pl.DataFrame:
    return pl.read_parquet(url, storage_options=options).sort("id")


def test_own_object(stored: Remote, data: Data, bucket: tuple[str, dict[str, str]]) -> None:
    url, options = bucket
    for query in (pl.scan_parquet(data.path("orders.parquet")), pl.LazyFrame({"id": [1, 2]})):
        for mode in ("single_node", "distributed"):
            target = f"{url}/x.parquet"
            sink = stored.prepare(query, mode).sink_parquet(target, storage_options=options, sink_to_single_file=True)
            assert sink.await_result().location == [target]
            assert_frame_equal(read_all(target, options), query.collect())  # overwritten by the second query


def test_own_objects_in_folders(stored: Remote, data: Data, bucket: tuple[str, dict[str, str]]) -> None:
    url, options = bucket
    query = pl.scan_parquet(data.path("orders.parquet")).select("id", "city", "price")
    for _ in range(2):
        target = pl.PartitionBy(url, key="city")
        stored.prepare(query).sink_parquet(target, storage_options=options).await_result()
        found = pl.scan_parquet(f"{url}/*/00000000.parquet", storage_options=options, include_file_paths="path")
        assert found.select(pl.col("path").n_unique()).collect().item() == query.collect()["city"].n_unique()
        assert_frame_equal(read_all(f"{url}/**/*.parquet", options), query.collect(), check_column_order=False)


def test_cancelled_upload_is_no_object(stored: Remote, bucket: tuple[str, dict[str, str]], folder: Path) -> None:
    """Not even of the parts that are in the store already."""
    url, options = bucket
    note = folder / "runs"
    note.touch()
    note.chmod(0o666)

    def slow(x: int) -> int:
        import time

        if x == 3_999_999:
            with open(str(note), "w") as file:
                file.write("it runs")
            time.sleep(60)
        return x

    numbers = pl.LazyFrame().select(a=pl.int_range(4_000_000)).with_columns(h=pl.col("a").hash(1))
    query = numbers.with_columns(b=pl.col("a").map_elements(slow, return_dtype=pl.Int64))
    running = stored.prepare(query, "single_node").sink_parquet(f"{url}/x.parquet", storage_options=options)
    wait_until(note.read_text, "it is in mid-sink", 60)
    running.cancel()
    wait_until(lambda: running.get_status().name == "CANCELED", "it is cancelled")
    time.sleep(1)
    with pytest.raises(OSError, match="404|not found|expanded"):
        read_all(f"{url}/x.parquet", options)


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
