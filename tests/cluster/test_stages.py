"""tests/cluster/test_stages.py: how a distributed query runs: its stages, what it loses, what it leaves.
SPDX-License-Identifier: Apache-2.0

That answers are right is the matter of test_distributed.py and test_pdsh.py.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import polars_cloud as pc
import pytest
from cluster import FORCED, SLOWNESS, Cluster, ServiceCluster, files_below, open_folder
from conftest import Remote
from equality import assert_same
from processes import Process, wait_until

Start = Callable[..., ServiceCluster]
Connect = Callable[[Cluster], Remote]

pytestmark = pytest.mark.seconds(90)


def rows(n: int = 1000) -> pl.LazyFrame:
    return pl.LazyFrame({"k": [i % 7 for i in range(n)], "v": range(n), "s": [f"text {i % 50}" for i in range(n)]})


def shown_of(cluster: Cluster, query: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.ports.observatory}/api/v1/query/{query}") as answer:
        shown: dict[str, Any] = json.load(answer)
    return shown


def stages_of(cluster: Cluster, query: str) -> dict[str, Any]:
    return shown_of(cluster, f"{query}/stages")


def newest(cluster: Cluster) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.ports.observatory}/api/v1/queries") as answer:
        query: dict[str, Any] = json.load(answer)["queries"][0]
    return query


def shuffled(cluster: Cluster) -> list[str]:
    """What tasks have written for later stages and is still there; os.walk minds no folder that goes meanwhile."""
    workers = cluster.folder.glob("shuffle-*/worker-*")
    found = [os.path.join(at, name) for w in workers for at, folders, files in os.walk(w) for name in folders + files]
    return [path for path in found if not os.path.basename(path).startswith(".floe-")]


SHAPES = {
    "group_by": (lambda: rows().group_by("k").agg(pl.col("v").sum(), pl.len()), 2, False),
    "join": (lambda: rows().join(rows(50).select("v", t="s"), on="v"), 3, False),
    "filter": (lambda: rows().filter(pl.col("v") % 3 == 0).select("v", "s"), 1, True),
    "sort": (lambda: rows().sort("s", "v"), 2, True),
    "head": (lambda: rows().filter(pl.col("v") > 600).head(5), 2, True),
    "empty": (lambda: rows().filter(pl.col("v") < 0).group_by("k").agg(pl.col("v").max()), 2, False),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_stages_are_run_and_shown(shape: str, services: Start, remote_to: Connect) -> None:
    build, n_stages, ordered = SHAPES[shape]
    cluster = services(scheduler_extra=FORCED)
    result = remote_to(cluster).execute(build())
    assert_same(result.lazy().collect(), build().collect(), ordered=ordered)
    assert result.total_stages == result.finished_stages >= n_stages
    assert len(result.stage_statistics()) == result.total_stages

    shown = stages_of(cluster, newest(cluster)["id"])
    assert shown["whole_because"] is None
    assert len(shown["stages"]) == result.total_stages
    assert "stage 0" in shown["text"] and "digraph" in shown["dot"]
    ran = [stage for stage in shown["stages"] if stage["run"]]  # one of few rows may run within its reader
    assert all(stage["run"]["tasks_done"] == stage["run"]["tasks"] for stage in ran)
    assert max(stage["run"]["tasks"] for stage in ran) > 1, "nothing ran in parts"
    assert sum(stage["run"]["rows"] for stage in ran if stage["final"]) == result.n_rows_total
    wait_until(lambda: not shuffled(cluster), "files between stages are deleted")


def test_planning_is_timed(services: Start, remote_to: Connect) -> None:
    """Piece by piece; nothing of it where nothing was planned."""
    cluster = services(scheduler_extra=FORCED)
    for build, pieces in ((lambda: rows().group_by("k").len(), 5), (lambda: rows().select("k"), 3)):
        remote_to(cluster).execute(build())
        id = newest(cluster)["id"]
        planning = stages_of(cluster, id)["planning"]
        total = planning.pop("total_ms")
        took = [ms for ms in planning.values() if ms is not None]
        assert len(took) == pieces and min(took) > 0 and sum(took) == pytest.approx(total)
        timing = shown_of(cluster, id)["query_plan_timing"]
        start, end = (dt.datetime.fromisoformat(timing[f"plan_{at}_time"].replace("Z", "+00:00")) for at in ("start", "end"))
        assert (end - start).total_seconds() * 1000 == pytest.approx(total)
    (rows().select("k").remote(cluster.context()).single_node().execute()).delete()
    id = newest(cluster)["id"]
    assert stages_of(cluster, id)["planning"] is None and shown_of(cluster, id)["query_plan_timing"] == {}


def test_rows_are_sorted_by_ranges(services: Start, remote_to: Connect) -> None:
    cluster = services(scheduler_extra=FORCED)
    query = rows().sort(pl.col("v") % 10, "s", descending=[True, False], maintain_order=True)
    assert_same(remote_to(cluster).execute(query).lazy().collect(), query.collect(), ordered=True)
    steps = [step["kind"] for step in stages_of(cluster, newest(cluster)["id"])["steps"]]
    assert steps == ["describe", "capture", "stage", "boundaries", "divide", "stage"]
    equal = rows().with_columns(c=pl.lit(1)).sort("c", maintain_order=True)
    assert_same(remote_to(cluster).execute(equal).lazy().collect(), equal.collect(), ordered=True)
    wait_until(lambda: not shuffled(cluster), "files between stages are deleted")


def test_stages_of_few_rows_run_within_their_readers(services: Start, remote_to: Connect) -> None:
    cluster = services(scheduler_extra="[scheduler.planner]\nsmall_rows = 0\nreplicate_rows = 0\npartitions = 3")
    total = rows().group_by("k", "s").agg(pl.col("v").sum()).group_by("s").agg(pl.col("v").max())
    query = total.sort("v").head(20).group_by("v").len().sort("v")
    result = remote_to(cluster).execute(query)
    assert_same(result.lazy().collect(), query.collect(), ordered=True)
    shown = stages_of(cluster, newest(cluster)["id"])
    assert [stage["run"] is not None for stage in shown["stages"]] == [True, False, False, True]
    assert result.finished_stages == result.total_stages == 4


def test_what_one_worker_may_do_alone(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra="[scheduler.planner]\nsmall_rows = 100\nreplicate_rows = 0\npartitions = 3")
    rows().sink_parquet(folder / "rows.parquet")
    (folder / "rows.parquet").chmod(0o644)
    query = pl.scan_parquet(folder / "rows.parquet").group_by("k", "s").agg(pl.col("v").sum()).group_by("s").agg(pl.col("v").max())

    def tasks(**settings: Any) -> list[int]:
        result = query.remote(cluster.context()).distributed(**settings).execute()
        assert_same(result.lazy().collect(), query.collect(), ordered=False)
        result.delete()
        shown = stages_of(cluster, newest(cluster)["id"])
        return [stage["run"]["tasks"] for stage in shown.get("stages", []) if stage["run"]]

    assert tasks() == [1, 1]
    assert tasks(single_worker_ops="forbid") == [3, 3, 3]
    assert tasks(single_worker_ops="allow") == []


def test_expressions_are_lowered_if_the_client_likes(services: Start, remote_to: Connect) -> None:
    cluster = services(scheduler_extra=FORCED)
    query = rows().select(pl.col("v").sum(), pl.len())
    for lower, exchange in ((None, "partial"), (True, "partial"), (False, "all rows on one task")):
        result = query.remote(cluster.context()).distributed(expression_lowering=lower).execute()
        assert_same(result.lazy().collect(), query.collect(), ordered=False)
        result.delete()
        assert any(exchange in stage["why"] for stage in stages_of(cluster, newest(cluster)["id"])["stages"])


def test_parts_and_head(services: Start, remote_to: Connect) -> None:
    """A result of several parts is one frame, in order, and its first rows are those of the parts."""
    cluster = services(scheduler_extra=FORCED)
    remote = remote_to(cluster)
    result = remote.execute(rows().filter(pl.col("v") % 3 == 0))
    parts = sorted(p.name for p in cluster.results.rglob("*.parquet"))
    assert parts == ["part-00000.parquet", "part-00001.parquet"]
    assert_same(result.lazy().collect(), rows().filter(pl.col("v") % 3 == 0).collect(), ordered=True)
    few = remote.execute(rows().filter(pl.col("v").is_in([3, 499, 500, 999])))
    assert few.head is not None
    assert few.head["v"].to_list() == [3, 499, 500, 999]
    result.delete()
    few.delete()
    assert not files_below(cluster.results)


def test_small_queries_are_not_planned(services: Start, remote_to: Connect) -> None:
    cluster = services(scheduler_extra="")
    assert remote_to(cluster).execute(rows(10).select(pl.col("v").sum())).total_stages == 1
    shown = stages_of(cluster, newest(cluster)["id"])
    assert [step["kind"] for step in shown["steps"]] == ["whole"]
    assert "few rows" in shown["whole_because"]


def test_a_query_that_is_wrong_raises_its_own_error(services: Start, remote_to: Connect) -> None:
    cluster = services(scheduler_extra=FORCED)
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="nothing"):
        remote_to(cluster).execute(rows().group_by("nothing").agg(pl.col("v").sum()))
    with pytest.raises(pl.exceptions.InvalidOperationError, match="conversion"):
        remote_to(cluster).execute(rows().group_by("k").agg(pl.col("s").cast(pl.Int64).sum()))
    wait_until(lambda: not shuffled(cluster), "files between stages are deleted")


def test_the_users_own_destination(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=FORCED)
    path = folder / "out.parquet"
    query = rows().group_by("k").agg(pl.col("v").sum())
    result = query.remote(cluster.context()).sink_parquet(str(path), sink_to_single_file=True).await_result()
    assert_same(pl.read_parquet(path), query.collect(), ordered=False)
    assert result.n_rows_total == 7 and result.total_stages > 1


IN_FOLDERS: dict[str, tuple[Callable[[pl.LazyFrame], pl.LazyFrame], list[str]]] = {
    "rows": (lambda lf: lf, ["k"]),
    "sorted": (lambda lf: lf.sort("s", "v", descending=True), ["k", "s"]),
    "groups": (lambda lf: lf.group_by("k", "s").agg(pl.len(), pl.col("v").sum()), ["s"]),
    "groups_there": (lambda lf: lf.group_by("s").agg(pl.col("v").sum()), ["s"]),
    "joined": (lambda lf: lf.join(lf.select("v", w=pl.col("v") % 3), on="v"), ["w"]),
    "union": (lambda lf: pl.concat([lf, lf.filter(pl.col("k") > 2)]), ["k"]),
    "nulls": (lambda lf: lf.with_columns(n=pl.when(pl.col("v") % 3 > 0).then("k")), ["n"]),
}


def test_folders_are_written_by_several(services: Start, folder: Path) -> None:
    """Under the names of local Polars; each file has its rows in the same order, where one was promised."""
    cluster = services(scheduler_extra=FORCED)
    context = cluster.context()
    open_folder(folder / "out", 0o777)
    rows().sink_parquet(folder / "rows.parquet", row_group_size=100)
    for shape, (build, keys) in IN_FOLDERS.items():
        query = build(pl.scan_parquet(folder / "rows.parquet"))
        ours, theirs = folder / "out" / f"{shape}-ours", folder / "out" / f"{shape}-theirs"
        result = query.remote(context).sink_parquet(pl.PartitionBy(str(ours), key=keys)).await_result()
        query.sink_parquet(pl.PartitionBy(theirs, key=keys))
        names = [file.relative_to(theirs) for file in files_below(theirs)]
        assert [file.relative_to(ours) for file in files_below(ours)] == names, shape
        for name in filter(lambda name: name.suffix, names):
            ordered = shape in ("rows", "sorted", "union", "nulls")
            assert_same(pl.read_parquet(ours / name), pl.read_parquet(theirs / name), ordered=ordered)
        assert result.location == [str(ours)]
        assert result.n_rows_total == query.select(pl.len()).collect().item()
        last = stages_of(cluster, newest(cluster)["id"])["stages"][-1]
        assert last["run"]["tasks"] > 1, (shape, last)


def test_unknown_query_has_no_stages(services: Start) -> None:
    cluster = services(workers=0)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        stages_of(cluster, "00000000-0000-4000-8000-000000000000")


# --- losses ------------------------------------------------------------------------------------


def slow_end(folder: Path) -> pl.LazyFrame:
    """Two stages; a task of the second notes its executor's pid, and the first that does so sleeps."""
    runs = str(folder / "runs")

    def work(x: int) -> int:
        import os
        import time

        with open(runs, "a+") as file:
            first = file.tell() == 0
            file.write(f"{os.getpid()}\n")
        if first:
            time.sleep(60)
        return x

    total = rows().group_by("k").agg(pl.col("v").sum())
    return total.with_columns(pl.col("v").map_elements(work, return_dtype=pl.Int64))


