"""tests/cluster/test_planning.py: the executor's answers to the planner, and stages that read and write shuffle files.
SPDX-License-Identifier: Apache-2.0

The executor's modules run in this process, as built; what the planner would send is made by Polars:
a plan whose inputs are leaves serializes to the same node as the planner's own bytes.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest
from cluster import FLOE
from polars.testing import assert_frame_equal

sys.path.insert(0, str(FLOE.parent / "executor"))
from floe_executor import leaf, planning_pb2, task  # noqa: E402
from floe_executor.executor_pb2 import Boundaries, Done, Input, Run, Shuffle  # noqa: E402

DESCRIBE, CAPTURE, HEADS = 1, 2, 3
Question = planning_pb2.Question


class NoSignals:
    """An Interrupt that never comes."""

    def guard(self, work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        try:
            return work(), None
        except Exception as error:
            return None, error


def run(plan: bytes, **request: Any) -> Done:
    return task.run(Run(task=1, **request), task.Plan(plan, None), NoSignals())  # type: ignore[arg-type]


def ok(done: Done) -> Done:
    assert done.ok, (done.error_type, done.error_message)
    return done


def plan(frame: pl.LazyFrame) -> bytes:
    return frame.serialize()


def expr(e: pl.Expr) -> bytes:
    return e.meta.serialize()


def schema(**dtypes: Any) -> bytes:
    return leaf.write_schema(pl.Schema(dtypes))


def capture(stages: list[planning_pb2.StagePlan], **request: Any) -> list[planning_pb2.CapturedStage]:
    sources = request.pop("sources", [])
    asked = planning_pb2.CaptureRequest(stages=stages, sources=sources)
    done = ok(run(asked.SerializeToString(), call=CAPTURE, **request))
    return list(planning_pb2.CaptureResponse.FromString(done.answer).stages)


def captured_of(*frames: pl.LazyFrame, keys: tuple[pl.Expr, ...] = ()) -> list[planning_pb2.CapturedStage]:
    """The first frame is a stage; each other one reads it through leaf 0."""
    first = planning_pb2.StagePlan(plan=plan(frames[0]), keys=map(expr, keys))
    use = planning_pb2.LeafUse(leaf=0, producers=[0])
    return capture([first, *(planning_pb2.StagePlan(plan=plan(f), leaves=[use]) for f in frames[1:])])


# ---- leaves ----

FRAME = pl.DataFrame({"k": [1, 2, 3, 4, 5, 6], "s": ["a", "b", None, "d", "e", "f"], "x": [0.5, 1.5, 2.5, 3.5, None, 5.5]})


@pytest.fixture
def parts(tmp_path: Path) -> list[str]:
    """FRAME in three files, whose names do not sort in the order of its rows."""
    paths = [str(tmp_path / f"{name}[0].ipc") for name in ("z", "a", "m")]
    for i, path in enumerate(paths):
        FRAME.slice(2 * i, 2).write_ipc(path)
    return paths


def read(frame: pl.LazyFrame, out: Path, *inputs: Input) -> pl.DataFrame:
    ok(run(plan(frame), inputs=inputs, shuffle=Shuffle(directory=str(out), ordered=True)))
    return pl.read_ipc(out / "all.ipc")


@pytest.mark.parametrize(
    "query",
    [
        lambda f: f,
        lambda f: f.select(pl.len()),
        lambda f: f.select("x", "k"),
        lambda f: f.head(3),
        lambda f: f.filter(pl.col("k") > 1).select("s"),
        lambda f: f.filter(pl.col("k") > 1, pl.col("s") != "e").head(2),
        lambda f: f.join(f.filter(pl.col("x") > 1), on="k").select("k", "x_right"),
        lambda f: f.group_by("s").agg(pl.sum("x")).sort("s"),
        lambda f: f.select(pl.lit(1)),
    ],
)
@pytest.mark.parametrize("broadcast", [False, True])
def test_leaf_reads_its_files_in_order(query: Any, broadcast: bool, parts: list[str], tmp_path: Path) -> None:
    given = Input(leaf=3, paths=parts, schema=leaf.write_schema(FRAME.schema), broadcast=broadcast)
    out = read(query(leaf.frame(3)), tmp_path / "out", given)
    is_join = "join" in query(FRAME.lazy()).explain().lower()
    assert_frame_equal(out, query(FRAME.lazy()).collect(), check_row_order=not is_join)


def test_columns_stand_in_the_order_of_the_schema(tmp_path: Path) -> None:
    FRAME.select("x", "k").write_ipc(tmp_path / "in.ipc")
    given = Input(leaf=0, paths=[str(tmp_path / "in.ipc")], schema=schema(k=pl.Int64(), x=pl.Float64()))
    assert read(leaf.frame(0), tmp_path / "out", given).columns == ["k", "x"]


def test_a_leaf_without_files_is_empty(tmp_path: Path) -> None:
    given = Input(leaf=0, schema=leaf.write_schema(FRAME.schema))
    query = leaf.frame(0).filter(pl.col("k") > 1).select("s", "k")
    assert_frame_equal(read(query, tmp_path / "out", given), FRAME.clear().select("s", "k"))


def test_the_bytes_that_the_planner_writes_are_a_leaf(tmp_path: Path, parts: list[str]) -> None:
    """The planner replaces Polars' own pickle, which stands in the plan as an array of small integers."""
    written = plan(leaf.frame(70_000))
    start = written.index(b"\xa8resolver", written.index(b"\xa6Python")) + len(b"\xa8resolver")
    end = written.index(b"\xafresolver_schema")
    pickle = b"\x80\x02cfloe_executor.leaf\nLeaf\n)\x81}X\x06\x00\x00\x00numberJ" + (70_000).to_bytes(4, "little") + b"sb."
    by_hand = bytes([0, *sys.version_info[1:3]]) + pickle
    written = written[:start] + b"\xc4" + bytes([len(by_hand)]) + by_hand + written[end:]
    given = Input(leaf=70_000, paths=parts, schema=leaf.write_schema(FRAME.schema))
    ok(run(written, inputs=[given], shuffle=Shuffle(directory=str(tmp_path / "out"))))
    assert_frame_equal(pl.read_ipc(tmp_path / "out/all.ipc"), FRAME)


