"""tests/cluster/test_equality.py: a query is right when it equals local Polars.
SPDX-License-Identifier: Apache-2.0

What Polars cannot write fails remotely as it fails locally. The same queries with forced
distribution: test_distributed.py.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from cluster import UpCluster
from conftest import Remote
from equality import check, local_answer
from frames import FRAMES, Data, Frame
from polars.testing import assert_frame_equal

HEAVY = [f for f in FRAMES if f.heavy]
LIGHT = [f for f in FRAMES if not f.heavy]
SINKS = [f for f in FRAMES if f.sinks]


def check_frame(frame: Frame, mode: str, remote: Remote, data: Data) -> None:
    query = frame.build(data)
    expected = local_answer(query)
    if isinstance(expected, pl.DataFrame):
        assert (expected.height == 0) == frame.empty, "the test itself: see `empty` in frames.py"
    check(query, expected, remote, ordered=frame.ordered, mode=mode)


@pytest.mark.parametrize("mode", ["distributed", "single_node"])
@pytest.mark.parametrize("frame", LIGHT, ids=lambda f: f.name)
def test_execute(frame: Frame, mode: str, remote: Remote, data: Data) -> None:
    check_frame(frame, mode, remote, data)


@pytest.mark.seconds(300)
@pytest.mark.parametrize("frame", HEAVY, ids=lambda f: f.name)
def test_execute_heavy(frame: Frame, remote: Remote, data: Data) -> None:
    check_frame(frame, "distributed", remote, data)


@pytest.mark.parametrize("frame", SINKS, ids=lambda f: f.name)
@pytest.mark.parametrize("kind", ["parquet", "csv", "ipc"])
def test_sink(kind: str, frame: Frame, remote: Remote, data: Data, folder: Path) -> None:
    """The user's own destination. CSV is compared byte for byte when the order is promised."""
    query = frame.build(data)
    ours, theirs = folder / "ours", folder / f"theirs.{kind}"
    write = getattr(remote.prepare(query, "single_node"), f"sink_{kind}")
    try:
        getattr(query, f"sink_{kind}")(theirs)
    except pl.exceptions.PolarsError as error:  # lists in CSV
        with pytest.raises(type(error)):
            write(str(ours)).await_result()
        return
    result = write(str(ours)).await_result()
    assert result.location == [str(ours)]
    assert result.file_type == kind
    if kind == "csv" and frame.ordered:
        assert ours.read_bytes() == theirs.read_bytes()
    else:
        read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "ipc": pl.read_ipc}[kind]
        expected = read(theirs)
        assert_frame_equal(result.lazy().collect(), expected, check_row_order=frame.ordered)
        assert result.n_rows_total == expected.height


@pytest.mark.parametrize("frame", [f for f in SINKS if f.ordered], ids=lambda f: f.name)
def test_show(frame: Frame, remote: Remote, data: Data, cluster: UpCluster) -> None:
    cluster.expected_leftovers += 1  # show() keeps no handle by which its result could be deleted
    query = frame.build(data)
    assert_frame_equal(remote.prepare(query).show(3), query.head(3).collect())


def test_sink_distributed_by_default(remote: Remote, data: Data, folder: Path) -> None:
    query = pl.scan_parquet(data.path("orders.parquet")).filter(pl.col("key") < 40)
    result = remote.prepare(query).sink_parquet(str(folder / "out")).await_result()
    assert_frame_equal(result.lazy().collect(), query.collect())


def test_sink_with_options(remote: Remote, data: Data, folder: Path) -> None:
    query = pl.scan_parquet(data.path("orders.parquet"))
    options = {"compression": "lz4", "row_group_size": 700, "statistics": False}
    query.sink_parquet(folder / "theirs.parquet", **options)
    remote.prepare(query, "single_node").sink_parquet(str(folder / "ours.parquet"), **options).await_result()
    assert (folder / "ours.parquet").read_bytes() == (folder / "theirs.parquet").read_bytes()