def runs_in(folder: Path) -> list[int]:
    path = folder / "runs"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def worker_of(cluster: ServiceCluster, executor: int) -> int:
    return next(n for n in (0, 1) if any(p.pid == executor for p in cluster.worker(n).descendants()))


def begin(cluster: ServiceCluster, remote: Remote, folder: Path) -> tuple[Any, int]:
    """A query whose second stage runs, and the worker on which it is slow."""
    query = remote.submit(slow_end(folder))
    wait_until(lambda: runs_in(folder), "the second stage runs", 40 * SLOWNESS)
    return query, worker_of(cluster, runs_in(folder)[0])


def check_answer(query: Any) -> None:
    expected = rows().group_by("k").agg(pl.col("v").sum()).collect()
    assert_same(query.await_result().lazy().collect(), expected, ordered=False)


def test_worker_dies_and_its_files_are_still_there(
    services: Start, remote_to: Connect, folder: Path
) -> None:
    """The worker that is left reads them by path: only the lost task runs again."""
    cluster = services(scheduler_extra=FORCED)
    query, victim = begin(cluster, remote_to(cluster), folder)
    cluster.stop_program(f"worker-{victim}", signal.SIGKILL)
    check_answer(query)
    assert not any(step["given_up"] for step in stages_of(cluster, newest(cluster)["id"])["steps"])
    cluster.start_worker(victim)  # removes what its dead predecessor left


