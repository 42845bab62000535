"""tests/cluster/test_destinations.py: what a query writes where the user says equals what local
Polars writes, names of files included. SPDX-License-Identifier: Apache-2.0

What becomes of it when a worker is lost in mid-sink: test_faults.py.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
import pytest
from cluster import UpCluster, open_folder
from conftest import Remote
from frames import Data
from local_cluster import destinations
from polars.testing import assert_frame_equal

from floe_executor.executor_pb2 import Run
from floe_executor.planning_pb2 import CommitRequest

KINDS = ["parquet", "csv", "ipc", "ndjson"]
READ: dict[str, Callable[..., pl.DataFrame]] = {
    "parquet": pl.read_parquet,
    "csv": pl.read_csv,
    "ipc": pl.read_ipc,
    "ndjson": pl.read_ndjson,
}


PARTITIONS: dict[str, dict[str, Any]] = {
    "key": {"key": "city"},
    "two_keys": {"key": ["city", pl.col("key") % 2]},
    "without_key": {"key": "city", "include_key": False},
    "rows": {"max_rows_per_file": 500},
    "bytes": {"approximate_bytes_per_file": 20_000},
    "key_and_rows": {"key": "city", "max_rows_per_file": 100},
    "own_names": {"key": "city", "file_path_provider": lambda a: f"{a.index_in_partition}/{a.partition_keys.item()}"},
}


def query_of(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("orders.parquet")).select("id", "key", "city", "price")


def sink(query: pl.LazyFrame, kind: str, target: Any, **options: Any) -> pl.LazyFrame:
    lazy: pl.LazyFrame = getattr(query, f"sink_{kind}")(target, lazy=True, **options)
    return lazy


def run(remote: Remote, lazy: pl.LazyFrame) -> pc.QueryResult:
    """The client's own sink_…() have fewer formats and options."""
    return remote.execute(pl.collect_all([lazy], lazy=True), "single_node")


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def out(folder: Path) -> Path:
    return open_folder(folder / "out", 0o777)


@pytest.mark.parametrize(("mode", "kind"), [*(("whole", k) for k in KINDS), ("distributed", "ipc"), ("distributed", "csv")])
def test_partitions(kind: str, mode: str, remote: Remote, data: Data, out: Path) -> None:
    query = query_of(data)
    for name, options in PARTITIONS.items():
        ours, theirs = out / f"ours-{name}", out / f"theirs-{name}"
        sink(query, kind, pl.PartitionBy(theirs, **options)).collect()
        if mode == "whole":
            result = run(remote, sink(query, kind, pl.PartitionBy(ours, **options)))
        else:
            result = getattr(remote.prepare(query), f"sink_{kind}")(pl.PartitionBy(str(ours), **options)).await_result()
        assert result.location == [str(ours)]
        assert tree(ours) == tree(theirs), name
        for file in tree(theirs):
            assert_frame_equal(READ[kind](ours / file), READ[kind](theirs / file))
        assert result.n_rows_total == 3000


@pytest.mark.parametrize("kind", KINDS)
def test_empty(kind: str, remote: Remote, data: Data, out: Path) -> None:
    query = query_of(data).filter(pl.col("id") < 0)
    for name, options in PARTITIONS.items():
        ours, theirs = out / f"ours-{name}", out / f"theirs-{name}"
        sink(query, kind, pl.PartitionBy(theirs, **options)).collect()
        run(remote, sink(query, kind, pl.PartitionBy(ours, **options)))
        assert theirs.exists() == ours.exists()
        assert tree(ours) == tree(theirs), name


def test_folder_keeps_other_files(remote: Remote, data: Data, out: Path) -> None:
    for number in range(2):
        part = query_of(data).filter(pl.col("key") % 2 == number)
        by_key = pl.PartitionBy(str(out), key=[pl.col("key") % 4])
        remote.prepare(part, "single_node").sink_csv(by_key).await_result()
        (out / f"key={number}" / "note.txt").write_text("mine")
    assert tree(out) == sorted([*(f"key={k}/00000000.csv" for k in range(4)), "key=0/note.txt", "key=1/note.txt"])
    assert pl.read_csv(out / "**/*.csv").height == 3000


def test_overwritten_file_keeps_its_place(remote: Remote, out: Path) -> None:
    """Its mode, and a link that leads to it; other names beside it do not matter."""
    target, link = out / "x.csv", out / "link.csv"
    target.write_text("before" * 1000)
    target.chmod(0o666)
    link.symlink_to(target.name)
    (out / ".x.csv").write_text("mine")
    remote.prepare(pl.LazyFrame({"a": [1]}), "single_node").sink_csv(str(link)).await_result()
    assert link.is_symlink()
    assert target.read_text() == "a\n1\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o666
    assert tree(out) == [".x.csv", "link.csv", "x.csv"]


def test_device(remote: Remote) -> None:
    remote.prepare(pl.LazyFrame({"a": [1]}), "single_node").sink_csv("/dev/null").await_result()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_options(remote: Remote, data: Data, out: Path) -> None:
    query = query_of(data)
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("parquet", "a/b/x.parquet", {"mkdir": True, "compression": "gzip", "sync_on_close": "all"}),
        ("csv", "x.csv.gz", {"compression": "gzip", "separator": ";", "include_header": False}),
        ("ipc", "x.arrow", {"compression": "zstd", "maintain_order": False}),
        ("ndjson", "x.ndjson.zst", {"compression": "zstd"}),
        ("parquet", "file://x.parquet", {"metadata": {"who": "me"}}),
    ]
    for kind, name, options in cases:
        paths = [name.replace("x.", f"{who}.") for who in ("ours", "theirs")]
        ours, theirs = (f"file://{out}/{p[7:]}" if p.startswith("file://") else str(out / p) for p in paths)
        sink(query, kind, theirs, **options).collect()
        run(remote, sink(query, kind, ours, **options))
        files = [Path(p.removeprefix("file://")) for p in (ours, theirs)]
        if kind in ("csv", "ndjson"):
            assert files[0].read_bytes() == files[1].read_bytes(), name
        else:
            assert_frame_equal(READ[kind](files[0]), READ[kind](files[1]), check_row_order=False)


