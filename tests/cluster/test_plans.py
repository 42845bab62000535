"""tests/cluster/test_plans.py: what a client can see of a query's plan, without running it, while it runs, and after.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import polars as pl
import polars_cloud as pc
import pytest
from cluster import FLOE, Cluster, UpCluster, files_below
from conftest import Remote, until_stopped
from polars_cloud.query.dst import ParquetDst, TmpDst
from processes import wait_until
from shapes import SHAPES, Tables
from wire import CLIENT, caller, query_ref, read_fields

sys.path.insert(0, str(FLOE.parent / "executor"))
from floe_executor import plan_text  # noqa: E402

pytestmark = pytest.mark.seconds(60)

FORCED = {"small_rows": 0, "replicate_rows": 0, "broadcast_rows": 0, "task_bytes": 1, "partitions": 2}


@pytest.fixture(scope="module")
def planner() -> Iterator[UpCluster]:
    """Everything is distributed."""
    yield from until_stopped(UpCluster("plans", planner=FORCED))


@pytest.fixture
def runner(planner: UpCluster, remote_to: Callable[[Cluster], Remote]) -> Remote:
    return remote_to(planner)


@pytest.fixture
def source(folder: Path) -> pl.LazyFrame:
    pl.DataFrame({"k": [i % 7 for i in range(1000)], "v": range(1000)}).write_parquet(folder / "source.parquet")
    return pl.scan_parquet(folder / "source.parquet")


def grouped(source: pl.LazyFrame) -> pl.LazyFrame:
    return source.filter(pl.col("v") > 10).group_by("k").agg(pl.col("v").sum()).sort("k")


# ---- planned only ----


@pytest.mark.parametrize("mode", ["single_node", "distributed"])
def test_explain_ir_is_what_polars_says(mode: str, runner: Remote, source: pl.LazyFrame) -> None:
    explained = runner.prepare(grouped(source), mode).explain(plan_stage="ir")
    sink, below = explained.split("\n", 1)
    assert sink == "SINK (file)"
    assert [line[2:] for line in below.splitlines()] == grouped(source).explain(engine="streaming").splitlines()


def test_explain_physical_of_a_query_that_runs_whole(runner: Remote, source: pl.LazyFrame) -> None:
    explained = runner.prepare(grouped(source), "single_node").explain()
    assert explained.startswith("STAGE 0:\n  SINK (file)\n    SORT BY")
    assert '[col("v").sum()] BY [col("k")]' in explained
    assert 'SELECTION: [col("v") > 10]' in explained and "source.parquet" in explained
    assert "SHUFFLE" not in explained


def test_explain_physical_shows_stages_and_exchanges(runner: Remote, source: pl.LazyFrame) -> None:
    explained = spawn(grouped(source), runner, distributed=True).plan()
    assert explained.count("SINK (file)") == 1
    for physical in (explained, runner.prepare(grouped(source)).explain()):
        assert 'SHUFFLE WRITE (0) [partitioning: Hash col("k")]' in physical
        assert 'SHUFFLE READ (0) [partitioning: Hash col("k")' in physical
        assert physical.count("SELECTION") == 1
        assert "leaf" not in physical


def spawn(query: pl.LazyFrame, runner: Remote, until: str = "physical", **options: Any) -> Any:
    options = {"dst": TmpDst(), "plan_type": "plain"} | options
    return pc.query.query.spawn(query, context=runner.context, execute_until=until, **options)


@pytest.mark.parametrize("distributed", [False, True])
@pytest.mark.parametrize("until", ["ir", "physical"])
def test_a_query_that_is_only_planned_computes_nothing(
    until: str, distributed: bool, runner: Remote, source: pl.LazyFrame, folder: Path
) -> None:
    def leave_a_trace(x: int) -> int:
        (folder / "ran").touch()
        return x

    traced = source.with_columns(pl.col("v").map_elements(leave_a_trace, return_dtype=pl.Int64))
    query = spawn(grouped(traced), runner, until, distributed=distributed, dst=ParquetDst(str(folder / "out")))
    result = query.await_result()
    assert result.status.name == "SUCCESS"
    assert (result.n_rows_total, result.head, result.location, result.file_type) == (None, None, [], "none")
    assert (result.total_stages, result.finished_stages, result.failed_stages) == (0, 0, 0)
    assert result.stage_statistics() == []
    assert query.plan("ir").startswith("SINK (file)")
    assert bool(query.plan("physical")) == (until == "physical")
    assert not (folder / "ran").exists() and not (folder / "out").exists()
    result.delete()


def test_a_wrong_plan_raises_its_own_exception(runner: Remote, source: pl.LazyFrame) -> None:
    for mode in ("single_node", "distributed"):
        for stage in ("ir", "physical"):
            with pytest.raises(pl.exceptions.ColumnNotFoundError, match="nope"):
                runner.prepare(source.select("nope"), mode).explain(plan_stage=stage)


def test_a_wrong_query_has_no_plan(runner: Remote, source: pl.LazyFrame) -> None:
    query = spawn(source.select("nope"), runner, plan_type="dot")
    assert query.await_result(raise_on_failure=False).status.name == "FAILED"
    assert query.plan() == "" and query.plan("ir") == ""
    with pytest.raises(pl.exceptions.NoDataError):
        query.graph("physical", show=False, raw_output=True)


# ---- of queries that are run ----


@pytest.mark.parametrize("mode", ["single_node", "distributed"])
def test_plans_of_a_query_that_has_ended(mode: str, runner: Remote, source: pl.LazyFrame) -> None:
    text = runner.execute(grouped(source), mode, plan_type="plain")
    assert text.plan("ir").startswith("SINK (file)\n")
    first = text.plan()
    assert 'BY [col("k")]' in first and first == text.plan()
    assert first.count("STAGE ") <= text.total_stages
    assert ("SHUFFLE READ" in first) == (mode == "distributed")

    dot = runner.execute(grouped(source), mode)
    assert dot.graph("ir", show=False, raw_output=True).startswith("digraph polars_query {")
    drawn = dot.graph("physical", show=False, raw_output=True)
    assert drawn.startswith("digraph stage_graph {") and "AGGREGATE" in drawn
    assert "STAGE 0" in dot.plan()

    assert dot.plan("ir") == ""  # it is dot, as was asked for
    with pytest.raises(pl.exceptions.NoDataError, match="plan_type"):
        text.graph("ir", show=False, raw_output=True)


def test_plans_are_the_same_with_and_without_running(runner: Remote, source: pl.LazyFrame) -> None:
    ran = runner.execute(source.select(pl.col("v").sum()), "single_node", plan_type="plain")
    assert ran.plan() == spawn(source.select(pl.col("v").sum()), runner).plan()


def slow(source: pl.LazyFrame, gate: Path) -> pl.LazyFrame:
    def wait(x: int) -> int:
        while not gate.exists():
            time.sleep(0.02)
        return x

    return source.head(1).with_columns(pl.col("v").map_elements(wait, return_dtype=pl.Int64))


def test_plans_of_a_query_that_runs(runner: Remote, source: pl.LazyFrame, folder: Path) -> None:
    query = runner.submit(slow(source, folder / "gate"), mode="single_node", plan_type="plain")
    wait_until(lambda: query.get_status().name == "INPROGRESS", "it runs", 20)
    assert query.plan("ir").startswith("SINK (file)") and "WITH_COLUMNS" in query.plan()
    assert query.get_status().name == "INPROGRESS"
    (folder / "gate").touch()
    assert query.await_result().status.name == "SUCCESS"
    assert "WITH_COLUMNS" in query.plan()


def test_plans_of_a_query_that_was_cancelled(runner: Remote, source: pl.LazyFrame, folder: Path) -> None:
    query = runner.submit(slow(source, folder / "gate"), mode="single_node", plan_type="plain")
    wait_until(lambda: query.get_status().name == "INPROGRESS", "it runs", 20)
    query.cancel()
    assert query.await_result().status.name == "CANCELED"
    assert "WITH_COLUMNS" in query.plan("ir")


def test_plans_of_a_query_that_failed(runner: Remote, source: pl.LazyFrame) -> None:
    wrong = runner.submit(source.select("nope"), mode="single_node", plan_type="plain")
    assert wrong.await_result(raise_on_failure=False).status.name == "FAILED"
    with pytest.raises(RuntimeError, match="the plan cannot be shown: ColumnNotFoundError.*nope"):
        wrong.plan()
    late = runner.submit(source.select(pl.col("v").cast(pl.String).str.to_date()), mode="single_node", plan_type="plain")
    assert late.await_result(raise_on_failure=False).status.name == "FAILED"
    assert "SELECT" in late.plan()


def test_plans_of_an_unknown_query(runner: Remote) -> None:
    for method in ("GetQueryPlans", "GetQueryStatus"):
        with caller(runner.cluster.ports.client) as call, pytest.raises(grpc.RpcError, match="is not known here"):
            call(CLIENT + method, query_ref(str(uuid.uuid4())))


def test_a_large_plan_is_not_kept(runner: Remote) -> None:
    large = pl.LazyFrame({"a": range(1_200_000)}).select(pl.col("a").sum())
    result = runner.execute(large, "single_node", plan_type="plain")
    with pytest.raises(RuntimeError, match="no longer kept"):
        result.plan()
    assert "SELECT" in runner.prepare(large, "single_node").explain()


@pytest.mark.parametrize("part", range(3))
def test_every_kind_of_plan_is_shown(part: int, runner: Remote, folder: Path) -> None:
    """The client panics when a node lacks something."""
    tables = Tables.write(folder)
    for shape in SHAPES[part::25]:
        explained = runner.prepare(shape.build(tables)).explain()
        assert explained.startswith("STAGE ") and "[leaf" not in explained, (shape.name, explained)


# ---- clients before 0.12 ----


@pytest.mark.parametrize("mode", ["single_node", "distributed"])
def test_older_clients_get_texts(mode: str, runner: Remote, source: pl.LazyFrame) -> None:
    for plan_type, number, ir, physical in (("dot", 1, "digraph", "digraph stages {"), ("plain", 2, "SINK", "STAGE ")):
        query = runner.submit(grouped(source), mode=mode, plan_type=plan_type)
        query.await_result()
        with caller(runner.cluster.ports.client) as call:
            answer = dict(read_fields(call(CLIENT + "GetQueryPlans", query_ref(str(query._query_id)))))
        texts = dict(read_fields(answer[1]))  # type: ignore[arg-type]
        assert texts[1] == number
        assert texts[2].decode().startswith(ir) and texts[3].decode().startswith(physical)  # type: ignore[union-attr]
        assert ("READ OF" in texts[3].decode()) == (mode == "distributed")  # type: ignore[union-attr]


# ---- Polars' text, taken apart ----


def types_of(node: plan_text.Node) -> list[Any]:
    return [node.type_id, *map(types_of, node.inputs)]


LF = pl.LazyFrame({"a": [1, 2], "b": [3, 4], "c": ["x", "y"]})
TEXTS = {
    "filter": (LF.filter(pl.col("a") > 1), ["Filter", ["DataFrameScan"]]),
    "select": (LF.select(pl.col("a") + 1, "b"), ["Select", ["DataFrameScan"]]),
    "with_columns": (LF.with_columns(d=pl.col("a").max()), ["HStack", ["DataFrameScan"]]),
    "group_by": (LF.group_by("a", maintain_order=True).agg(pl.len()), ["GroupBy", ["DataFrameScan"]]),
    "sort": (LF.sort("a", "b", descending=[True, False]), ["Sort", ["DataFrameScan"]]),
    "unique": (LF.unique("a", keep="first"), ["Distinct", ["DataFrameScan"]]),
    "group_by with_columns": (
        LF.with_columns(d=pl.col("a") + 1).group_by("d").agg(pl.col("a", "b", "c").max()),
        ["GroupBy", ["HStack", ["DataFrameScan"]]],
    ),
    "join and filter": (
        LF.join(LF, on="a").filter(pl.col("b") > pl.col("b_right")).select("a"),
        ["SimpleProjection", ["Filter", ["Join", ["DataFrameScan"], ["DataFrameScan"]]]],
    ),
    "slice": (LF.select(pl.col("a").sort()).slice(1, 2), ["Slice", ["Select", ["DataFrameScan"]]]),
    "join": (LF.join(LF, on="a", how="semi"), ["Join", ["DataFrameScan"], ["DataFrameScan"]]),
    "concat": (pl.concat([LF, LF.sort("a")]), ["Union", ["DataFrameScan"], ["Sort", ["DataFrameScan"]]]),
    "cache": (pl.concat([LF.sort("a")] * 2), ["Union", ["Cache", ["Sort", ["DataFrameScan"]]], ["Cache"]]),
    "window": (LF.with_columns(x=pl.col("a").sum().over("b")), ["SimpleProjection", ["HStack", ["Window", ["DataFrameScan"]]]]),
    "explode": (LF.with_columns(pl.concat_list("a")).explode("a"), ["MapFunction", ["HStack", ["DataFrameScan"]]]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_becomes_nodes(name: str) -> None:
    query, expected = TEXTS[name]
    text = query.explain(engine="streaming")
    assert types_of(plan_text.nodes_of(text)) == expected, text


def test_properties_of_nodes() -> None:
    node = plan_text.nodes_of(LF.sort("a", "c", descending=[True, False], nulls_last=[False, True]).head(1).explain())
    assert node.properties["sort_columns"] == [
        {"expr": 'col("a")', "descending": True, "nulls_last": False},
        {"expr": 'col("c")', "descending": False, "nulls_last": True},
    ]
    assert node.properties["slice"] == [0, 1, None]
    node = plan_text.nodes_of(LF.group_by(pl.col("a") % 2).agg(pl.col("b").sum(), x=pl.col("c").first()).explain())
    assert node.properties["keys"] == ['col("a") % 2'] or node.properties["keys"] == ['(col("a") % 2)']
    assert node.properties["aggs"] == ['col("b").sum()', 'col("c").first().alias("x")']


@pytest.mark.parametrize("text", ["", "A\n B\n  C", 'FILTER "\n', "FILTER x", "UNION[maintain_order: true]", "A\nB", 'SELECT ["\n"]', "  X" * 9])
def test_text_of_any_kind_is_a_node(text: str) -> None:
    plan_text.nodes_of(text)
    deep = "\n".join("  " * i + "X" for i in range(5000))
    assert plan_text.nodes_of(deep).properties["function"] == deep