def test_worker_dies_with_its_files(services: Start, remote_to: Connect, folder: Path) -> None:
    """What the first stage wrote there is gone: the query starts again from its first stage."""
    cluster = services(scheduler_extra=FORCED)
    query, victim = begin(cluster, remote_to(cluster), folder)
    # At once, and before: the task may be started again while the worker still dies.
    (cluster.folder / f"shuffle-{victim}").rename(cluster.folder / "gone")
    cluster.stop_program(f"worker-{victim}", signal.SIGKILL)
    check_answer(query)
    steps = stages_of(cluster, newest(cluster)["id"])["steps"]
    stages = [(s["stage"], s["given_up"]) for s in steps if s["kind"] == "stage"]
    assert stages == [(0, True), (1, True), (0, False), (1, False)]
    cluster.start_worker(victim)
    wait_until(lambda: not shuffled(cluster), "files between stages are deleted")


def begin_folders(cluster: ServiceCluster, folder: Path) -> tuple[Any, Path, int]:
    """Of several writers of folders one is done and one is slow: the query, the target, the slow worker."""
    out = open_folder(folder / "out", 0o777)
    target = pl.PartitionBy(str(out / "many"), key="k")
    query = slow_end(folder).remote(cluster.context()).sink_parquet(target)
    wait_until(lambda: runs_in(folder), "a writer is slow", 40 * SLOWNESS)
    last = lambda: stages_of(cluster, newest(cluster)["id"])["stages"][-1]["run"]  # noqa: E731
    wait_until(lambda: last()["tasks_done"] == 1, "the other one is done", 40 * SLOWNESS)
    return query, out, worker_of(cluster, runs_in(folder)[0])


