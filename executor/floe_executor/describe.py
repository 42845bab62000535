"""What the planner wants to know of each node of a plan: names, dtypes, files, and a few things
that only Polars can tell. Nothing is run but counts of rows that footers of files hold.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from . import leaf
from .inputs import in_place, unread
from .planning_pb2 import Answer, DescribedNode, DescribeRequest, DescribeResponse, Node, Question, Source

MAX_COUNTED_FILES = 64  # of one source, that were not counted before
MAX_REMEMBERED = 1 << 16
COUNTS: dict[str, Callable[[str], pl.LazyFrame]] = {
    "parquet": functools.partial(pl.scan_parquet, glob=False, hive_partitioning=False),
    "ipc": functools.partial(pl.scan_ipc, glob=False, hive_partitioning=False),
}
IS_DIAGONAL = b"\xa8diagonal\xc3"  # MessagePack: "diagonal": true


def describe(request: DescribeRequest) -> DescribeResponse:
    nodes: list[Described] = []
    for node in request.nodes:
        nodes.append(Described(node, {number: nodes[number] for number in node.inputs}))
    return DescribeResponse(nodes=[node.answer() for node in nodes])


class Described:
    def __init__(self, node: Node, below: dict[int, Described]) -> None:
        self._node = node
        self._inputs = [below[number] for number in node.inputs]
        plan = in_place(node.plan, {number: one.unread for number, one in below.items()})
        self._frame = pl.LazyFrame.deserialize(io.BytesIO(plan))
        self.schema = self._frame.collect_schema()
        self.unread = unread(self.schema)

    def answer(self) -> DescribedNode:
        described = DescribedNode(
            names=self.schema.names(),
            dtypes=map(str, self.schema.dtypes()),
            answers=map(self._answer, self._node.questions),
        )
        if self._node.is_source:
            described.source.CopyFrom(source(self._node.plan, self._frame, self.schema))
        return described

    def _answer(self, question: Question) -> Answer:
        answer = ANSWERS.get(question.kind)
        return answer(self, question) if answer else Answer()

    def _columns(self, number: int, exprs: Iterable[bytes]) -> list[tuple[str, pl.DataType]]:
        """What the expressions make of an input, each by itself."""
        rows = self._inputs[number].unread
        return [c for e in exprs for c in rows.select(leaf.expression(e)).collect_schema().items()]

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


# ---- sources ----


def source(plan: bytes, frame: pl.LazyFrame, schema: pl.Schema) -> Source:
    kind, scan = scan_of(plan, frame)
    held = {name: dtype for name, dtype in schema.items() if name not in made_by(scan)}
    found = Source(
        schema=leaf.write_schema(schema),
        frame=leaf.empty_frame(pl.Schema(held)).lazy().serialize(),
    )
    if kind == "DataFrameScan":
        found.rows = frame.select(pl.len()).collect(engine="in-memory").item()
        found.has_rows = True
    if scan is None:
        return found
    paths = [str(path) for path in scan.paths]
    sizes = scan.source_sizes or ()
    if len(sizes) != len(paths):
        sizes = map(size_of, paths)
    for path, size in zip(paths, sizes):
        found.files.add(path=path, bytes=size)
    if scan.hive_parts is not None:
        found.has_hive, found.hive_start = True, scan.file_options.hive_options["hive_start_idx"]
    if kind in COUNTS and count(found, COUNTS[kind]):
        found.has_rows = True
        found.rows = sum(file.rows for file in found.files)
    return found


def scan_of(plan: bytes, frame: pl.LazyFrame) -> tuple[str, Any]:
    """What is read, and the scan of files as Polars sees it: folders and patterns expanded."""
    try:
        node = frame._ldf.visit().view_current_node()
    except NotImplementedError as error:
        at = plan.rfind(IPC)
        if at < 0 or "ipc" not in str(error):
            return "", None
        plan = plan[:at] + no_parquet()
        return "ipc", pl.LazyFrame.deserialize(io.BytesIO(plan))._ldf.visit().view_current_node()
    if type(node).__name__ != "Scan":
        return type(node).__name__, None
    return node.scan_type[0], node


IPC = b"\xa9scan_type\x81\xa3Ipc"  # MessagePack: the last field of a scan


@functools.cache
def no_parquet() -> bytes:
    """Polars shows every scan but those of ipc: the same as one of parquet, which opens no file when
    its schema is given. The end of its plan, from its type on."""
    plan = pl.scan_parquet([], schema={}).serialize()
    return plan[plan.rindex(b"\xa9scan_type") :]


def made_by(scan: Any) -> tuple[str | None, ...]:
    """Columns that neither files nor their folders hold."""
    if scan is None:
        return ()
    options = scan.file_options
    return (options.include_file_paths, options.row_index[0] if options.row_index else None)


def local_path(path: str) -> str | None:
    path = path[len("file://") :] if path.startswith("file://") else path
    return None if "://" in path else path


def size_of(path: str) -> int:
    local = local_path(path)
    try:
        return os.stat(local).st_size if local else 0
    except OSError:
        return 0


_rows: dict[tuple[object, ...], int] = {}  # of files that do not change: all else would be a new key


def count(found: Source, scan: Callable[[str], pl.LazyFrame]) -> bool:
    """The rows of each file, from its footer; False when that would take long."""
    keys = [identity(file.path) for file in found.files]
    new = [i for i, key in enumerate(keys) if key not in _rows]
    if None in keys or len(new) > MAX_COUNTED_FILES:
        return False
    try:
        counts = pl.collect_all(scan(found.files[i].path).select(pl.len()) for i in new) if new else []
    except pl.exceptions.PolarsError:
        return False  # a file that cannot be read, and perhaps need not be
    if len(_rows) + len(new) > MAX_REMEMBERED:
        _rows.clear()
    _rows.update((keys[i], counted.item()) for i, counted in zip(new, counts))
    for file, key in zip(found.files, keys):
        file.rows, file.has_rows = _rows[key], True
    return True


def identity(path: str) -> tuple[object, ...] | None:
    local = local_path(path)
    try:
        s = os.stat(local) if local else None
    except OSError:
        return None
    return (local, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) if s else None
