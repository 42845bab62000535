"""The leaves of a stage's plan: where the rows of earlier stages come in.

The planner puts a Resolver node in place of an input that it cut off, and writes the pickle of its
Leaf by hand: only `number` travels. What a leaf reads is bound for the length of one task. Polars
asks it while it optimizes and takes what it is given into the plan.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from .executor_pb2 import Input

try:
    from polars.lazyframe.resolver import LazyFrameResolver, ResolvedLazyFrameProps
except ImportError:  # before Polars 2.0, whose plans have no leaves
    LazyFrameResolver = object  # type: ignore[assignment,misc]


@dataclass(frozen=True)
class Asked:
    """What Polars wants of a leaf; it applies filters and limit itself, too."""

    columns: list[str] | None  # with those of the filters; None: all
    filters: list[pl.Expr]
    limit: int | None


class Reading(Protocol):
    """What a leaf stands for in this task."""

    schema: pl.Schema

    def resolve(self, asked: Asked) -> tuple[pl.LazyFrame, list[int]]:
        """A frame with the columns asked for, and which of the filters need not be applied again."""


_bound: dict[int, Reading] = {}


@contextmanager
def bound(readings: Mapping[int, Reading]) -> Iterator[dict[int, Reading]]:
    """Within, Leaf(n) is readings[n]; what is yielded may be added to."""
    _bound.update(readings)
    try:
        yield _bound
    finally:
        _bound.clear()


class Leaf(LazyFrameResolver):
    number: int

    def _reading(self) -> Reading:
        if self.number not in _bound:
            raise RuntimeError(f"leaf {self.number} of the plan has no input; this is an error of Floe")
        return _bound[self.number]

    def schema(self) -> pl.Schema:
        return self._reading().schema

    def resolve_lazyframe(
        self,
        *,
        projection: list[str] | None,
        limit: int | None,
        filters: list[Any],
        filter_columns: list[str],
        **_: object,
    ) -> tuple[pl.LazyFrame, ResolvedLazyFrameProps]:
        columns = None if projection is None else list(dict.fromkeys(projection + filter_columns))
        asked = Asked(columns, [f.expr for f in filters], limit)
        rows, applied = self._reading().resolve(asked)
        return rows, ResolvedLazyFrameProps(applied_filters=applied)

    def cse_eq(self, other: object) -> bool:
        return isinstance(other, Leaf) and other._reading() == self._reading()


def frame(number: int) -> pl.LazyFrame:
    leaf = Leaf()
    leaf.number = number
    return leaf.lazy()


@dataclass(frozen=True, eq=False)
class Unread:
    """Names and dtypes, but no rows: for questions about a plan that does not run."""

    schema: pl.Schema

    def resolve(self, asked: Asked) -> tuple[pl.LazyFrame, list[int]]:
        columns = self.schema if asked.columns is None else asked.columns
        return empty_frame(pl.Schema({name: self.schema[name] for name in columns})).lazy(), []


SCANS = {
    False: functools.partial(pl.scan_ipc, glob=False, hive_partitioning=False),
    True: functools.partial(pl.scan_parquet, glob=False, hive_partitioning=False),
}


class Files:
    """The files that earlier stages wrote, one after the other. They may have more columns than the
    schema: what other stages need."""

    def __init__(self, given: Input) -> None:
        self._given = given
        self.schema = read_schema(given.schema)

    def __eq__(self, other: object) -> bool:
        """Do they read the same?"""
        same = isinstance(other, Files) and self.schema == other.schema
        return same and self._given.paths == other._given.paths and self._given.broadcast == other._given.broadcast

    __hash__ = None  # type: ignore[assignment]

    def resolve(self, asked: Asked) -> tuple[pl.LazyFrame, list[int]]:
        given = self._given
        if not given.paths:
            return Unread(self.schema).resolve(asked)
        # The order counts: Polars takes the frame's, not the schema's.
        names = list(self.schema) if asked.columns is None else asked.columns
        rows = SCANS[given.parquet](list(given.paths)).select(names)
        if given.broadcast:
            # Makes Polars filter the other side of a join by the keys of this one while it reads.
            rows = rows.filter(pl.lit(True))
        applied = set(given.applied_filters)
        return rows, [i for i, f in enumerate(asked.filters) if applied and f.meta.serialize() in applied]


def expression(data: bytes) -> pl.Expr:
    return pl.Expr.deserialize(io.BytesIO(data))


@functools.lru_cache(maxsize=4096)
def empty_column(dtype: pl.DataType) -> pl.Series:
    return pl.Series(dtype=dtype)


def empty_frame(schema: pl.Schema) -> pl.DataFrame:
    """pl.DataFrame(schema=…), several times faster."""
    return pl.DataFrame([empty_column(dtype).alias(name) for name, dtype in schema.items()])


def write_schema(schema: pl.Schema) -> bytes:
    return empty_frame(schema).serialize()


def read_schema(data: bytes) -> pl.Schema:
    return pl.DataFrame.deserialize(io.BytesIO(data)).schema