def check_folders(query: Any, out: Path) -> None:
    query.await_result()
    expected = rows().group_by("k").agg(pl.col("v").sum()).collect()
    assert sorted(p.name for p in out.iterdir()) == ["many"]
    assert_same(pl.read_parquet(out / "many/*/00000000.parquet").select("k", "v"), expected, ordered=False)


def test_a_writer_of_folders_dies(services: Start, folder: Path) -> None:
    cluster = services(scheduler_extra=FORCED)
    query, out, victim = begin_folders(cluster, folder)
    cluster.stop_program(f"worker-{victim}", signal.SIGKILL)
    check_folders(query, out)
    steps = stages_of(cluster, newest(cluster)["id"])["steps"]
    assert not any(step["given_up"] for step in steps) and steps[-1]["kind"] == "commit"


def test_what_was_to_be_committed_is_lost(services: Start, folder: Path) -> None:
    """As on the local disk of a worker that is gone: the query starts again."""
    cluster = services(scheduler_extra=FORCED)
    query, out, victim = begin_folders(cluster, folder)
    for staged in out.glob(".floe-*"):
        shutil.rmtree(staged)
    cluster.stop_program(f"worker-{victim}", signal.SIGKILL)
    check_folders(query, out)
    steps = stages_of(cluster, newest(cluster)["id"])["steps"]
    assert any(step["kind"] == "commit" and step["given_up"] for step in steps)


