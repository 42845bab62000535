"""What Polars would push through each cut: columns, filters, limits.

Consumers first, each stage's plan is optimized, not run, and what is asked of its leaves is put on
top of their producers' plans before it is their turn.

In the optimized plan a leaf is a scan that shows its columns and its limit. A filter it does not
show as an expression: only where there is one, the stage is optimized once more, over leaves that
Polars asks. That takes a millisecond or two; all else together does not.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from . import leaf
from .inputs import in_place, unread
from .scans import unopened
from .planning_pb2 import CapturedStage, CapturedUse, CaptureRequest, CaptureResponse, LeafUse, StagePlan

MAX_LIMIT = 1 << 62  # more is no limit: the rows after an offset
IS_SELECTOR = b"\xa8Selector"  # MessagePack: in an expression that stands for columns it does not name


def capture(request: CaptureRequest, engine: str, optimizations: pl.QueryOptFlags) -> CaptureResponse:
    sources = {source.leaf: unread(leaf.read_schema(source.schema)).serialize() for source in request.sources}
    stages: list[Stage] = []
    for plan in request.stages:
        stages.append(Stage(plan, sources, [stages[use.producers[0]].schema for use in plan.leaves]))
    if request.schemas_only:
        return CaptureResponse(stages=map(as_it_is, stages))
    flags = optimizations.__copy__()  # as LazyFrame.explain does
    flags._pyoptflags.streaming = engine == "streaming"
    asked: list[list[leaf.Asked] | None] = [None] * len(stages)  # of each stage; None: nobody reads it
    captured: list[CapturedStage] = []
    readers = Counter(producer for stage in stages for use in stage.uses for producer in use.producers)
    for number, stage in reversed(list(enumerate(stages))):
        captured.append(merged(asked[number], stage.keys, stage.schema))
        alone = {use.leaf for use in stage.uses if all(readers[producer] == 1 for producer in use.producers)}
        asked_here = stage.asks(captured[-1], flags, alone)
        for use in stage.uses:
            told = at_least_one(asked_here[use.leaf], stage.below[use.leaf])
            captured[-1].leaves.append(wanted_of(use, told, stage.below[use.leaf]))
            for producer in use.producers:
                asked[producer] = (asked[producer] or []) + (told if is_alike(use, alone) else [EVERYTHING])
    return CaptureResponse(stages=reversed(captured))


class Stage:
    def __init__(self, stage: StagePlan, sources: Mapping[int, bytes], below: list[pl.Schema]) -> None:
        self.uses = stage.leaves
        self.keys = stage.keys
        self.below = {use.leaf: schema for use, schema in zip(stage.leaves, below)}
        self._plan = stage.plan
        self._scans = dict(sources) | {number: shown(number, schema).serialize() for number, schema in self.below.items()}
        self._rows = rows_of(in_place(self._plan, self._scans))
        self.schema = self._rows.collect_schema()

    def asks(self, captured: CapturedStage, flags: pl.QueryOptFlags, alone: set[int]) -> dict[int, list[leaf.Asked]]:
        """Of each leaf; one that stands more than once may be asked more than once. Filters only of
        leaves in `alone`: nobody could use others."""
        if not self.uses:
            return {}
        asked, filtered = self._shown(captured, flags)
        unclear = {number for number in filtered & alone if len(asked[number]) == 1}
        unclear |= {number for number in asked if not asked[number]}
        return asked | self._told(captured, flags, unclear) if unclear else asked

    def _shown(self, captured: CapturedStage, flags: pl.QueryOptFlags) -> tuple[dict[int, list[leaf.Asked]], set[int]]:
        """What the scans in place of the leaves show, and those that have a filter."""
        numbers = {shown_path(number): number for number in self.below}
        asked: dict[int, list[leaf.Asked]] = {number: [] for number in self.below}
        filtered = set()
        for end in ends_of(reduced(self._rows, captured), flags):
            if type(end).__name__ != "Scan":
                continue  # a source; or Polars does not show it, and then we miss a leaf
            (number,) = (numbers[path] for path in end.paths)
            options = end.file_options
            if end.predicate is not None:
                filtered.add(number)
            limit = limit_of(options.n_rows) if end.predicate is None else None
            asked[number].append(leaf.Asked(options.with_columns, [], limit))
        return asked, filtered

    def _told(self, captured: CapturedStage, flags: pl.QueryOptFlags, leaves: set[int]) -> dict[int, list[leaf.Asked]]:
        """What Polars asks these leaves."""
        scans = {number: scan for number, scan in self._scans.items() if number not in leaves}
        recordings = {number: leaf.Unread(self.below[number]) for number in leaves}
        with leaf.bound(recordings), leaf.pyarrow_hidden():
            optimized(reduced(rows_of(in_place(self._plan, scans)), captured), flags).describe_optimized_plan()
        return {number: recording.asked for number, recording in recordings.items()}


def optimized(rows: pl.LazyFrame, flags: pl.QueryOptFlags) -> Any:
    return rows._ldf.with_optimizations(flags._pyoptflags)


# ---- leaves as scans ----


def shown_path(number: int) -> str:
    return f"/dev/null/{number}"  # where no file can be


def shown(number: int, schema: pl.Schema) -> pl.LazyFrame:
    """Without a path Polars would see that it is empty."""
    return unopened([shown_path(number)], schema)


def ends_of(rows: pl.LazyFrame, flags: pl.QueryOptFlags) -> Iterator[Any]:
    """The nodes of the optimized plan that have no inputs; None for one that Polars does not show."""
    plan = optimized(rows, flags).visit()
    left, seen = [plan.get_node()], set()
    while left:
        number = left.pop()
        if number in seen:
            continue
        seen.add(number)
        plan.set_node(number)
        inputs = plan.get_inputs()
        left += inputs
        if not inputs:
            yield view(plan)


def view(plan: Any) -> Any:
    try:
        return plan.view_current_node()
    except NotImplementedError:
        return None


def limit_of(rows: tuple[int, int] | None) -> int | None:
    return rows[0] + rows[1] if rows and rows[0] >= 0 else None


# ---- answers ----


def as_it_is(stage: Stage) -> CapturedStage:
    return CapturedStage(leaves=[CapturedUse(leaf=use.leaf, schema=leaf.write_schema(stage.below[use.leaf])) for use in stage.uses])


def at_least_one(asked: list[leaf.Asked], schema: pl.Schema) -> list[leaf.Asked]:
    """A leaf has a column at least, even when only the number of rows counts, or not even that."""
    if asked and all(a.columns is None or a.columns for a in asked):
        return asked
    one = cheapest(schema)
    return [a if a.columns is None or a.columns else replace(a, columns=one) for a in asked or [leaf.Asked(one, [], None)]]


def wanted_of(use: LeafUse, told: list[leaf.Asked], schema: pl.Schema) -> CapturedUse:
    names = {name for asked in told for name in (schema if asked.columns is None else asked.columns)}
    wanted = pl.Schema({name: dtype for name, dtype in schema.items() if name in names})
    captured = CapturedUse(leaf=use.leaf, schema=leaf.write_schema(wanted))
    if len(wanted) < len(schema):
        captured.exprs.extend(column(name) if name in wanted else null(name, dtype) for name, dtype in schema.items())
    return captured


@functools.lru_cache(maxsize=4096)
def column(name: str) -> bytes:
    return pl.col(name).meta.serialize()


@functools.lru_cache(maxsize=4096)
def null(name: str, dtype: pl.DataType) -> bytes:
    return pl.lit(None, dtype).alias(name).meta.serialize()


def cheapest(schema: pl.Schema) -> list[str]:
    return [min(schema, key=lambda name: weight(schema[name]))] if schema else []


@functools.lru_cache(maxsize=4096)
def weight(dtype: pl.DataType) -> tuple[bool, int]:
    """Orders dtypes by what a row takes in a file; text may take anything."""
    return dtype in (pl.String, pl.Binary), leaf.empty_column(dtype).extend_constant(None, 64).estimated_size()


EVERYTHING = leaf.Asked(None, [], None)


def is_alike(use: LeafUse, alone: set[int]) -> bool:
    """Files of several producers stand behind one leaf: all have the same columns and filters. That
    holds when no other leaf wants something else of one of them."""
    return len(use.producers) == 1 or use.leaf in alone


def rows_of(plan: bytes) -> pl.LazyFrame:
    return pl.LazyFrame.deserialize(io.BytesIO(plan))


def merged(asked: list[leaf.Asked] | None, keys: Sequence[bytes], schema: pl.Schema) -> CapturedStage:
    """What serves all who ask. Who asks alone may have filters and a limit, too."""
    captured = CapturedStage()
    if asked is None:
        return captured
    wanted: set[str] = set()
    for one in asked:
        wanted.update(schema if one.columns is None else one.columns)
    for key in keys:
        wanted.update(schema if IS_SELECTOR in key else columns_of(key))
    captured.columns.extend(name for name in schema if name in wanted)
    captured.has_columns = 0 < len(captured.columns) < len(schema)
    if not captured.has_columns:
        captured.ClearField("columns")
    if len(asked) == 1:
        captured.filters.extend(f.meta.serialize() for f in asked[0].filters if may_move(f))
        if asked[0].limit is not None and asked[0].limit < MAX_LIMIT and not asked[0].filters:
            captured.has_limit, captured.limit = True, asked[0].limit
    return captured


def columns_of(expr: bytes) -> list[str]:
    name = leaf.column_name(expr)
    return [name] if name is not None else leaf.expression(expr).meta.root_names()


def may_move(predicate: pl.Expr) -> bool:
    """It tells the same of a row wherever it is asked. Polars cannot say that of Python's functions."""
    try:
        return predicate.meta.is_row_separable()
    except pl.exceptions.PolarsError:
        return False


def reduced(rows: pl.LazyFrame, captured: CapturedStage) -> pl.LazyFrame:
    for predicate in captured.filters:
        rows = rows.filter(leaf.expression(predicate))
    if captured.has_columns:
        rows = rows.select(list(captured.columns))
    return rows.head(captured.limit) if captured.has_limit else rows
