"""The leaves of a stage's plan: where the rows of earlier stages come in.

The planner puts a Resolver node in place of an input that it cut off, and writes it by hand: only
the Leaf's `number` travels. When a plan is optimized, Polars tells the leaf what it would push
through. For all else, inputs.py puts scans in place of leaves.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

try:
    from polars.lazyframe.resolver import LazyFrameResolver
except ImportError:  # before Polars 2.0, whose plans have no leaves
    LazyFrameResolver = object  # type: ignore[assignment,misc]


@dataclass(frozen=True)
class Asked:
    """What Polars wants of a leaf."""

    columns: list[str] | None  # with those of the filters; None: all
    filters: list[pl.Expr]
    limit: int | None


@dataclass(frozen=True)
class Unread:
    """What a leaf stands for: names and dtypes, no rows. Takes down what it is asked: more than once
    when the leaf stands more than once in a plan."""

    schema: pl.Schema
    asked: list[Asked] = field(default_factory=list)


_bound: dict[int, Unread] = {}


@contextmanager
def bound(leaves: Mapping[int, Unread]) -> Iterator[None]:
    """Within, Leaf(n) is leaves[n]."""
    _bound.update(leaves)
    try:
        yield
    finally:
        _bound.clear()


@contextmanager
def pyarrow_hidden() -> Iterator[None]:
    """Within, Polars does not tell leaves each filter in PyArrow's words, too: that takes as long as
    all else of it, and at first the import of PyArrow."""
    name = "pyarrow.compute"
    module = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if module:
            sys.modules[name] = module


class Leaf(LazyFrameResolver):
    number: int

    def schema(self) -> pl.Schema:
        return self._bound().schema

    def _bound(self) -> Unread:
        if self.number not in _bound:
            raise RuntimeError(f"leaf {self.number} of the plan has no input; this is an error of Floe")
        return _bound[self.number]

    def resolve_lazyframe(
        self,
        *,
        projection: list[str] | None,
        limit: int | None,
        filters: list[Any],
        filter_columns: list[str],
        **_: object,
    ) -> pl.LazyFrame:
        unread = self._bound()
        columns = None if projection is None else list(dict.fromkeys(projection + filter_columns))
        unread.asked.append(Asked(columns, [f.expr for f in filters], limit))
        names = unread.schema if columns is None else columns
        return empty_frame(pl.Schema({name: unread.schema[name] for name in names})).lazy()


def frame(number: int) -> pl.LazyFrame:
    leaf = Leaf()
    leaf.number = number
    return leaf.lazy()


def node(number: int) -> bytes:
    """A leaf in a plan, byte for byte as src/plan/dsl.c writes it."""
    pickle = b"\x80\x02cfloe_executor.leaf\nLeaf\n)\x81}X\x06\0\0\0numberJ%bsb." % number.to_bytes(4, "little")
    resolver = b"\x81\xa7variant\x81\xa6Python\x81\xa8resolver\xc4\x34\x00\x0b\x07" + pickle
    return b"\x81\xa8Resolver\x82\xa8resolver" + resolver + b"\xafresolver_schema\xc0"


def expression(data: bytes) -> pl.Expr:
    return pl.Expr.deserialize(io.BytesIO(data))


COLUMN = re.compile(rb"\x81\xa6Column(?:[\xa0-\xbf]|\xd9.|\xda..)(.*)", re.DOTALL)


def column_name(data: bytes) -> str | None:
    """Of an expression that is a column and no more."""
    column = COLUMN.fullmatch(data)
    return column[1].decode() if column else None


@functools.lru_cache(maxsize=4096)
def empty_column(dtype: pl.DataType) -> pl.Series:
    return pl.Series(dtype=dtype)


def empty_frame(schema: pl.Schema) -> pl.DataFrame:
    """pl.DataFrame(schema=…), several times faster."""
    return pl.DataFrame([empty_column(dtype).alias(name) for name, dtype in schema.items()])


def write_schema(schema: pl.Schema) -> bytes:
    return empty_frame(schema).serialize()


@functools.lru_cache(maxsize=64)
def read_schema(data: bytes) -> pl.Schema:
    return pl.DataFrame.deserialize(io.BytesIO(data)).schema