def test_columns_that_nobody_needs_are_named_but_not_in_the_files(tmp_path: Path) -> None:
    FRAME.select("k").write_ipc(tmp_path / "in.ipc")
    given = Input(leaf=0, paths=[str(tmp_path / "in.ipc")], schema=leaf.write_schema(FRAME.schema))
    query = leaf.frame(0).select("s", "k").select("k")
    assert_frame_equal(read(query, tmp_path / "out", given), FRAME.select("k"))
    done = run(plan(leaf.frame(0).select("s")), inputs=[given], shuffle=Shuffle(directory=str(tmp_path)))
    assert not done.ok and "have no columns ['s']" in done.error_message


def test_only_applied_filters_are_left_out(tmp_path: Path, parts: list[str]) -> None:
    """The files still have rows that the filters would drop, so that leaving out shows."""
    captured, _ = captured_of(FRAME.lazy(), leaf.frame(0).filter(pl.col("k") > 2))
    given = Input(leaf=0, paths=parts, schema=captured.schema, applied_filters=captured.filters)
    assert len(given.applied_filters) == 1
    query = leaf.frame(0).filter(pl.col("k") > 2).filter(pl.col("s") != "e")
    assert read(query, tmp_path / "out", given)["k"].to_list() == [1, 2, 4, 6]


def test_leaves_are_bound_for_one_task(parts: list[str], tmp_path: Path) -> None:
    given = Input(leaf=0, paths=parts, schema=leaf.write_schema(FRAME.schema))
    read(leaf.frame(0), tmp_path / "out", given)
    done = run(plan(leaf.frame(0)))
    assert not done.ok and "leaf 0 of the plan has no input" in done.error_message
