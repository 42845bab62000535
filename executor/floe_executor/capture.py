"""What Polars would push through each cut: columns, filters, limits.

Consumers first, each stage's plan is optimized, not run, and its leaves take down what they are
asked for; that is put on top of their producers' plans before it is their turn.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from . import leaf
from .planning_pb2 import CapturedStage, CaptureRequest, CaptureResponse, LeafUse, StagePlan

IS_SELECTOR = b"\xa8Selector"  # MessagePack: in an expression that stands for columns it does not name


@dataclass(frozen=True)
class Recording(leaf.Unread):
    """Takes down what is asked: more than once when the leaf stands more than once in the plan."""

    asked: list[leaf.Asked] = field(default_factory=list)

    def resolve(self, asked: leaf.Asked) -> tuple[pl.LazyFrame, list[int]]:
        self.asked.append(asked)
        return super().resolve(asked)


def capture(request: CaptureRequest, engine: str, optimizations: pl.QueryOptFlags) -> CaptureResponse:
    sources = {source.leaf: leaf.Unread(leaf.read_schema(source.schema)) for source in request.sources}
    schemas: list[pl.Schema] = []
    asked: list[list[leaf.Asked] | None] = [None] * len(request.stages)  # of each stage; None: nobody reads it
    captured: list[CapturedStage] = []
    readers = Counter(producer for stage in request.stages for use in stage.leaves for producer in use.producers)
    with leaf.bound(sources) as readings:
        for stage in request.stages:
            readings.update({use.leaf: leaf.Unread(schemas[use.producers[0]]) for use in stage.leaves})
            schemas.append(rows_of(stage).collect_schema())
        if request.schemas_only:
            return CaptureResponse(stages=[CapturedStage(schema=leaf.write_schema(s)) for s in schemas])
        for number in reversed(range(len(schemas))):
            stage = request.stages[number]
            recordings = {use.leaf: Recording(schemas[use.producers[0]]) for use in stage.leaves}
            readings.update(recordings)
            captured.append(merged(asked[number], stage.keys, schemas[number]))
            reduced(rows_of(stage), captured[-1]).explain(engine=engine, optimizations=optimizations)  # type: ignore[arg-type]
            for use in stage.leaves:
                told = recordings[use.leaf].asked if alike(use, readers) else [EVERYTHING]
                for producer in use.producers:
                    asked[producer] = (asked[producer] or []) + told
    return CaptureResponse(stages=reversed(captured))


EVERYTHING = leaf.Asked(None, [], None)


def alike(use: LeafUse, readers: Counter[int]) -> bool:
    """Files of several producers stand behind one leaf: all have the same columns and filters. That
    holds when no other leaf wants something else of one of them."""
    return len(use.producers) == 1 or all(readers[producer] == 1 for producer in use.producers)


def rows_of(stage: StagePlan) -> pl.LazyFrame:
    return pl.LazyFrame.deserialize(io.BytesIO(stage.plan))


def merged(asked: list[leaf.Asked] | None, keys: Sequence[bytes], schema: pl.Schema) -> CapturedStage:
    """What serves all who ask. Who asks alone may have filters and a limit, too."""
    captured = CapturedStage(schema=leaf.write_schema(schema))
    if asked is None:
        return captured
    wanted: set[str] = set()
    for one in asked:
        wanted.update(schema if one.columns is None else one.columns)
    for key in keys:
        wanted.update(schema if IS_SELECTOR in key else leaf.expression(key).meta.root_names())
    if not wanted and schema:  # only the number of rows counts
        wanted = {min(schema, key=lambda name: leaf.empty_column(schema[name]).extend_constant(None, 8).estimated_size())}
    captured.columns.extend(name for name in schema if name in wanted)
    captured.has_columns = 0 < len(captured.columns) < len(schema)
    if not captured.has_columns:
        captured.ClearField("columns")
    if len(asked) == 1:
        captured.filters.extend(f.meta.serialize() for f in asked[0].filters if may_move(f))
        if asked[0].limit is not None and not asked[0].filters:
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
