"""A result's rows on their way to the query's client: one Arrow IPC stream.

The scheduler sends its messages on as they are (src/flight), and the client takes none of more than
4 MiB. How many rows that is shows when they are written.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import io
import os
from typing import IO, Any

import polars as pl

from .executor_pb2 import Done, Shuffle

MESSAGE_BYTES = 1 << 20  # what a message should have …
MOST_BYTES = (4 << 20) - 1024  # … and what it may have, for some is added on the way
FIRST_ROWS = 1024  # of the first message
MOST_ROWS = 1 << 20
END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream
NAME = "rows.arrows"


def write(rows: pl.LazyFrame, to: Shuffle, done: Done, **how: Any) -> None:
    schema = rows.collect_schema()
    refuse_unreadable(schema)
    with open(os.path.join(to.directory, NAME), "wb") as file:
        messages = Messages(file, schema)
        for batch in rows.collect_batches(maintain_order=to.ordered, **how):
            messages.add(batch)
        messages.end()
    done.schema = messages.schema
    done.shuffled.add(name=NAME, rows=messages.rows)


def refuse_unreadable(schema: pl.Schema) -> None:
    for name, dtype in schema.items():
        if has_wide_integer(dtype) or not survives_a_stream(dtype):
            raise NotImplementedError(
                f"column {name!r} is {dtype}, which the client cannot read from a stream; cast it, for example to "
                "pl.String, or use .execute() and result.lazy().collect()"
            )


def has_wide_integer(dtype: Any) -> bool:
    """The official client itself would crash."""
    if isinstance(dtype, (pl.Int128, pl.UInt128)):
        return True
    inner = [getattr(dtype, name) for name in ("inner", "key", "value") if hasattr(dtype, name)]
    if isinstance(dtype, pl.Struct):
        inner = [field.dtype for field in dtype.fields]
    return any(map(has_wide_integer, inner))


def survives_a_stream(dtype: Any) -> bool:
    """Polars 2.0.0 forgets what Enums and named categories are."""
    if not isinstance(dtype, (pl.Enum, pl.Categorical)):
        return True
    try:
        pl.scan_arrow_c_stream(pl.DataFrame(schema={"": dtype})).collect()
    except pl.exceptions.SchemaError:
        return False
    return True


class Messages:
    """Frames go in, messages come out: as large as they should be, in the same order."""

    def __init__(self, file: IO[bytes], schema: pl.Schema) -> None:
        self.file = file
        empty = serialize(pl.DataFrame(schema=schema))
        self.schema = empty[: 8 + int.from_bytes(empty[4:8], "little")]
        if len(self.schema) > MOST_BYTES:
            raise ValueError(f"{len(schema)} columns are too many to be streamed; use .execute()")
        self.rows = 0
        self.at_once = FIRST_ROWS
        self.waiting: list[pl.DataFrame] = []
        self.n_waiting = 0
        file.write(self.schema)

    def add(self, frame: pl.DataFrame) -> None:
        self.waiting.append(frame)
        self.n_waiting += frame.height
        if self.n_waiting >= self.at_once:
            self.flush()

    def end(self) -> None:
        self.flush()
        self.file.write(END)

    def flush(self) -> None:
        if not self.n_waiting:
            return
        frame = pl.concat(self.waiting, rechunk=True) if len(self.waiting) > 1 else self.waiting[0]
        self.waiting, self.n_waiting = [], 0
        at = 0
        while at < frame.height:
            part = frame.slice(at, self.at_once)
            at += part.height
            self.put(part)

    def put(self, frame: pl.DataFrame) -> None:
        data = serialize(frame)
        if not data.startswith(self.schema):
            raise RuntimeError(f"Polars announced other columns than these: {frame.schema}; use .execute()")
        if not frame.width:
            raise NotImplementedError("rows without columns cannot be streamed; use .execute()")
        size = len(data) - len(self.schema) - len(END)
        if size <= MOST_BYTES:
            self.file.write(memoryview(data)[len(self.schema) : -len(END)])
            self.rows += frame.height
            self.at_once = min(max(frame.height * MESSAGE_BYTES // size, 1), MOST_ROWS)
        elif frame.height == 1:
            raise ValueError(
                f"a row of the result takes {size} bytes, and rows of more than {MOST_BYTES} cannot be streamed; "
                "use .execute() and result.lazy().collect()"
            )
        else:
            half = frame.height // 2
            self.put(frame.head(half))
            self.put(frame.tail(-half))


def serialize(frame: pl.DataFrame) -> bytes:
    """A whole stream. Of the older layout: in the newer one a slice of nested texts keeps them all."""
    file = io.BytesIO()
    frame.write_ipc_stream(file, compat_level=pl.CompatLevel.oldest())
    return file.getvalue()