def test_errors_speak_of_the_users_path(remote: Remote, out: Path) -> None:
    query = remote.prepare(pl.LazyFrame({"a": [1]}), "single_node")
    with pytest.raises(FileNotFoundError, match=f"{out}/no/x.csv$"):
        query.sink_csv(str(out / "no/x.csv")).await_result()
    assert not tree(out)


def test_absolute_names_are_refused(remote: Remote, out: Path) -> None:
    """They would name the destination, where nothing is written yet."""
    name = str(out / "many/x.bin")
    target = pl.PartitionBy(str(out / "many"), key="a", file_path_provider=lambda _: name)
    with pytest.raises(pl.exceptions.ComputeError, match=f"base path '{out}/many'; here .* must return paths relative"):
        remote.prepare(pl.LazyFrame({"a": [1]}), "single_node").sink_ipc(target).await_result()
    assert not list(out.iterdir())


# --- the commit itself: any number of times, interrupted anywhere -------------------------------


def staged_files(out: Path, attempt: str, rows: int = 6) -> tuple[list[str], CommitRequest]:
    """An attempt that has written a file and a folder; their names, and what commits them."""
    (marks := out / f"marks-{attempt}").mkdir()
    run, plan = Run(attempt=attempt, marks=str(marks)), b""
    for name, folder in (("one.csv", False), ("many", True)):
        path = str(out / name).encode()
        plan += (head := b"\xd9" + bytes([len(path)])) + path
        run.sinks.add(path=path, offset=len(plan) - len(head + path), len=len(head + path), folder=folder)
    _, (one, many) = destinations.stage(run, plan)
    frame = pl.DataFrame({"a": range(rows)})
    frame.write_csv(one.path)
    frame.lazy().sink_csv(pl.PartitionBy(many.path, key="a"))
    assert sorted(os.readlink(mark) for mark in marks.iterdir()) == sorted([one.path, many.path])
    shutil.rmtree(marks)
    return [one.path, *many.files()], CommitRequest(staged=[one.to_commit(), many.to_commit()])


def test_commit_goes_on_where_it_was_interrupted(out: Path) -> None:
    expected = sorted(["one.csv", *(f"many/a={i}/00000000.csv" for i in range(6))])
    for done in range(8):
        attempt = str(uuid.uuid4())
        files, request = staged_files(out, attempt)
        for file in files[:done]:  # one that came to nothing has renamed so many
            rest = file.partition(f".floe-{attempt}.1/")[2]
            target = out / "many" / rest if rest else out / "one.csv"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)
        for _ in range(2):
            destinations.commit(request)
            assert tree(out) == expected


def test_commit_knows_what_is_lost(out: Path) -> None:
    """Though files of the same names are there, of another query."""
    _, before = staged_files(out, str(uuid.uuid4()))
    destinations.commit(before)
    for victim in (0, -1):
        files, request = staged_files(out, str(uuid.uuid4()))
        os.unlink(files[victim])
        with pytest.raises(destinations.LostError):
            destinations.commit(request)


def test_commit_removes_lost_attempts(out: Path) -> None:
    lost, other = str(uuid.uuid4()), str(uuid.uuid4())
    for attempt in (lost, other):
        staged_files(out, attempt)
    _, request = staged_files(out, str(uuid.uuid4()))
    request.lost.append(lost)
    destinations.commit(request)
    assert {name.split(".floe-")[1][:36] for name in tree(out) if ".floe-" in name} == {other}


def test_failed_query_leaves_nothing(remote: Remote, out: Path) -> None:
    def fail(x: int) -> int:
        if x == 299_999:
            raise ValueError("too much")
        return x

    query = pl.LazyFrame({"a": range(300_000)}).with_columns(b=pl.col("a").map_elements(fail, return_dtype=pl.Int64))
    for target in (str(out / "x.parquet"), pl.PartitionBy(str(out / "many"), max_rows_per_file=1000)):
        with pytest.raises(Exception, match="too much"):
            remote.prepare(query, "single_node").sink_parquet(target).await_result()
    assert not list(out.iterdir())


def test_several_at_once(remote: Remote, data: Data, out: Path, cluster: UpCluster) -> None:
    """All are committed, or none."""
    query = query_of(data)
    sinks = [
        query.filter(pl.col("key") < 50).sink_parquet(out / "low.parquet", lazy=True),
        query.filter(pl.col("key") >= 50).sink_csv(pl.PartitionBy(out / "high", key="city"), lazy=True),
        query.select(pl.len()).sink_ndjson(out / "n.ndjson", lazy=True),
    ]
    result = pl.collect_all(sinks, lazy=True).remote(cluster.context()).execute()
    assert sorted(result.location) == [str(out / name) for name in ("high", "low.parquet", "n.ndjson")]
    assert pl.read_parquet(out / "low.parquet").height + pl.read_csv(out / "high/**/*.csv").height == 3000
    assert pl.read_ndjson(out / "n.ndjson").item() == 3000
    wrong = query.select(pl.col("city").str.to_integer()).sink_csv(out / "wrong.csv", lazy=True)
    again = query.sink_csv(out / "again.csv", lazy=True)
    with pytest.raises(pl.exceptions.PolarsError):
        pl.collect_all([again, wrong], lazy=True).remote(cluster.context()).execute()
    assert not [name for name in tree(out) if "again" in name or "floe" in name]