def test_cancelled_query_leaves_no_files(services: Start, remote_to: Connect, folder: Path) -> None:
    cluster = services(scheduler_extra=FORCED)
    query, _ = begin(cluster, remote_to(cluster), folder)
    assert shuffled(cluster), "the test itself: nothing was written between the stages"
    query.cancel()
    wait_until(lambda: query.get_status() is pc.QueryStatus.CANCELED, "the query is cancelled")
    wait_until(lambda: not shuffled(cluster), "files between stages are deleted")
    assert Process.of(runs_in(folder)[0]), "the executor was killed to cancel its task"


def test_a_partition_that_is_skewed_has_several_tasks(services: Start, remote_to: Connect) -> None:
    """One key has nearly all rows; those of one side are divided, each task has all of the other's."""
    cluster = services(scheduler_extra=FORCED.replace("partitions = 2", "partitions = 4"))
    many = rows(4000).with_columns(k=pl.when(pl.col("v") % 50 == 0).then(pl.col("k")).otherwise(3))
    few = pl.LazyFrame({"k": [0, 1, 3, 3, 9], "w": [10, 11, 12, 13, 14]})
    for how in ("inner", "left", "semi", "anti", "right", "full"):
        query = many.join(few, on="k", how=how)  # type: ignore[arg-type]
        assert_same(remote_to(cluster).execute(query).lazy().collect(), query.collect(), ordered=False)
        run = stages_of(cluster, newest(cluster)["id"])["stages"][-1]["run"]
        divided = how in ("inner", "left", "semi", "anti")
        assert (run["tasks"], run["skewed_partitions"]) == ((7, 1) if divided else (4, 0)), how
    summed = many.join(few, on="k").group_by("k").agg(pl.col("v").sum(), pl.col("w").mean())
    assert_same(remote_to(cluster).execute(summed).lazy().collect(), summed.collect(), ordered=False)
