"""tests/cluster/test_paths.py: where queries may read and write. SPDX-License-Identifier: Apache-2.0"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cluster import OLD_PYTHON, ServiceCluster, open_folder, temporary_folder
from conftest import Remote, until_stopped

ONE = pl.LazyFrame({"a": [1, 2], "b": [1, 1]})


@pytest.fixture(scope="module")
def nothing_local() -> Iterator[ServiceCluster]:
    settings = "allow_local_scans = false\nallow_local_sinks = false"
    yield from until_stopped(ServiceCluster("nothing-local", workers=1, in_scheduler=settings))


@pytest.fixture(scope="module")
def lake() -> Iterator[Path]:
    """lake/ may be read, lake/out may be written."""
    folder = temporary_folder("paths")
    for name in ("lake", "lakes", "lake/hive/b=1"):
        pl.DataFrame({"a": [1, 2]}).write_parquet(open_folder(folder / name) / "x.parquet")
    open_folder(folder / "lake/out", 0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def listed(lake: Path) -> Iterator[ServiceCluster]:
    settings = f"""
        allowed_scan_paths = "s3://nowhere, {lake}/lake/"
        allowed_sink_paths = "{lake}/lake/out"
        """
    yield from until_stopped(ServiceCluster("listed", workers=1, in_scheduler=settings))


Act = Callable[[Any], Any]  # on query.remote(context)


def refused(cluster: ServiceCluster, query: pl.LazyFrame, *words: str, act: Act = lambda remote: remote.execute()) -> None:
    with pytest.raises(PermissionError) as caught:
        act(query.remote(cluster.context()))
    assert all(word in str(caught.value) for word in words), caught.value


def scan_of(path: str) -> pl.LazyFrame:
    return pl.scan_parquet(path, schema={"a": pl.Int64})


LOCAL_SCANS: dict[str, Callable[[str], pl.LazyFrame]] = {
    "parquet": scan_of,
    "url": lambda path: scan_of(f"file://{path}"),
    "csv": pl.scan_csv,
    "ipc": pl.scan_ipc,
    "ndjson": pl.scan_ndjson,
    "among others": lambda path: pl.scan_parquet(["s3://bucket/a.parquet", path]),
    "filtered": lambda path: scan_of(path).filter(pl.col("a") > 1).group_by("a").len(),
    "joined": lambda path: ONE.join(scan_of(path), on="a"),
    "in a union": lambda path: pl.concat([ONE.select("a"), scan_of(path)]),
    "below a cache": lambda path: pl.concat([scan_of(path).cache()] * 2),
    "in SQL": lambda path: pl.SQLContext(x=scan_of(path), eager=False).execute("select a from x"),
    "through a function of the schema": lambda path: scan_of(path).pipe_with_schema(lambda f, _: f.select("a")),
    "merged": lambda path: ONE.select("a").merge_sorted(scan_of(path), "a"),
    "side by side": lambda path: pl.concat([ONE.rename({"a": "c"}), scan_of(path)], how="horizontal"),
}


@pytest.mark.parametrize("name", LOCAL_SCANS)
def test_local_scans_are_refused(name: str, nothing_local: ServiceCluster) -> None:
    path = "/data/secret.parquet"
    refused(nothing_local, LOCAL_SCANS[name](path), path, "reads", "scheduler.allow_local_scans")


SINKS: dict[str, Callable[[Any, str], Any]] = {
    "parquet": lambda remote, path: remote.sink_parquet(path),
    "url": lambda remote, path: remote.sink_parquet(f"file://{path}"),
    "csv": lambda remote, path: remote.sink_csv(path),
    "ipc": lambda remote, path: remote.sink_ipc(path),
    "by keys": lambda remote, path: remote.sink_parquet(pl.PartitionBy(path, key="b")),
    "by size": lambda remote, path: remote.sink_csv(pl.PartitionBy(path, max_rows_per_file=1)),
}


@pytest.mark.parametrize("name", SINKS)
def test_local_sinks_are_refused(name: str, nothing_local: ServiceCluster) -> None:
    path = "/data/out"
    refused(nothing_local, ONE, path, "writes", "allow_local_sinks", act=lambda remote: SINKS[name](remote, path))


def test_one_of_several_sinks_is_refused(nothing_local: ServiceCluster) -> None:
    several = [ONE.sink_csv("s3://bucket/x.csv", lazy=True), ONE.sink_ndjson("/data/out", lazy=True)]
    refused(nothing_local, pl.collect_all(several, lazy=True), "/data/out", "allow_local_sinks")


def test_explain_is_refused_too(nothing_local: ServiceCluster) -> None:
    """To describe a plan is to open its files."""
    with pytest.raises(PermissionError, match="/data/secret"):
        scan_of("/data/secret.parquet").remote(nothing_local.context()).explain()


def test_the_rest_still_runs(nothing_local: ServiceCluster, remote_to: Callable[[ServiceCluster], Remote]) -> None:
    remote = remote_to(nothing_local)
    odd_names = pl.DataFrame({"Scan": [[1]], "sources": [1], "payload": ["/x"], "Sink": [{"payload": 1, "x": 2}]})
    frame = odd_names.with_columns(when=pl.lit(0).cast(pl.Datetime("us", "UTC")).alias("Scan2"))
    assert remote.collect(frame.lazy()).equals(frame)
    assert frame.lazy().remote(nothing_local.context()).collect().equals(frame)
    assert ONE.remote(nothing_local.context()).explain()


def test_functions_are_not_looked_into(
    nothing_local: ServiceCluster, remote_to: Callable[[ServiceCluster], Remote]
) -> None:
    """A guard rail, not a wall: the guide says so."""

    def first_line(_: int) -> str:
        with open("/etc/passwd") as file:
            return file.readline()

    query = ONE.select(pl.col("a").map_elements(first_line, return_dtype=pl.String)).head(1)
    assert "root" in remote_to(nothing_local).collect(query).item()


def test_below_the_list(listed: ServiceCluster, lake: Path, remote_to: Callable[[ServiceCluster], Remote]) -> None:
    remote = remote_to(listed)
    for path in (f"{lake}/lake/x.parquet", f"{lake}/lake/*.parquet", f"{lake}//lake/./x.parquet", f"file://{lake}/lake/x.parquet", f"{lake}/lake/hive"):
        assert remote.collect(pl.scan_parquet(path)).height == 2, path
    remote.prepare(pl.scan_parquet(f"{lake}/lake/x.parquet")).single_node().sink_parquet(f"{lake}/lake/out/new.parquet").await_result()
    assert pl.read_parquet(f"{lake}/lake/out/new.parquet").height == 2


@pytest.mark.parametrize("path", [
    "{}/lakes/x.parquet", "{}/lake/../lakes/x.parquet", "{}/*/x.parquet", "{}/lak?/x.parquet", "lake/x.parquet",
    "file://{}/lake/%2e%2e/lakes/x.parquet", "s3://nowhere2/x.parquet", "http://127.0.0.1:1/x.parquet", "/etc/passwd",
])  # fmt: skip
def test_outside_the_list(path: str, listed: ServiceCluster, lake: Path) -> None:
    path = path.format(lake)
    refused(listed, scan_of(path), path, "scheduler.allowed_scan_paths", f"{lake}/lake/")
    refused(listed, ONE, path, "scheduler.allowed_sink_paths", act=lambda remote: remote.single_node().sink_csv(path))


def test_sinks_have_their_own_list(listed: ServiceCluster, lake: Path) -> None:
    for target in (f"{lake}/lake/x", pl.PartitionBy(f"{lake}/lake/outer", key="b")):
        words = ("scheduler.allowed_sink_paths", f"{lake}/lake/out (in full")
        refused(listed, ONE, *words, act=lambda remote: remote.sink_csv(target))


OLD_PROGRAM = """
import sys, polars as pl, polars_cloud as pc
ports = dict(scheduler_port=int(sys.argv[1]), observatory_port=int(sys.argv[2]))
context = pc.ClusterContext(compute_address="localhost", insecure=True, **ports)
one = pl.LazyFrame({"a": [41]}).select(pl.col("a") + 1)
for run in (
    lambda: pl.scan_parquet("/data/secret.parquet", schema={"a": pl.Int64}).remote(context).execute(),
    lambda: one.remote(context).single_node().sink_csv("/data/out.csv"),
    lambda: one.remote(context).sink_parquet(pl.PartitionBy("/data/out", key="a")),
    lambda: print("result", one.remote(context).execute().lazy().collect().item()),
):
    try:
        run()
    except PermissionError as error:
        print("refused", error)
"""


@pytest.mark.skipif(not OLD_PYTHON.exists(), reason=f"{OLD_PYTHON} does not exist")
def test_older_plans_are_checked_too(nothing_local: ServiceCluster) -> None:
    nothing_local.expected_leftovers += 1
    ports = nothing_local.ports
    command = [str(OLD_PYTHON), "-c", OLD_PROGRAM, str(ports.client), str(ports.observatory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["refused"] * 3 + ["result"], done.stdout + done.stderr
    assert ["/data/secret.parquet" in lines[0], "/data/out.csv" in lines[1], "/data/out" in lines[2]] == [True] * 3
    assert lines[3] == "result 42"
