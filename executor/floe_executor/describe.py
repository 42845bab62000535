"""What the planner wants to know of each node of a plan: names, dtypes, files, and a few things
that only Polars can tell. Nothing is run but counts of rows that footers of files hold.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable

import polars as pl

from . import leaf, sources
from .inputs import in_place, unread
from .planning_pb2 import Answer, DescribedNode, DescribeRequest, DescribeResponse, Node, Question
from .stream import refuse_unreadable

IS_DIAGONAL = b"\xa8diagonal\xc3"  # MessagePack: "diagonal": true


def describe(request: DescribeRequest) -> DescribeResponse:
    nodes: list[Described] = []
    for node in request.nodes:
        nodes.append(Described(node, {number: nodes[number] for number in node.inputs}))
    if request.streamed:
        refuse_unreadable(nodes[-1].schema)
    return DescribeResponse(nodes=[node.answer() for node in nodes])


class Described:
    def __init__(self, node: Node, below: dict[int, Described]) -> None:
        self._node = node
        self._inputs = [below[number] for number in node.inputs]
        self._found = sources.find(node.plan) if node.is_source else None
        self.schema = self._found.schema if self._found else self._schema_over(below)

    def _schema_over(self, below: dict[int, Described]) -> pl.Schema:
        plan = in_place(self._node.plan, {number: one.unread_plan for number, one in below.items()})
        return pl.LazyFrame.deserialize(io.BytesIO(plan)).collect_schema()

    @functools.cached_property
    def unread(self) -> pl.LazyFrame:
        return unread(self.schema)

    @functools.cached_property
    def unread_plan(self) -> bytes:
        return self.unread.serialize()

    def answer(self) -> DescribedNode:
        return DescribedNode(
            names=self.schema.names(),
            dtypes=map(str, self.schema.dtypes()),
            answers=map(self._answer, self._node.questions),
            source=self._found and self._found.source,
        )

    def _answer(self, question: Question) -> Answer:
        answer = ANSWERS.get(question.kind)
        return answer(self, question) if answer else Answer()

    def _columns(self, number: int, exprs: Iterable[bytes]) -> list[tuple[str, pl.DataType]]:
        """What the expressions make of an input, each by itself."""
        below = self._inputs[number]
        return [column for expr in exprs for column in below.columns(expr)]

    def columns(self, expr: bytes) -> list[tuple[str, pl.DataType]]:
        name = leaf.column_name(expr)
        if name in self.schema:
            return [(name, self.schema[name])]
        return list(self.unread.select(leaf.expression(expr)).collect_schema().items())

    def _expand(self, question: Question) -> Answer:
        return Answer(ok=True, names=[name for name, _ in self._columns(question.input, question.exprs)])

    def _dtype(self, question: Question) -> Answer:
        return Answer(ok=True, names=[str(dtype) for _, dtype in self._columns(question.input, question.exprs)])

    def _hashable(self, question: Question) -> Answer:
        return Answer(ok=all(is_hashable(dtype) for _, dtype in self._columns(question.input, question.exprs)))

    def _join_keys(self, question: Question) -> Answer:
        left = self._columns(0, question.exprs)
        right = self._columns(1, question.other)
        # a selector among them may stand for several keys: then who knows which are compared
        answer = Answer(ok=len(left) == len(question.exprs) == len(right) == len(question.other))
        keys = zip(question.exprs, left, question.other, right) if answer.ok else ()
        for mine, (_, my_dtype), other, (_, other_dtype) in keys:
            common = key_dtype(my_dtype, other_dtype)
            if common is None:
                return Answer(ok=False)
            answer.exprs.append(cast(mine, my_dtype, common))
            answer.other.append(cast(other, other_dtype, common))
        return answer

    def _conform(self, question: Question) -> Answer:
        schema = self._inputs[question.input].schema
        if schema == self.schema:
            return Answer(ok=True)
        diagonal = IS_DIAGONAL in self._node.plan
        if not diagonal and schema.names() != self.schema.names():
            return Answer(ok=False)  # an error, but only when it runs
        if not schema:
            return Answer(ok=False)  # literals alone have no height
        columns = (conformed(name, dtype, schema.get(name)) for name, dtype in self.schema.items())
        return Answer(ok=True, exprs=[column.meta.serialize() for column in columns])


ANSWERS: dict[int, Callable[[Described, Question], Answer]] = {
    Question.EXPAND: Described._expand,
    Question.DTYPE: Described._dtype,
    Question.HASHABLE: Described._hashable,
    Question.JOIN_KEYS: Described._join_keys,
    Question.CONFORM: Described._conform,
}


# ---- dtypes ----


def conformed(name: str, wanted: pl.DataType, found: pl.DataType | None) -> pl.Expr:
    if found is None:
        return pl.lit(None, wanted).alias(name)
    column = pl.col(name)
    return column if found.is_(wanted) else column.cast(wanted)


@functools.lru_cache(maxsize=4096)
def is_hashable(dtype: pl.DataType) -> bool:
    """Do equal values hash equally, in every process of this Polars? (-0.0 and 0.0, all NaN: yes.)"""
    if isinstance(dtype, pl.Struct):
        return all(is_hashable(field.dtype) for field in dtype.fields)
    if isinstance(dtype, (pl.List, pl.Array)):  # in these a category hashes as its number in this process
        return is_hashable(dtype.inner) and "Categorical" not in str(dtype.inner)
    if not isinstance(dtype, FLAT):
        return False
    return leaf.empty_column(dtype).extend_constant(None, 1).hash().len() == 1


FLAT = tuple(
    getattr(pl, name)
    for name in (
        "Boolean Int8 Int16 Int32 Int64 Int128 UInt8 UInt16 UInt32 UInt64 UInt128 Float16 Float32 Float64 "
        "Decimal String Binary Date Time Datetime Duration Categorical Enum Null"
    ).split()
    if hasattr(pl, name)
)


@functools.lru_cache(maxsize=4096)
def key_dtype(left: pl.DataType, right: pl.DataType) -> pl.DataType | None:
    """The dtype in which a join compares keys of these; None: it refuses, or who knows."""
    if not (is_hashable(left) and is_hashable(right)):
        return None
    if left.is_(right):
        return left
    if not ((left.is_integer() and right.is_integer()) or (left.is_float() and right.is_float())):
        return None  # refused
    sides = [leaf.empty_frame(pl.Schema({"key": dtype})).lazy() for dtype in (left, right)]
    try:  # what a join takes, it compares as what a relaxed union makes of it
        sides[0].join(sides[1], on="key").collect_schema()
        return pl.concat(sides, how="vertical_relaxed").collect_schema()["key"]
    except pl.exceptions.PolarsError:
        return None


def cast(expr: bytes, found: pl.DataType, wanted: pl.DataType) -> bytes:
    return expr if found.is_(wanted) else leaf.expression(expr).cast(wanted).meta.serialize()
