"""tests/cluster/test_revision.py: a query is planned again when it turns out otherwise than was guessed.
SPDX-License-Identifier: Apache-2.0

Guesses are made wrong by filters that keep all, or next to nothing, of what they look like.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from cluster import Cluster, ServiceCluster
from conftest import Remote
from equality import assert_same
from processes import wait_until
from test_stages import newest, shuffled, stages_of

PLANNER = """
    [scheduler.planner]
    small_rows = 0
    replicate_rows = 0
    broadcast_rows = 20_000
    task_bytes = 1
    partitions = 2
"""
ROWS = 100_000

pytestmark = pytest.mark.seconds(90)


def rows(n: int = ROWS) -> pl.LazyFrame:
    return pl.LazyFrame({"v": pl.int_range(n, eager=True), "five": pl.repeat(5, n, eager=True)})


def slowly(frame: pl.LazyFrame) -> pl.LazyFrame:
    def wait(s: pl.Series) -> pl.Series:
        time.sleep(0.5)
        return s

    return frame.with_columns(pl.col("v").map_batches(wait, return_dtype=pl.Int64, is_elementwise=True))


@pytest.fixture
def run(services: Callable[..., ServiceCluster], remote_to: Callable[[Cluster], Remote]) -> Callable[[pl.LazyFrame], dict[str, Any]]:
    """Runs a query; its answer equals that of local Polars; returns its stages."""
    cluster = services(scheduler_extra=PLANNER)

    def execute(query: pl.LazyFrame) -> dict[str, Any]:
        assert_same(remote_to(cluster).execute(query).lazy().collect(), query.collect(), ordered=False)
        wait_until(lambda: not shuffled(cluster), "files between stages are deleted")
        return stages_of(cluster, newest(cluster)["id"])

    return execute


def test_few_rows_where_many_were_guessed(run: Callable[[pl.LazyFrame], dict[str, Any]]) -> None:
    few = rows().filter(pl.col("v") >= ROWS - 3)
    shown = run(few.join(slowly(rows(2 * ROWS)), on="v"))
    assert shown["planned_again_because"] == ["stage 0 was thought to have 40000 rows and has 3"]
    assert [step["kind"] for step in shown["steps"]].count("capture") == 2
    assert any(step["given_up"] for step in shown["steps"])
    assert not any("by hash" in stage["why"] for stage in shown["stages"])
    assert any("goes to every task" in stage["why"] for stage in shown["stages"])


def test_many_rows_where_few_were_guessed(run: Callable[[pl.LazyFrame], dict[str, Any]]) -> None:
    all_of_them = rows().filter(pl.col("five") == 5)
    shown = run(all_of_them.join(rows(2 * ROWS), on="v"))
    assert shown["planned_again_because"] == ["stage 0 was thought to have 10000 rows and has 100000"]
    assert all("by hash" in stage["why"] for stage in shown["stages"] if not stage["final"])


def test_too_late_to_spare_anything(run: Callable[[pl.LazyFrame], dict[str, Any]]) -> None:
    """The other side's tasks come first, and have ended."""
    few = slowly(rows()).filter(pl.col("v") >= ROWS - 3)
    assert run(rows(2 * ROWS).join(few, on="v"))["planned_again_because"] == []


def test_every_plan_is_wrong(run: Callable[[pl.LazyFrame], dict[str, Any]]) -> None:
    """Again and again, but not for ever."""
    query = rows(2 * ROWS)
    for _ in range(4):
        query = rows().filter(pl.col("five") == 5).select("v").join(query, on="v")
    assert 1 <= len(run(query)["planned_again_because"]) <= 2