def test_sink_partitioned(remote: Remote, data: Data, folder: Path) -> None:
    query = pl.scan_parquet(data.path("orders.parquet")).select("id", "city", "price")
    target = pl.PartitionBy(str(folder / "out/"), key="city")
    result = remote.prepare(query).sink_parquet(target).await_result()
    assert result.location
    written = pl.read_parquet(folder / "out", hive_partitioning=True)
    assert_frame_equal(written.sort("id"), query.collect(), check_column_order=False, check_dtypes=False)


def test_sink_overwrites(remote: Remote, folder: Path) -> None:
    for n in (5, 3):
        query = pl.LazyFrame({"a": list(range(n))})
        remote.prepare(query, "single_node").sink_parquet(str(folder / "same.parquet")).await_result()
    assert pl.read_parquet(folder / "same.parquet").height == 3


def test_sink_multiple(remote: Remote, data: Data, folder: Path) -> None:
    query = pl.scan_parquet(data.path("orders.parquet")).drop("tags")
    sinks = [
        query.filter(pl.col("key") < 50).sink_parquet(folder / "low.parquet", lazy=True),
        query.filter(pl.col("key") >= 50).sink_csv(folder / "high.csv", lazy=True),
    ]
    remote.execute(pl.collect_all(sinks, lazy=True), "single_node")
    low = pl.read_parquet(folder / "low.parquet")
    assert_frame_equal(low, query.filter(pl.col("key") < 50).collect())
    assert pl.read_csv(folder / "high.csv").height == 3000 - low.height


def test_sink_batches(remote: Remote, folder: Path) -> None:
    path = str(folder / "heights")

    def note(batch: pl.DataFrame) -> None:
        with open(path, "a") as file:
            file.write(f"{batch.height}\n")

    remote.prepare(pl.LazyFrame({"a": list(range(1000))})).sink_batches(note).await_result()
    assert sum(int(line) for line in Path(path).read_text().split()) == 1000


def test_await_and_scan_goes_on(remote: Remote, data: Data, cluster: UpCluster) -> None:
    """A result is a LazyFrame that the next remote query may start from."""
    cluster.expected_leftovers += 1
    step = remote.prepare(pl.scan_parquet(data.path("orders.parquet")).group_by("city").len()).await_and_scan()
    assert remote.collect(step.select(pl.col("len").sum())).item() == 3000


@pytest.mark.parametrize("engine", ["auto", "streaming", "in-memory"])
def test_engines(engine: str, remote: Remote, data: Data) -> None:
    query = pl.scan_parquet(data.path("orders.parquet")).group_by("city").agg(pl.col("id").sum()).sort("city")
    assert_frame_equal(remote.collect(query, "single_node", engine=engine), query.collect())


def test_optimizations_off(remote: Remote, data: Data) -> None:
    query = pl.scan_parquet(data.path("orders.parquet")).filter(pl.col("key") == 3).select("id")
    result = remote.prepare(query).execute(optimizations=pl.QueryOptFlags.none())
    assert_frame_equal(result.lazy().collect(), query.collect())
    result.delete()


def test_labels_priority_and_settings_are_accepted(remote: Remote) -> None:
    query = pl.LazyFrame({"a": [1, 2]}).remote(remote.context, n_retries=2, priority=-3, plan_type="plain")
    prepared = query.labels(["nightly", "é"]).distributed(
        min_workers=1, max_workers=2, shuffle_format="ipc", shuffle_compression="lz4", partitions_per_worker=2
    )
    result = prepared.execute()
    assert result.lazy().collect()["a"].to_list() == [1, 2]
    result.delete()


def test_result_prints_and_counts_stages(remote: Remote) -> None:
    result = remote.execute(pl.LazyFrame({"a": [1, 2]}))
    assert "head" in repr(result)
    assert (result.total_stages, result.finished_stages, result.failed_stages) == (1, 1, 0)
    assert [s.num_workers_used for s in result.stage_statistics()] == [1]


def test_delete_removes_the_files(remote: Remote) -> None:
    result = remote.execute(pl.LazyFrame({"a": [1, 2]}))
    assert result.location is not None
    files = [Path(location.removeprefix("file://")) for location in result.location]
    assert all(file.exists() for file in files)
    result.delete()
    assert not any(file.exists() for file in files)
