"""What Polars would push through each cut: columns, filters, limits.

Consumers first, each stage's plan is optimized, not run, and its leaves take down what they are
asked for; that is put on top of their producers' plans before it is their turn.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from . import leaf
from .inputs import in_place, unread
from .planning_pb2 import CapturedStage, CapturedUse, CaptureRequest, CaptureResponse, LeafUse, StagePlan

MAX_LIMIT = 1 << 62  # more is no limit: the rows after an offset
IS_SELECTOR = b"\xa8Selector"  # MessagePack: in an expression that stands for columns it does not name


def capture(request: CaptureRequest, engine: str, optimizations: pl.QueryOptFlags) -> CaptureResponse:
    sources = {source.leaf: unread(leaf.read_schema(source.schema)) for source in request.sources}
    plans: list[bytes] = []
    schemas: list[pl.Schema] = []
    for stage in request.stages:
        plans.append(in_place(stage.plan, sources))
        below = {use.leaf: unread(schemas[use.producers[0]]) for use in stage.leaves}
        schemas.append(rows_of(in_place(plans[-1], below)).collect_schema())
    if request.schemas_only:
        return CaptureResponse(stages=[as_it_is(stage, schemas) for stage in request.stages])
    asked: list[list[leaf.Asked] | None] = [None] * len(plans)  # of each stage; None: nobody reads it
    captured: list[CapturedStage] = []
    readers = Counter(producer for stage in request.stages for use in stage.leaves for producer in use.producers)
    for number in reversed(range(len(plans))):
        stage = request.stages[number]
        recordings = {use.leaf: leaf.Unread(schemas[use.producers[0]]) for use in stage.leaves}
        captured.append(merged(asked[number], stage.keys, schemas[number]))
        with leaf.bound(recordings):
            reduced(rows_of(plans[number]), captured[-1]).explain(engine=engine, optimizations=optimizations)  # type: ignore[arg-type]
        for use in stage.leaves:
            asked_here = told_of(recordings[use.leaf])
            captured[-1].leaves.append(wanted_of(use, asked_here, recordings[use.leaf].schema))
            told = asked_here if alike(use, readers) else [EVERYTHING]
            for producer in use.producers:
                asked[producer] = (asked[producer] or []) + told
    return CaptureResponse(stages=reversed(captured))


def as_it_is(stage: StagePlan, schemas: list[pl.Schema]) -> CapturedStage:
    uses = (CapturedUse(leaf=use.leaf, schema=leaf.write_schema(schemas[use.producers[0]])) for use in stage.leaves)
    return CapturedStage(leaves=uses)


def told_of(recording: leaf.Unread) -> list[leaf.Asked]:
    """A leaf has a column at least, even when only the number of rows counts, or not even that."""
    one = cheapest(recording.schema)
    asked = recording.asked or [leaf.Asked(one, [], None)]
    return [a if a.columns is None or a.columns else replace(a, columns=one) for a in asked]


def wanted_of(use: LeafUse, told: list[leaf.Asked], schema: pl.Schema) -> CapturedUse:
    names = {name for asked in told for name in (schema if asked.columns is None else asked.columns)}
    wanted = pl.Schema({name: dtype for name, dtype in schema.items() if name in names})
    captured = CapturedUse(leaf=use.leaf, schema=leaf.write_schema(wanted))
    if len(wanted) < len(schema):
        columns = (pl.col(n) if n in wanted else null(dtype).alias(n) for n, dtype in schema.items())
        captured.exprs.extend(column.meta.serialize() for column in columns)
    return captured


@functools.lru_cache(maxsize=4096)
def null(dtype: pl.DataType) -> pl.Expr:
    return pl.lit(None, dtype)


def cheapest(schema: pl.Schema) -> list[str]:
    return [min(schema, key=lambda name: weight(schema[name]))] if schema else []


@functools.lru_cache(maxsize=4096)
def weight(dtype: pl.DataType) -> tuple[bool, int]:
    """Orders dtypes by what a row takes in a file; text may take anything."""
    return dtype in (pl.String, pl.Binary), leaf.empty_column(dtype).extend_constant(None, 64).estimated_size()


EVERYTHING = leaf.Asked(None, [], None)


def alike(use: LeafUse, readers: Counter[int]) -> bool:
    """Files of several producers stand behind one leaf: all have the same columns and filters. That
    holds when no other leaf wants something else of one of them."""
    return len(use.producers) == 1 or all(readers[producer] == 1 for producer in use.producers)


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
        wanted.update(schema if IS_SELECTOR in key else leaf.expression(key).meta.root_names())
    captured.columns.extend(name for name in schema if name in wanted)
    captured.has_columns = 0 < len(captured.columns) < len(schema)
    if not captured.has_columns:
        captured.ClearField("columns")
    if len(asked) == 1:
        captured.filters.extend(f.meta.serialize() for f in asked[0].filters if may_move(f))
        if asked[0].limit is not None and asked[0].limit < MAX_LIMIT and not asked[0].filters:
            captured.has_limit, captured.limit = True, asked[0].limit
    return captured


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
